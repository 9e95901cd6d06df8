"""The folders of a mailbox as LIST tells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cgcore.mail.utf7 import decode_folder, encode_folder

__all__ = ["Folder", "find_folder", "full_name", "parse_folders", "parse_namespace", "unlisted"]

# One LIST line: (flags) delimiter name. Where the name is a literal, only its announcement {12} stands here.
_ROW = re.compile(rb'\s*\(([^)]*)\)\s+("(?:[^"\\]|\\.)*"|NIL)\s+(.*)', re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL = re.compile(rb"\{\d+\+?\}\s*$")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)

# The special uses of RFC 6154.
_USES = frozenset({"\\sent", "\\drafts", "\\trash", "\\junk", "\\archive", "\\all", "\\flagged"})


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. ``name`` is for people, ``wire`` the very bytes the server used, ``delimiter`` may be empty."""

    name: str
    wire: bytes
    delimiter: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def path(self) -> tuple[str, ...]:
        """The elements of the name: ``INBOX.Sent`` is ``("INBOX", "Sent")``."""
        return tuple(self.name.split(self.delimiter)) if self.delimiter else (self.name,)

    @property
    def selectable(self) -> bool:
        """Whether the folder can hold messages (RFC 9051 §7.3.1)."""
        return self.flags.isdisjoint({"\\noselect", "\\nonexistent"})

    @property
    def use(self) -> str:
        """The special use without its backslash (``sent``, ``trash`` …), or ``""``."""
        return next((flag.removeprefix("\\") for flag in sorted(self.flags & _USES)), "")

    def to_json(self) -> dict[str, Any]:
        """Return the folder as plain JSON values."""
        return {
            "name": self.name,
            "delimiter": self.delimiter,
            "flags": sorted(self.flags),
            "use": self.use,
            "selectable": self.selectable,
        }


def parse_folders(rows: Iterable[bytes | tuple[bytes, bytes]]) -> tuple[Folder, ...]:
    r"""Return the folders of LIST rows as imaplib collects them; rows that are none are passed over.

    ``b'(\\HasNoChildren \\Sent) "/" "Elementos enviados"'``, or for a name sent as a literal the pair
    ``(b'(\\Noselect) NIL {5}', b'A"B')``, behind which imaplib leaves an empty row.
    """
    folders: dict[bytes, Folder] = {}
    for row in rows:
        head, literal = row if isinstance(row, tuple) else (row, None)
        found = _ROW.match(head)
        if found is None:
            continue
        wire = literal if literal is not None and _LITERAL.search(head) else _string(found[3])
        if wire:
            flags = frozenset(flag.decode("latin-1").lower() for flag in found[1].split())
            name = "INBOX" if wire.upper() == b"INBOX" else decode_folder(wire)
            folders.setdefault(wire, Folder(name, wire, _delimiter(found[2]), flags))
    return tuple(folders.values())


def parse_namespace(rows: Sequence[bytes]) -> tuple[str, str]:
    r"""Return prefix and delimiter of the personal namespace (RFC 2342): ``(("INBOX." ".")) NIL NIL``."""
    found = re.match(
        rb'\s*\(\(\s*"((?:[^"\\]|\\.)*)"\s+("(?:[^"\\]|\\.)*"|NIL)', rows[0] if rows else b"", re.IGNORECASE
    )
    if found is None:
        return "", ""
    return decode_folder(_ESCAPE.sub(rb"\1", found[1])), _delimiter(found[2])


def find_folder(folders: Iterable[Folder], name: str) -> Folder | None:
    """Return the folder with exactly this name (INBOX in any case, RFC 9051 §5.1), or ``None``."""
    wanted = "INBOX" if name.upper() == "INBOX" else name
    return next((folder for folder in folders if folder.name == wanted), None)


def full_name(typed: str, prefix: str, delimiter: str) -> str:
    """Return where a folder typed without its prefix would have to lie: ``Enviados`` is ``INBOX.Enviados``."""
    if not prefix or typed.upper() == "INBOX" or typed.startswith(prefix):
        return typed
    if prefix.upper().startswith("INBOX") and typed.upper().startswith(prefix.upper()):  # RFC 9051 §5.1
        return prefix + typed[len(prefix) :]
    parts = re.split(r"[/.]", typed) if delimiter and delimiter not in typed else [typed]
    rooted = [part for part in parts if part]
    if prefix.upper().startswith("INBOX") and [part.upper() for part in rooted[:1]] == ["INBOX"]:
        rooted = rooted[1:]
    return prefix + (delimiter.join(rooted) if delimiter else typed)


def unlisted(name: str) -> Folder:
    """Return a folder that LIST does not show, with the name encoded by ourselves."""
    return Folder(name, encode_folder(name))


def _delimiter(token: bytes) -> str:
    return "" if token.upper() == b"NIL" else _string(token).decode("latin-1")


def _string(token: bytes) -> bytes:
    quoted = _QUOTED.match(token)
    return _ESCAPE.sub(rb"\1", quoted[1]) if quoted else token.strip()
