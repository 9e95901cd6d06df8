"""Reading stored messages: well-made ones, and what else arrives in a mailbox."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import make_msgid

import pytest

from cgcore.sandbox import StoredMessage
from cgcore.sandbox.reading import build_document, read_message, summarise

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n0000"


def _stored(raw: bytes) -> StoredMessage:
    return StoredMessage(101, NOW, raw)


def test_an_embedded_image_is_shown_as_data_and_is_no_attachment() -> None:
    """Its ``cid:`` address becomes a ``data:`` one in the document; the message itself stays as it was sent."""
    cid = make_msgid(domain="tosma.example")
    message = EmailMessage()
    message["Subject"] = "Con logo"
    message.set_content("texto")
    message.add_alternative(f'<p><img alt="logo" src="cid:{cid[1:-1]}"></p>', subtype="html")
    html = list(message.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(PNG, maintype="image", subtype="png", cid=cid)
    read = read_message(_stored(bytes(message)))

    assert 'src="data:image/png;base64,iVBORw0KGgowMDAw"' in build_document(read)
    assert "cid:" in read.html
    assert read.attachments == ()


@pytest.mark.parametrize(
    "source",
    ["https://tracker.example/x.png", "cid:unknown@x", "//tracker.example/x.png"],
)
def test_no_other_image_address_is_touched(source: str) -> None:
    """A remote address and an unknown ``cid:`` stay, for the frame to refuse."""
    raw = f'Content-Type: text/html\r\n\r\n<img src="{source}">'.encode()

    assert build_document(read_message(_stored(raw))) == f'<img src="{source}">'


def test_an_embedded_svg_is_never_shown() -> None:
    """SVG is a document with scripts of its own, so its address is left alone and the file is not embedded."""
    raw = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        b'<img src="cid:evil">\r\n--b\r\nContent-Type: image/svg+xml\r\n'
        b'Content-ID: <evil>\r\n\r\n<svg onload="x"/>\r\n--b--\r\n'
    )

    assert "data:" not in build_document(read_message(_stored(raw)))


def test_an_attached_message_is_a_file_and_not_the_body() -> None:
    """A forwarded message stays closed: its text does not stand in for the text of the one around it."""
    inner = EmailMessage()
    inner["Subject"] = "dentro"
    inner.set_content("lo de dentro")
    outer = EmailMessage()
    outer.set_content("lo de fuera")
    outer.add_attachment(inner)
    read = read_message(_stored(bytes(outer)))

    assert read.text.strip() == "lo de fuera"
    assert [attachment.type for attachment in read.attachments] == ["message/rfc822"]
    assert b"lo de dentro" in read.attachments[0].data


@pytest.mark.parametrize(
    ("given", "safe"),
    [("../../etc/passwd", "_.._etc_passwd"), ("a\\b:c.pdf", "a_b_c.pdf"), ("", "adjunto.pdf"), ("...", "adjunto.pdf")],
)
def test_the_name_of_an_attachment_is_safe(given: str, safe: str) -> None:
    """No path, no drive, no hidden or empty name reaches the browser's download."""
    message = EmailMessage()
    message.set_content("x")
    message.add_attachment(b"1", maintype="application", subtype="pdf", filename=given)

    assert read_message(_stored(bytes(message))).attachments[0].name == safe


MALFORMED = {
    "empty": b"",
    "no header": b"\r\nonly a body",
    "no end": b"Subject: x",
    "not text": bytes(range(256)),
    "broken multipart": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx",
    "unknown charset": b"Content-Type: text/plain; charset=klingon\r\n\r\nhola \xf1",
    "broken base64": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
    "broken words": b"Subject: =?utf-8?q?=C3?= =?klingon?b?eA==?=\r\nDate: yesterday\r\n\r\nx",
    "broken addresses": b"From: <<>>@\r\nTo: ,,;\r\n\r\nx",
    "empty addresses": b"From: \r\nTo: <>\r\nContent-Type: ;\r\nContent-Disposition: ;\r\n\r\nx",
    "header in the middle": b"Subject: a\r\n no\r\nnocolon\r\nTo: b\r\n\r\nx",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_read_as_far_as_it_goes(raw: bytes) -> None:
    """Nothing raises, and the original is always there to download."""
    summary, read = summarise(_stored(raw)), read_message(_stored(raw))

    assert read.raw == raw
    assert summary == read.summary
    assert "\n" not in read.summary.subject


def test_encoded_headers_are_read_and_the_original_kept() -> None:
    """The subject is decoded for the list; the tab of headers shows what was sent."""
    raw = b"Subject: =?utf-8?q?A=C3=B1o?=\r\nFrom: =?utf-8?q?Marta_Pe=C3=B1a?= <m@x.example>\r\n\r\nx"
    read = read_message(_stored(raw))

    assert (read.summary.subject, read.summary.sender) == ("Año", "Marta Peña <m@x.example>")
    assert ("Subject", "=?utf-8?q?A=C3=B1o?=") in read.headers
