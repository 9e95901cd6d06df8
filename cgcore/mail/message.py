"""Messages in the form in which they travel: built here and nowhere else, from parts that are already rendered."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from html import escape
from typing import Any, cast

from cgcore.language import current_language
from cgcore.mail.addresses import domain_of, needs_smtputf8, wire_address
from cgcore.mail.headers import attachment_name, header_registry, header_text
from cgcore.texts import lookup

__all__ = [
    "Attachment",
    "InlineImage",
    "ProofTexts",
    "build_message",
    "build_test_message",
    "load_test_mail",
    "make_message_id",
    "media_type",
    "size_values",
    "with_crlf",
]

_SMALLEST_SHOWN = 10_000  # bytes: «0,01 MB»
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+\-]+/[A-Za-z0-9.+\-]+")  # RFC 6838 §4.2, without what nobody uses


_LINE_END = re.compile(rb"\r\n|\r|\n")


def with_crlf(raw: bytes) -> bytes:
    """Return bytes with every line end as CRLF (RFC 5321 §2.3.8, RFC 9051 §4.3)."""
    if raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"):
        return raw
    return _LINE_END.sub(b"\r\n", raw)


def size_values(limit: int) -> dict[str, Any]:
    """Return what the sentences say of a size limit in bytes: megabytes, or bytes where it is below any mail."""
    if limit >= _SMALLEST_SHOWN:
        return {"limit_mb": limit / 1_000_000}
    return {"limit": f"{limit} byte" if limit == 1 else f"{limit} bytes"}


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image that the HTML shows as ``cid:…``; ``cid`` without ``<>``, ``media_type`` as in ``image/png``."""

    cid: str
    media_type: str
    data: bytes
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with the message; its name is made safe and ASCII on the way (:func:`attachment_name`)."""

    filename: str
    media_type: str
    data: bytes


def make_message_id(sender: str) -> str:
    """Return a new Message-ID on the sender's domain; the standard library's tells the name of the machine."""
    return f"<{secrets.token_hex(16)}@{domain_of(wire_address(sender)) or 'localhost'}>"


def build_message(
    *,
    sender: str,
    recipients: Sequence[str],
    subject: str,
    text: str,
    html: str = "",
    images: Sequence[InlineImage] = (),
    attachments: Sequence[Attachment] = (),
    sender_name: str = "",
    recipient_name: str = "",
    copies: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    reply_to: str = "",
    read_receipt: bool = False,
    generated: bool = False,
    date: datetime | None = None,
    message_id: str = "",
) -> EmailMessage:
    """Return mixed(alternative(plain, related(html, images)), attachments), as much of it as there are parts.

    Addresses must have passed :func:`cgcore.mail.addresses.is_address`. ``recipient_name`` belongs to a single
    recipient; ``names`` are those of several, by address; ``copies`` are the visible ones (Cc). ``generated`` marks a
    test mail (RFC 3834). ``date`` must know its zone and defaults to now; ``message_id`` to a new one. No line break of
    any kind reaches a header. Only 7-bit lines come out, so the message needs no extension of any server, except where
    an address itself needs SMTPUTF8.
    """
    message = EmailMessage(policy=_policy([sender, *recipients, *copies]))
    message["From"] = _address(sender, sender_name)
    called = dict(names or {})
    if recipient_name and len(recipients) == 1:
        called[recipients[0]] = recipient_name
    message["To"] = [_address(recipient, called.get(recipient, "")) for recipient in recipients]
    if copies:
        message["Cc"] = [_address(copy, called.get(copy, "")) for copy in copies]
    if reply_to and reply_to.casefold() != sender.casefold():
        message["Reply-To"] = _address(reply_to, "")
    message["Subject"] = header_text(subject)
    message["Date"] = date if date is not None else datetime.now(UTC).astimezone()
    message["Message-ID"] = message_id or make_message_id(sender)
    if read_receipt:
        message["Disposition-Notification-To"] = wire_address(sender)  # RFC 8098 §2.1
    if generated:
        message["Auto-Submitted"] = "auto-generated"
    _fill(message, text, html, images)
    for attachment in attachments:
        main, _, sub = media_type(attachment.media_type).partition("/")
        filename = attachment_name(attachment.filename)
        message.add_attachment(attachment.data, maintype=main, subtype=sub, filename=filename)
    message["Content-Language"] = "es"  # last: whatever is added moves the Content- headers into a part
    return message


def _policy(addresses: Sequence[str]) -> EmailPolicy[Any]:
    policy = SMTPUTF8 if any(needs_smtputf8(address) for address in addresses) else SMTP
    return policy.clone(cte_type="7bit", header_factory=header_registry())


def media_type(written: str) -> str:
    """Return the media type that a file may travel under; what is none, or has rules of its own, as mere bytes."""
    # A message or multipart as an attachment has rules of its own (RFC 2046 §5); as bytes any of them may travel.
    known = _MEDIA_TYPE.fullmatch(written) and not written.lower().startswith(("message/", "multipart/"))
    return written if known else "application/octet-stream"


def _address(address: str, name: str) -> Address:
    local, _, domain = wire_address(address).rpartition("@")
    return Address(display_name=header_text(name), username=local, domain=domain)


def _fill(message: EmailMessage, text: str, html: str, images: Sequence[InlineImage]) -> None:
    message.set_content(text)
    if not html:
        return
    message.add_alternative(html, subtype="html")
    # Images hang on the HTML part, and before any attachment turns the whole into «mixed».
    part = cast("MIMEPart", message.get_payload()[1])  # pyright: ignore[reportIndexIssue, reportArgumentType]
    for image in images:
        main, _, sub = image.media_type.partition("/")
        part.add_related(
            image.data,
            maintype=main,
            subtype=sub,
            cid=f"<{image.cid}>",
            filename=attachment_name(image.filename) if image.filename else None,
            disposition="inline",
        )


def build_test_message(
    *,
    sender: str,
    recipient: str,
    sender_name: str = "",
    reply_to: str = "",
    read_receipt: bool = False,
    date: datetime | None = None,
    message_id: str = "",
) -> EmailMessage:
    """Return the fixed mail of «Envío de Prueba»: it proves the account and says so, marked ``Auto-Submitted``."""
    texts = load_test_mail()
    paragraphs = [texts.greeting, *texts.paragraphs, *([texts.read_receipt] if read_receipt else [])]
    html = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return build_message(
        sender=sender,
        sender_name=sender_name,
        recipients=[recipient],
        subject=texts.subject,
        text="\n\n".join(paragraphs) + "\n",
        html=f'<!doctype html><html lang="{current_language()}"><head><title>{escape(texts.subject)}</title></head>'
        f'<body style="font-family:Arial,Helvetica,sans-serif;font-size:15px;line-height:1.5">{html}</body></html>',
        reply_to=reply_to,
        read_receipt=read_receipt,
        generated=True,
        date=date,
        message_id=message_id,
    )


@dataclass(frozen=True, slots=True)
class ProofTexts:
    """What the test mail says."""

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    read_receipt: str


def load_test_mail() -> ProofTexts:
    """Return the texts of the test mail."""
    values = lookup("cgcore.mail", "test_mail")
    return ProofTexts(
        subject=values["subject"],
        greeting=values["greeting"],
        paragraphs=tuple(values["paragraphs"]),
        read_receipt=values["read_receipt"],
    )
