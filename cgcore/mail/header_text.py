"""Text that goes into headers and file names of parts: one line, and names that every mail program shows."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["attachment_name", "header_text"]

_LONGEST_NAME = 78
_JOINERS = "\u200c\u200d"  # they belong to words and to emoji
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')


def header_text(text: str) -> str:
    """Return ``text`` on one line: line and paragraph breaks of every alphabet and control characters become a blank.

    CR, LF, VT, FF, U+0085, U+2028 and U+2029 would begin a new header; a lone surrogate makes the message unbuildable;
    direction marks would let a subject show as something else.
    """
    kept = (" " if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") else character for character in text)
    shown = (
        character for character in kept if not (unicodedata.category(character) == "Cf" and character not in _JOINERS)
    )
    return " ".join("".join(shown).split())


def attachment_name(name: str) -> str:
    """Return a file name in ASCII without path characters, at most 78 characters, its ending kept.

    Gmail shows «noname» for raw letters beyond ASCII and old Outlook «untitled» for the encoded form (facts, quill §7).
    """
    plain = unicodedata.normalize("NFKD", header_text(name))
    ascii_name = plain.encode("ascii", "ignore").decode("ascii")
    clean = re.sub(r"\s+", "_", _FORBIDDEN.sub("-", ascii_name)).strip("._- ") or "adjunto"
    if len(clean) <= _LONGEST_NAME:
        return clean
    stem, dot, ending = clean.rpartition(".")
    if not dot or len(ending) > 10:
        return clean[:_LONGEST_NAME]
    return f"{stem[: _LONGEST_NAME - len(ending) - 1]}.{ending}"
