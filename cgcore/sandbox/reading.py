"""Reads a stored message for people: who, what, when, the parts, and the document to show.

Apart from :mod:`cgcore.workbench.sandbox`: pure, from bytes to values.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from cgcore.sandbox.state import StoredMessage
from cgcore.texts import sentence

__all__ = ["Attachment", "MessageSummary", "ReadMessage", "build_document", "read_message", "summarise"]

_CID = re.compile(r"""(\bsrc\s*=\s*["']?)cid:([^"'\s>]+)""", re.IGNORECASE)
# What browsers draw from a data: address and mail programs send; never SVG, which is a document of its own.
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")
_MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """One line of the list. ``sender`` and ``subject`` are as the message says, and may be empty."""

    id: int
    sender: str
    subject: str
    received: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with the message; ``name`` is safe for a file system."""

    name: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A whole message.

    ``recipients`` are those of the headers, ``delivered_to`` those of the envelope, blind copies included. ``html`` is
    as it was sent: show it only through :func:`build_document` and in a frame without rights. ``images`` are the
    embedded ones by their Content-ID.
    """

    summary: MessageSummary
    recipients: str
    delivered_to: tuple[str, ...]
    date: datetime | None
    html: str
    text: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    images: Mapping[str, Attachment]
    raw: bytes

    @property
    def went_elsewhere(self) -> bool:
        """Whether the envelope names others than the headers, or in another way."""
        return ", ".join(self.delivered_to) != self.recipients


def summarise(stored: StoredMessage) -> MessageSummary:
    """Return the line of the list; only the header is parsed."""
    return _summarise(stored, BytesHeaderParser(policy=policy.default).parsebytes(stored.raw))


def read_message(stored: StoredMessage) -> ReadMessage:
    """Return the message with its parts decoded; a part that cannot be decoded is shown as far as it can be."""
    message = BytesParser(policy=policy.default).parsebytes(stored.raw)
    leaves = list(_leaves(message))
    bodies = {kind: _find_body(leaves, kind) for kind in ("text/html", "text/plain")}
    files = [part for part in leaves if part not in [body for body in bodies.values() if body is not None]]
    images = {
        cid: _attachment(part) for part in files if (cid := _content_id(part)) and part.get_content_type() in _IMAGES
    }
    return ReadMessage(
        summary=_summarise(stored, message),
        recipients=", ".join(filter(None, (_header(message, name) for name in ("to", "cc")))),
        delivered_to=tuple(str(value) for value in message.get_all("delivered-to", [])),
        date=_date(message),
        html=_text(bodies["text/html"]),
        text=_text(bodies["text/plain"]),
        headers=tuple((name, _header_text(value)) for name, value in message.raw_items()),
        attachments=tuple(_attachment(part) for part in files if not _is_embedded(part)),
        images=images,
        raw=stored.raw,
    )


def build_document(message: ReadMessage) -> str:
    """Return the HTML with its embedded images as ``data:`` addresses; everything else stays as it was sent."""

    def embed(found: re.Match[str]) -> str:
        image = message.images.get(unquote(found[2]))
        if image is None:
            return found[0]
        return f"{found[1]}data:{image.type};base64,{base64.b64encode(image.data).decode()}"

    return _CID.sub(embed, message.html)


def _summarise(stored: StoredMessage, message: Any) -> MessageSummary:
    sender, subject = _header(message, "from"), _header(message, "subject")
    return MessageSummary(stored.id, sender, subject, stored.received, len(stored.raw))


def _header(message: Any, name: str) -> str:
    # The parser of structured headers has raised all of these on malformed ones.
    try:
        return " ".join(str(message[name] or "").split())
    except (MessageError, ValueError, LookupError, AttributeError, TypeError):
        return ""


def _header_text(value: Any) -> str:
    return " ".join(str(value).split())


def _date(message: EmailMessage) -> datetime | None:
    try:
        return parsedate_to_datetime(_header(message, "date"))
    except (ValueError, TypeError):
        return None


def _leaves(part: Any) -> Iterator[Any]:
    # A message inside the message is a file to open elsewhere, not more of this one.
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        for inner in part.get_payload():
            yield from _leaves(inner)
    else:
        yield part


def _data(part: Any) -> bytes:
    if part.is_multipart():
        return b"".join(inner.as_bytes() for inner in part.get_payload())
    return part.get_payload(decode=True) or b""


def _find_body(leaves: list[Any], content_type: str) -> Any | None:
    candidates = (part for part in leaves if part.get_content_type() == content_type)
    return next((part for part in candidates if part.get_content_disposition() != "attachment"), None)


def _text(part: Any | None) -> str:
    if part is None:
        return ""
    data = _data(part)
    try:
        return data.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _attachment(part: Any) -> Attachment:
    return Attachment(_safe_name(part), part.get_content_type(), _data(part))


def _safe_name(part: Any) -> str:
    try:
        given = str(part.get_filename() or "")
    except (MessageError, ValueError, LookupError, AttributeError, TypeError):
        given = ""
    name = _UNSAFE_IN_NAME.sub("_", given).strip(". ")
    ending = "eml" if part.get_content_type() == "message/rfc822" else part.get_content_subtype()
    return name[-_MAX_NAME:] or f"{sentence('cgcore.mail', 'attachment')}.{ending}"


def _content_id(part: Any) -> str:
    return _header(part, "content-id").strip("<> ")


def _is_embedded(part: Any) -> bool:
    return bool(_content_id(part)) and part.get_content_disposition() != "attachment"
