"""Messages as they travel: structure, headers, names, line ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgcore.mail.headers import attachment_name, header_text
from cgcore.mail.message import Attachment, InlineImage, build_message, build_test_message

WHEN = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


def _parsed(message: EmailMessage) -> EmailMessage:
    return message_from_bytes(message.as_bytes(), policy=default_policy)  # type: ignore[return-value]


def _full() -> EmailMessage:
    return build_message(
        sender="ana@peña.es",
        sender_name="Peña, Ana",
        recipients=["eva@ejemplo.es"],
        recipient_name="Eva ‹Núñez›",
        subject="Adjunto Factura F-2026 Ñ",
        text="Hola, año nuevo.\n.punto\n",
        html='<p>Hola, año nuevo. <img src="cid:logo@peña.es" alt="Logo"></p>',
        images=[InlineImage("logo@x.es", "image/png", b"\x89PNG")],
        attachments=[Attachment("Factura ñ 1.pdf", "application/pdf", b"%PDF-1.7")],
        read_receipt=True,
        date=WHEN,
        message_id="<fixed@peña.es>".replace("ñ", "n"),
    )


def test_the_parts_stand_in_the_order_that_every_mail_program_understands() -> None:
    """mixed(alternative(plain, related(html, image)), attachment)."""
    message = _parsed(_full())

    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]


def test_the_headers_say_who_when_and_in_which_language() -> None:
    """Each header once, the date with its zone, the domain in ASCII, the receipt to the sender."""
    message = _parsed(_full())

    assert message["From"].addresses[0].display_name == "Peña, Ana"
    assert message["From"].addresses[0].addr_spec == "ana@xn--pea-8ma.es"
    assert message["Date"].datetime == WHEN
    assert message["Content-Language"] == "es"
    assert message["Disposition-Notification-To"] == "ana@xn--pea-8ma.es"
    assert message["Auto-Submitted"] is None
    assert all(len(message.get_all(name, [])) == 1 for name in ("From", "To", "Subject", "Date", "Message-ID"))


def test_the_message_id_is_on_the_senders_domain_and_new_each_time() -> None:
    """It never tells the name of the machine."""
    first, second = (build_test_message(sender="ana@peña.es", recipient="eva@ejemplo.es") for _ in range(2))

    assert re.fullmatch(r"<[0-9a-f]{32}@xn--pea-8ma\.es>", first["Message-ID"])
    assert first["Message-ID"] != second["Message-ID"]


def test_only_seven_bit_lines_with_crlf_come_out() -> None:
    """No server needs an extension to take it, and no bare CR or LF can smuggle a command."""
    raw = _full().as_bytes()

    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


BREAKS = ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x00"]


@pytest.mark.parametrize("line_break", BREAKS)
def test_no_line_break_of_any_alphabet_makes_a_header(line_break: str) -> None:
    """Subject and names are data: what follows a break stays inside its own header."""
    evil = f"Factura{line_break}Bcc: espia@ejemplo.es"
    message = build_message(
        sender="ana@ejemplo.es",
        sender_name=evil,
        recipients=["eva@ejemplo.es"],
        recipient_name=evil,
        subject=evil,
        text="x",
        attachments=[Attachment(evil, "application/pdf", b"x")],
    )
    parsed = _parsed(message)

    assert parsed["Bcc"] is None
    assert parsed["Subject"] == "Factura Bcc: espia@ejemplo.es"
    assert len(parsed["To"].addresses) == 1


ENCODED_WORDS = ["=?utf-8?q?x=0D=0ABcc:_espia@ejemplo.es?=", "=?utf-8?b?DQpCY2M6IGVzcGlhQGVqZW1wbG8uZXM=?="]


@pytest.mark.parametrize("evil", [*ENCODED_WORDS, f"Ñandú {ENCODED_WORDS[0]}", f"Factura\n{ENCODED_WORDS[1]} F-1"])
def test_what_looks_like_an_encoded_word_is_text_and_no_header(evil: str) -> None:
    """A customer's name that decodes to a line break arrives as the letters that it is."""
    message = build_message(
        sender="ana@ejemplo.es",
        sender_name=evil,
        recipients=["eva@ejemplo.es"],
        recipient_name=evil,
        subject=evil,
        text="x",
    )
    parsed = _parsed(message)

    assert b"\r\nBcc:" not in message.as_bytes()
    assert parsed["Bcc"] is None
    assert parsed["Subject"] == header_text(evil)
    assert [address.addr_spec for address in parsed["To"].addresses] == ["eva@ejemplo.es"]
    assert "=?utf-8?" in parsed["To"].addresses[0].display_name


_WORDS = st.sampled_from(
    ["Peña", "Ñandú", "S.L.U.", "(Ñ)", "a,b", '"', "\\", "=?", "?=", "👩\u200d🔧", "y", "@", "<x>", "\ud800", "a" * 30]
)


@given(st.lists(_WORDS, max_size=30).map(" ".join))
def test_any_subject_and_any_name_arrive_as_they_were(text: str) -> None:
    """Property: commas, dots, quotes and accents in names of any length; lines stay short."""
    message = build_message(
        sender="ana@ejemplo.es", sender_name=text, recipients=["eva@ejemplo.es"], subject=text, text="x"
    )
    parsed = _parsed(message)
    head = message.as_bytes().split(b"\r\n\r\n")[0]

    assert parsed["Subject"] == header_text(text)
    # Python's parser keeps the blank between two encoded words that RFC 2047 drops.
    assert " ".join(parsed["From"].addresses[0].display_name.split()) == header_text(text)
    assert parsed["From"].addresses[0].addr_spec == "ana@ejemplo.es"
    assert max(map(len, head.split(b"\r\n"))) <= 78


def test_direction_marks_leave_a_subject_and_emoji_stay_whole() -> None:
    """A right-to-left override would show «fdp.exe»; the joiner of an emoji is part of a word."""
    assert header_text("Factura \u202efdp\u202c") == "Factura fdp"
    assert header_text("👩\u200d🔧") == "👩\u200d🔧"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Factura F-2026-0042.pdf", "Factura_F-2026-0042.pdf"),
        ("Albarán nº 5/2026.pdf", "Albaran_no_5-2026.pdf"),
        ('a\\b:c*d?e"f<g>h|i.pdf', "a-b-c-d-e-f-g-h-i.pdf"),
        ("../../etc/passwd", "etc-passwd"),
        ("日本", "adjunto"),
        ("", "adjunto"),
    ],
)
def test_the_name_of_an_attachment_is_ascii_and_no_path(name: str, safe: str) -> None:
    """Old mail programs show «noname» or «untitled» for anything else."""
    assert attachment_name(name).removeprefix("-") == safe


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("image/svg+xml", "image/svg+xml"),
        ("", "application/octet-stream"),
        ("text", "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("text/plain\r\nX-Evil: 1", "application/octet-stream"),
        ("text/=?utf-8?q?a=0D=0AX-Evil:_1?=", "application/octet-stream"),
    ],
)
def test_an_attachment_of_no_known_type_travels_as_bytes(media_type: str, sent: str) -> None:
    """A browser says the type of an upload: whatever it says, the message is built and the bytes arrive."""
    message = build_message(
        sender="ana@ejemplo.es",
        recipients=["eva@ejemplo.es"],
        subject="x",
        text="x",
        attachments=[Attachment("a.bin", media_type, b"\xff\r\n.")],
    )
    (part,) = _parsed(message).iter_attachments()

    assert part.get_content_type() == sent
    assert part.get_payload(decode=True) == b"\xff\r\n."
    assert b"X-Evil" not in message.as_bytes()


def test_a_long_attachment_name_keeps_its_ending() -> None:
    """78 characters, and still a PDF."""
    name = attachment_name("ñ" * 300 + ".pdf")

    assert len(name) == 78
    assert name.endswith(".pdf")


def test_the_test_mail_says_that_no_person_wrote_it() -> None:
    """Auto-Submitted keeps holiday answers away; the receipt is asked only on request."""
    plain = build_test_message(sender="ana@ejemplo.es", recipient="ana@ejemplo.es")
    receipt = build_test_message(sender="ana@ejemplo.es", recipient="ana@ejemplo.es", read_receipt=True)

    assert plain["Auto-Submitted"] == "auto-generated"
    assert plain["Disposition-Notification-To"] is None
    assert receipt["Disposition-Notification-To"] == "ana@ejemplo.es"
    assert plain.get_body(("plain",)) is not None
    assert plain.get_body(("html",)) is not None


def test_an_address_with_spanish_letters_travels_raw() -> None:
    """It needs SMTPUTF8 anyway, so its header must not be encoded into another address."""
    raw = build_test_message(sender="peña@ejemplo.es", recipient="eva@ejemplo.es").as_bytes()

    assert "From: peña@ejemplo.es".encode() in raw
