"""A message as the outbox keeps it: parts whose bytes, one after the other, are the mail.

It stands alone because a file of 25 MB must not be in memory three times: :func:`build_message` builds the texts, the
files are encoded piece by piece, and a file that goes to three customers is one part (RFC 2046 §5.1, RFC 2045 §6.8).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.message import EmailMessage

from cgcore.mail.headers import attachment_name
from cgcore.mail.message import Attachment, media_type, with_crlf

__all__ = ["Pieces", "build_parts", "encoded_size", "renew_fields", "wire_names"]

Pieces = Callable[[], Iterable[bytes]]
"""The bytes of a part, in pieces; it can be called again and gives the same."""

_LINE = 57  # bytes of a line of 76 characters
_BLOCK = _LINE * 1024


def build_parts(message: EmailMessage, attachments: Sequence[Attachment]) -> Sequence[Pieces]:
    """Return the parts of ``message``, which has no attachment yet, with ``attachments`` behind its texts."""
    raw = with_crlf(message.as_bytes())
    if not attachments:
        return [_whole(raw if raw.endswith(b"\r\n") else raw + b"\r\n")]
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = _fields(head)
    inner = [field for field in fields if field.lower().startswith(b"content-")]
    outer = [field for field in fields if field not in inner]
    border = f"=_{secrets.token_hex(16)}".encode()
    mixed = b'Content-Type: multipart/mixed; boundary="' + border + b'"'
    begin = b"\r\n--" + border + b"\r\n"
    first = b"\r\n".join([*outer, mixed, b"", b"--" + border, *inner, b"", body])
    parts: list[Pieces] = []
    for attachment, name in zip(attachments, wire_names(attachments), strict=True):
        parts += [_whole(first + begin + _file_head(attachment, name)), _encoded(attachment.data)]
        first = b""
    return [*parts, _whole(b"\r\n--" + border + b"--\r\n")]


def renew_fields(part: bytes, fields: Mapping[str, str]) -> bytes:
    """Return the first part of a message with other values of header fields that it has; the rest stays as it is."""
    head, gap, body = part.partition(b"\r\n\r\n")
    new = {name.lower().encode(): f"{name}: {value}".encode("ascii") for name, value in fields.items()}
    return b"\r\n".join(new.get(field.partition(b":")[0].lower(), field) for field in _fields(head)) + gap + body


def encoded_size(data_size: int) -> int:
    """Return what a file of ``data_size`` bytes weighs on the way: base64 in lines of 76 with CRLF."""
    full, rest = divmod(data_size, _LINE)
    return full * 78 + (-(-rest // 3) * 4 + 2 if rest else 0)


def wire_names(attachments: Sequence[Attachment]) -> Sequence[str]:
    """Return the names under which files arrive: safe, ASCII, and each once."""
    names: list[str] = []
    for attachment in attachments:
        name, count = attachment_name(attachment.filename), 2
        stem, dot, ending = name.rpartition(".")
        while name.lower() in (other.lower() for other in names):
            name = f"{stem}_({count}).{ending}" if dot else f"{ending}_({count})"
            count += 1
        names.append(name)
    return names


def _fields(head: bytes) -> list[bytes]:
    """Return the header fields, each with its continuation lines."""
    fields: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    return fields


def _file_head(attachment: Attachment, name: str) -> bytes:
    lines = [
        f'Content-Type: {media_type(attachment.media_type)}; name="{name}"',
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{name}"',
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def _whole(data: bytes) -> Pieces:
    return lambda: (data,)


def _encoded(data: bytes) -> Pieces:
    def pieces() -> Iterator[bytes]:
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            yield base64.encodebytes(view[start : start + _BLOCK]).replace(b"\n", b"\r\n")

    return pieces
