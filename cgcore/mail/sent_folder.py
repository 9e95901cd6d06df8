"""Which folder keeps the copies of sent mail: by the server's flag, else by its name, else nobody guesses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from cgcore.mail.folders import Folder, find_folder
from cgcore.mail.utf7 import decode_folder

__all__ = ["SentChoice", "choose_sent", "is_sent_name", "rank_folders", "suggest_folder"]

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


@cache
def _names(which: str) -> frozenset[str]:
    return frozenset(_plain(name) for name in (_SENT_NAMES if which == "sent" else _NEVER_NAMES))


def is_sent_name(leaf: str) -> bool:
    """Whether the last element of a path is a known name for sent mail, in any case, with or without accents."""
    return _plain(leaf) in _names("sent")


def _is_candidate(folder: Folder) -> bool:
    return folder.selectable and folder.use not in _OTHER_USES and is_sent_name(folder.path[-1])


def choose_sent(folders: Sequence[Folder]) -> SentChoice:
    r"""Return the folder for copies: the one flagged ``\Sent`` (RFC 6154), else the only one with a known name."""
    flagged = tuple(folder for folder in folders if folder.use == "sent" and folder.selectable)
    named = tuple(folder for folder in folders if _is_candidate(folder) and folder not in flagged)
    for found, reason in ((flagged, "flag"), (named, "name")):
        if len(found) == 1:
            return SentChoice(found[0], reason, (*flagged, *named))
        if found:
            return SentChoice(None, "ambiguous", (*flagged, *named))
    return SentChoice(None, "none")


def rank_folders(folders: Sequence[Folder]) -> tuple[Folder, ...]:
    r"""Return the folders in the order to offer them: ``\Sent``, known names, the others by name, never-names last."""

    def rank(folder: Folder) -> tuple[int, str]:
        leaf = _plain(folder.path[-1])
        if folder.use == "sent":
            return 0, ""
        if _is_candidate(folder):
            return 1, leaf
        unlikely = folder.use in _OTHER_USES or leaf in _names("never")
        return (3 if unlikely else 2), _plain(folder.name)

    return tuple(sorted(folders, key=rank))


def suggest_folder(typed: str, folders: Iterable[Folder]) -> Folder | None:
    """Return what was probably meant by a name that is not there, or ``None`` when that would be a guess.

    The same path but for case, accents and delimiter; else the only folder with the same last element (``Sent`` and
    ``INBOX.Sent``); else the folder for sent mail.
    """
    kept = [folder for folder in folders if folder.selectable]
    if encoded := find_folder(kept, decode_folder(typed.encode())):
        return encoded  # typed as it stands on the wire, in modified UTF-7
    elements = tuple(_plain(part) for part in re.split(r"[/.\\]", typed) if part)
    for depth in (0, -1):
        wanted = elements[depth:]
        found = [folder for folder in kept if tuple(_plain(part) for part in folder.path)[depth:] == wanted]
        if len(found) == 1:
            return found[0]
    return choose_sent(kept).folder
