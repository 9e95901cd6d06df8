"""A message in parts: what the customer's program reads is what was put in, and no part holds a file twice."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from cgcore.mail.message import Attachment, build_message
from cgcore.mail.outgoing import build_parts, encoded_size, wire_names

_PDF = b"%PDF-1.7\r\n.\r\n" + bytes(range(256)) * 700


def _message(**more: object) -> EmailMessage:
    values: dict[str, object] = {
        "sender": "ana@example.com",
        "recipients": ["eva@example.com", "luis@example.com"],
        "subject": "Adjunto Factura F 7 de Ñandú",
        "text": "Hola, Eva:\n\nAdiós.\n",
        "html": "<p>Hola, Eva:</p>",
    }
    return build_message(**{**values, **more})  # type: ignore[arg-type]


def _bytes(message: EmailMessage, *attachments: Attachment) -> bytes:
    return b"".join(piece for part in build_parts(message, attachments) for piece in part())


@pytest.mark.parametrize("files", [0, 1, 3])
def test_the_parts_one_after_the_other_are_the_mail(files: int) -> None:
    """Texts first, then the files, each as it was; every line ends in CRLF, and only the outermost has addresses."""
    attachments = [Attachment(f"Factura Peña nº {n}.pdf", "application/pdf", _PDF + bytes([n])) for n in range(files)]
    raw = _bytes(_message(copies=["leo@example.com"], names={"luis@example.com": "Luis Ñ"}), *attachments)
    read = message_from_bytes(raw, policy=default)
    texts = read.get_body(("plain",))

    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert raw.endswith(b"\r\n")
    assert not read.defects
    assert str(read["To"]) == "eva@example.com, Luis Ñ <luis@example.com>"
    assert (str(read["Cc"]), read["Subject"]) == ("leo@example.com", "Adjunto Factura F 7 de Ñandú")
    assert texts is not None
    assert texts.get_content().replace("\r\n", "\n") == "Hola, Eva:\n\nAdiós.\n"
    assert [part.get_content() for part in read.iter_attachments()] == [a.data for a in attachments]
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_one_file_is_the_same_part_in_every_message() -> None:
    """So it is stored once, however many customers get it."""
    file = Attachment("f.pdf", "application/pdf", _PDF)
    first, second = ([b"".join(part()) for part in build_parts(_message(), [file])] for _ in range(2))

    assert first[1] == second[1]
    assert first[0] != second[0], "each has its own Message-ID"
    assert base64.b64decode(first[1]) == _PDF


@pytest.mark.parametrize("size", [1, 2, 3, 56, 57, 58, 114, 57 * 1024, 57 * 1024 + 1])
def test_the_size_on_the_way_is_known_beforehand(size: int) -> None:
    """What is compared with the server's limit while a file is attached."""
    parts = build_parts(_message(), [Attachment("f.bin", "", bytes(size))])

    assert sum(map(len, parts[1]())) == encoded_size(size)


def test_equal_names_arrive_apart() -> None:
    """Two files are two files, whatever capitals they are written with."""
    names = wire_names([Attachment(name, "", b"x") for name in ("a.pdf", "A.pdf", "a.pdf", "nada", "nada")])

    assert names == ["a.pdf", "A_(2).pdf", "a_(3).pdf", "nada", "nada_(2)"]
