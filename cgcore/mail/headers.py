"""How names and subjects are written into headers: encoded by us, because the standard library's folding alters them.

Python's own folding (3.11 to 3.13, differently) reads ``=?…?=`` in a subject as an encoded word and writes what it
decodes to, line breaks included; it loses or adds blanks in long names that have accents and a comma.
"""

from __future__ import annotations

import re
import unicodedata
from email.charset import Charset
from email.header import Header
from email.headerregistry import Address, HeaderRegistry, UniqueAddressHeader, UniqueUnstructuredHeader
from typing import TYPE_CHECKING, Any, cast

from cgcore.texts import sentence

__all__ = ["attachment_name", "header_registry", "header_text"]

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.headerregistry import BaseHeader
    from email.policy import Policy


_LINE = 75  # RFC 2047 §2: the longest encoded word; lines have 76 with the blank before it
_NAME_PIECE = 66  # so that the first one stands on the line of its header
_LONGEST_PLAIN_WORD = 60
_UTF_8 = Charset("utf-8")
_NEED_QUOTES = set('()<>[]:;@\\,."')  # RFC 5322 §3.2.3


class _TextHeader(UniqueUnstructuredHeader):
    """A header of free text, taken literally."""

    name: str

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        super().parse(value, kwds)
        kwds["decoded"] = value

    def fold(self, *, policy: Policy) -> str:
        return _join(self.name, _text_pieces(str(self), self.name), policy.linesep)


class _AddressesHeader(UniqueAddressHeader):
    """A header of addresses, names included."""

    name: str

    def fold(self, *, policy: Policy) -> str:
        return _join(self.name, _address_pieces(self.addresses), policy.linesep)


def header_registry() -> HeaderRegistry:
    """Return a ``header_factory`` for :class:`email.policy.EmailPolicy`.

    Subject, From, To, Cc and Reply-To keep their text exactly: plain where it is ASCII, else as encoded words
    (RFC 2047) between whole characters. No line is longer than 78 characters but where an address is.
    """
    registry = HeaderRegistry()
    for name in ("subject", "disposition-notification-to"):
        registry.map_to_type(name, cast("type[BaseHeader]", _TextHeader))
    for name in ("from", "to", "cc", "reply-to"):
        registry.map_to_type(name, cast("type[BaseHeader]", _AddressesHeader))
    return registry


def _is_plain(text: str) -> bool:
    return text.isascii() and "=?" not in text and all(len(word) <= _LONGEST_PLAIN_WORD for word in text.split())


def _text_pieces(text: str, header_name: str) -> list[str]:
    if _is_plain(text):
        return text.split()
    return Header(text, "utf-8", maxlinelen=_LINE, header_name=header_name).encode(linesep="\n").split("\n ")


def _address_pieces(addresses: Sequence[Address]) -> list[str]:
    pieces: list[str] = []
    for address in addresses:
        spec = f"<{address.addr_spec}>" if address.display_name else address.addr_spec
        pieces += [*_name_pieces(address.display_name), spec + ","]
    return [*pieces[:-1], pieces[-1].removesuffix(",")] if pieces else []


def _name_pieces(name: str) -> list[str]:
    if not _is_plain(name):
        return _phrase_pieces(name)
    if not _NEED_QUOTES & set(name):
        return name.split()
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'.split(" ")


def _phrase_pieces(name: str) -> list[str]:
    # Words that need no encoding stay plain, and encoded words end where words end: readers that do not drop the
    # blank between two encoded words (Python's of 3.11 is one) then show one blank too many and no word in two.
    pieces: list[str] = []
    waiting = ""
    for word in name.split():
        joined = f"{waiting} {word}" if waiting else word
        if _is_plain(word) and not _NEED_QUOTES & set(word):
            pieces += [*_encode(waiting), word]
            waiting = ""
        elif len(_UTF_8.header_encode(joined + " ")) <= _NAME_PIECE:
            waiting = joined
        else:
            pieces += _encode(waiting + " ") if waiting else []
            waiting = word
    return [*pieces, *_encode(waiting)]


def _encode(text: str) -> list[str]:
    return Header(text, "utf-8", maxlinelen=_NAME_PIECE).encode(linesep="\n").split("\n ") if text else []


def _join(name: str, pieces: Sequence[str], line_end: str) -> str:
    lines = [f"{name}:"]
    for piece in pieces:
        if len(lines[-1]) + 1 + len(piece) > _LINE + 1 and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += " " + piece
    return line_end.join(lines) + line_end


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

    Gmail shows «noname» for raw letters beyond ASCII and old Outlook «untitled» for the encoded form
    (docs/facts/mail.md, 3).
    """
    plain = unicodedata.normalize("NFKD", header_text(name))
    ascii_name = plain.encode("ascii", "ignore").decode("ascii")
    clean = re.sub(r"\s+", "_", _FORBIDDEN.sub("-", ascii_name)).strip("._- ") or sentence("cgcore.mail", "attachment")
    if len(clean) <= _LONGEST_NAME:
        return clean
    stem, dot, ending = clean.rpartition(".")
    if not dot or len(ending) > 10:
        return clean[:_LONGEST_NAME]
    return f"{stem[: _LONGEST_NAME - len(ending) - 1]}.{ending}"
