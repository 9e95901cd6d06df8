"""The folders of a mailbox as LIST tells them, their names on the wire, and the one for sent mail."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = [
    "Folder",
    "Namespaces",
    "SentChoice",
    "choose_junk",
    "choose_sent",
    "decode_folder",
    "encode_folder",
    "find_folder",
    "full_name",
    "is_sent_name",
    "list_filed",
    "parse_folders",
    "parse_namespaces",
    "parse_quota",
    "quote_string",
    "rank_folders",
    "suggest_folder",
    "unlisted",
]

# One LIST line: (flags) delimiter name. Where the name is a literal, only its announcement {12} stands here.
_ROW = re.compile(rb'\s*\(([^)]*)\)\s+("(?:[^"\\]|\\.)*"|NIL)\s+(.*)', re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL = re.compile(rb"\{\d+\+?\}\s*$")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_RESOURCE = re.compile(rb"([A-Za-z][A-Za-z0-9-]*) (\d{1,18}) (\d{1,18})")

# The special uses of RFC 6154.
_USES = frozenset({"\\sent", "\\drafts", "\\trash", "\\junk", "\\archive", "\\all", "\\flagged"})


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. ``name`` is for people, ``wire`` the very bytes the server used, ``delimiter`` may be empty.

    ``foreign`` lies outside the personal namespace: another person's, or shared. It is never proposed.
    """

    name: str
    wire: bytes
    delimiter: str = ""
    flags: frozenset[str] = frozenset()
    foreign: bool = False

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


@dataclass(frozen=True, slots=True)
class Namespaces:
    """What NAMESPACE tells (RFC 2342): prefix and delimiter of the first personal one, and all prefixes by owner."""

    prefix: str = ""
    delimiter: str = ""
    personal: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def is_foreign(self, name: str) -> bool:
        """Whether a folder is another person's or shared: the longest prefix that it begins with decides."""
        upper = name.upper()
        if upper == "INBOX":
            return False
        whole = {prefix: foreign for foreign in (True, False) for prefix in (self.personal, self.foreign)[foreign]}
        fitting = [prefix for prefix in whole if _begins_with(name, prefix)]
        return whole[max(fitting, key=len)] if fitting else False


def _begins_with(name: str, prefix: str) -> bool:
    if prefix[:5].upper() == "INBOX":  # in any case, RFC 9051 §5.1
        return name.upper().startswith(prefix.upper())
    return name.startswith(prefix) or name == prefix[:-1]


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[()]|NIL', re.IGNORECASE)


def parse_namespaces(rows: Sequence[bytes]) -> Namespaces:
    r"""Return the namespaces of a row: ``(("INBOX." ".")) (("user." ".")) (("" "."))``; each may be NIL."""
    personal, *foreign = _namespace_entries(rows[0] if rows else b"")
    first = personal[0] if personal else (b'""', b"NIL")
    return Namespaces(
        decode_folder(_string(first[0])),
        _delimiter(first[1]),
        tuple(decode_folder(_string(prefix)) for prefix, _ in personal),
        tuple(decode_folder(_string(prefix)) for kind in foreign for prefix, _ in kind),
    )


def parse_quota(rows: Iterable[bytes]) -> dict[str, list[int]]:
    """Return used and limit by resource (RFC 9208 §5.1): ``"root" (STORAGE 10 512 MESSAGE 3 1000)``.

    Of several roots the fullest counts; a limit of nothing is none.
    """
    found: dict[str, list[int]] = {}
    for row in rows:
        for name, used, limit in _RESOURCE.findall(row.rpartition(b"(")[2]):
            now, key = [int(used), int(limit)], name.decode("ascii").upper()
            if now[1] and (key not in found or now[0] * found[key][1] > found[key][0] * now[1]):
                found[key] = now
    return found


def _namespace_entries(row: bytes) -> list[list[tuple[bytes, bytes]]]:
    """Return prefix and delimiter of each entry, by the three kinds; extensions behind them are passed over."""
    kinds: list[list[tuple[bytes, bytes]]] = []
    depth, entry = 0, list[bytes]()
    for token in _TOKEN.findall(row):
        depth += (token == b"(") - (token == b")")
        if depth == 0 and token != b")":
            kinds.append([])  # NIL
        elif token == b"(" and depth < 3:
            kinds += [[]] if depth == 1 else []
            entry = []
        elif token == b")" and depth == 1 and len(entry) > 1 and kinds:
            kinds[-1].append((entry[0], entry[1]))
        elif depth == 2:
            entry.append(token)
    return kinds or [[]]


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


_SENT_NAMES = (
    # Spanish, Catalan, Basque, Galician and Portuguese
    "Enviados", "Elementos enviados", "Correo enviado", "Correos enviados", "Mensajes enviados", "Enviado",
    "Bandeja de enviados", "Enviats", "Elements enviats", "Bidalitakoak", "E-mails enviados", "Correio enviado",
    "Enviada",
    # English
    "Sent", "Sent Items", "Sent Mail", "Sent Messages", "sent-mail", "SentBox", "sent objects",
    # German, French, Italian, Dutch
    "Gesendet", "Gesendete Objekte", "Messages envoyés", "Éléments envoyés", "Posta inviata", "Inviati", "Verzonden",
    "Verzonden berichten",
    # the rest of the continent
    "Wysłane", "Wyslane", "Sendt", "Sendte e-mails", "Skickat", "Odeslaná pošta", "Gönderildi", "Απεσταλμένα",
    "Отправленные",
    # Chinese, Japanese, Korean
    "寄件備份", "已发送邮件", "送信済み", "보낸편지함",
)  # fmt: skip

# What programs have been seen to take for it: drafts, trash, templates, and what has *not* been sent yet.
_NEVER_NAMES = (
    "Borradores", "Papelera", "Plantillas", "Bandeja de salida", "Outbox", "Postausgang", "Papierkorb", "Koš",
)  # fmt: skip

_JUNK_NAMES = (
    "Spam", "Junk", "Junk Email", "Junk E-mail", "Bulk Mail", "Correo no deseado", "Correo basura", "No deseado",
    "Brossa", "Spamverdacht", "Junk-E-Mail", "Courrier indésirable", "Posta indesiderata", "Lixo eletrônico",
    "Ongewenste e-mail",
)  # fmt: skip

_OTHER_USES = frozenset({"drafts", "trash", "junk", "archive", "all", "flagged"})


@dataclass(frozen=True, slots=True)
class SentChoice:
    """The folder for copies and why: ``flag`` (the server says so), ``name``, ``ambiguous`` or ``none``.

    ``folder`` is ``None`` for the last two; ``candidates`` are what a person may choose from, best first.
    """

    folder: Folder | None
    reason: str
    candidates: tuple[Folder, ...] = ()


def _plain(text: str) -> str:
    """Return ``text`` as names are compared: without accents, case and doubled blanks."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).split())


_NAMES = {"sent": _SENT_NAMES, "never": _NEVER_NAMES, "junk": _JUNK_NAMES}


@cache
def _names(which: str) -> frozenset[str]:
    return frozenset(_plain(name) for name in _NAMES[which])


def is_sent_name(leaf: str) -> bool:
    """Whether the last element of a path is a known name for sent mail, in any case, with or without accents."""
    return _plain(leaf) in _names("sent")


def _is_candidate(folder: Folder) -> bool:
    return folder.selectable and not folder.foreign and folder.use not in _OTHER_USES and is_sent_name(folder.path[-1])


def choose_sent(folders: Sequence[Folder]) -> SentChoice:
    r"""Return the folder for copies: the one flagged ``\Sent`` (RFC 6154), else the only one with a known name."""
    flagged = tuple(folder for folder in folders if folder.use == "sent" and folder.selectable and not folder.foreign)
    named = tuple(folder for folder in folders if _is_candidate(folder) and folder not in flagged)
    for found, reason in ((flagged, "flag"), (named, "name")):
        if len(found) == 1:
            return SentChoice(found[0], reason, (*flagged, *named))
        if found:
            return SentChoice(None, "ambiguous", (*flagged, *named))
    return SentChoice(None, "none")


def list_filed(folders: Sequence[Folder]) -> Sequence[Folder]:
    r"""Return where a provider may have filed what was sent: the sent folder, or those that may be it, and ``\All``."""
    sent = choose_sent(folders)
    own = [folder for folder in folders if folder.use == "all" and folder.selectable and not folder.foreign]
    return (*([sent.folder] if sent.folder else sent.candidates), *own)


def choose_junk(folders: Sequence[Folder]) -> Folder | None:
    r"""Return the folder for unwanted mail: flagged ``\Junk`` (RFC 6154), else the first with a known name for it."""
    kept = [folder for folder in folders if folder.selectable and not folder.foreign]
    flagged = [folder for folder in kept if folder.use == "junk"]
    named = [folder for folder in kept if not folder.use and _plain(folder.path[-1]) in _names("junk")]
    return next(iter((*flagged, *named)), None)


def rank_folders(folders: Sequence[Folder]) -> tuple[Folder, ...]:
    r"""Return the folders in the order to offer them: ``\Sent``, known names, the others by name, never-names last."""

    def rank(folder: Folder) -> tuple[int, str]:
        leaf = _plain(folder.path[-1])
        if folder.foreign:
            return 4, _plain(folder.name)
        if folder.use == "sent":
            return 0, ""
        if _is_candidate(folder):
            return 1, leaf
        unlikely = folder.use in _OTHER_USES or leaf in _names("never")
        return (3 if unlikely else 2), _plain(folder.name)

    return tuple(sorted(folders, key=rank))


def suggest_folder(typed: str, folders: Iterable[Folder], prefix: str = "") -> Folder | None:
    """Return what was probably meant by a name that is not there, or ``None`` when that would be a guess.

    The same path, whole, but for case, accents, delimiter and the personal ``prefix``; for a name without a path the
    only folder that ends in it (``Sent`` and ``INBOX.Sent``); else the folder for sent mail. Never another person's.
    """
    kept = [folder for folder in folders if folder.selectable and not folder.foreign]
    if encoded := find_folder(kept, decode_folder(typed.encode())):
        return encoded  # typed as it stands on the wire, in modified UTF-7
    root = _elements(re.split(r"[/.\\]", prefix))
    wanted = _without_root(_elements(re.split(r"[/.\\]", typed)), root)
    same = [folder for folder in kept if _without_root(_elements(folder.path), root) == wanted]
    if not same and len(wanted) == 1:
        same = [folder for folder in kept if _elements(folder.path)[-1:] == wanted]
    return same[0] if len(same) == 1 else choose_sent(kept).folder


def _elements(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(_plain(part) for part in parts if part)


def _without_root(elements: tuple[str, ...], root: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path without the personal prefix, or the INBOX that stands for it."""
    for beginning in (root, ("inbox",)):
        if beginning and len(elements) > len(beginning) and elements[: len(beginning)] == beginning:
            return elements[len(beginning) :]
    return elements


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
