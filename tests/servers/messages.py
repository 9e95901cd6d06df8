"""Messages as tests compare them."""

from __future__ import annotations

import re

__all__ = ["comparable"]


def comparable(raw: bytes) -> bytes:
    """Return a message without Date and Message-ID and what a server wrote on top, its boundaries numbered."""
    raw = raw.replace(b"\r\n", b"\n")
    raw = raw[raw.index(b"From: ") :].rstrip(b"\n")
    raw = re.sub(rb"^(Date|Message-ID): .*\n(?:[ \t].*\n)*", b"", raw, flags=re.M)
    for number, boundary in enumerate(dict.fromkeys(re.findall(rb'boundary="([^"]+)"', raw))):
        raw = raw.replace(boundary, b"boundary-%d" % number)
    return raw
