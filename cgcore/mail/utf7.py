"""Folder names on the wire: modified UTF-7 (RFC 3501 §5.1.3) and quoted strings."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["decode_folder", "encode_folder", "quote_string"]

_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]+")
_SHIFT = re.compile(r"&([A-Za-z0-9+,]*)-")


def encode_folder(name: str) -> bytes:
    """Return a folder name in modified UTF-7: ``Año & más`` is ``A&APE-o &- m&AOE-s``."""

    def shift(match: re.Match[str]) -> str:
        digits = base64.b64encode(match[0].encode("utf-16-be")).decode("ascii")
        return f"&{digits.rstrip('=').replace('/', ',')}-"

    return _BEYOND_ASCII.sub(shift, name.replace("&", "&-")).encode("ascii")


def decode_folder(wire: bytes) -> str:
    """Return what a name on the wire says to a person.

    Lenient, since it only shows: UTF-8, which some servers send as it is, is read as such, and a shift that is no
    UTF-16 stays as it stands.
    """

    def unshift(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        digits = match[1].replace(",", "/")
        try:
            return base64.b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-16-be")
        except (binascii.Error, UnicodeDecodeError):
            return match[0]

    return _SHIFT.sub(unshift, wire.decode("utf-8", "replace"))


def quote_string(text: bytes) -> bytes:
    """Return ``text`` as a quoted string (RFC 9051 §4.3); a CR, LF or NUL is a ``ValueError``: it would end the line.

    imaplib sends names as they are: one with a blank would be two arguments, one with a line end a second command.
    """
    if any(byte in text for byte in b"\r\n\0"):
        raise ValueError("a control character cannot be quoted")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
