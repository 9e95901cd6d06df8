"""What a reader sees nothing of."""

from __future__ import annotations

__all__ = ["INVISIBLE", "is_blank"]

INVISIBLE = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # without width, though Python calls none of them a blank
)
_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))


def is_blank(text: str) -> bool:
    """Whether ``text`` holds nothing but blanks of any kind and characters without width."""
    return not text.strip() or (not text.isascii() and not text.translate(_INVISIBLE).strip())
