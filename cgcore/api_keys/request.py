"""What is asked for when a key is issued, and the rules it is held against."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from cgcore.api_keys.record import KeyRecord
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Scope
from cgcore.texts import sentence

__all__ = ["MAX_DEVICE", "MAX_LIVE_KEYS", "KeyRequest", "problem", "refuse_too_many"]

MAX_DEVICE = 60
MAX_LIVE_KEYS = 20


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to be: the name of the application or device, what it may do, and until when (``None``: no end)."""

    device: str
    scopes: frozenset[Scope]
    expires: datetime | None = None

    @classmethod
    def checked(cls, device: str, scopes: Collection[Scope], expires: datetime | None, *, now: datetime) -> KeyRequest:
        """Return the request with a tidy name. Raises :class:`InvalidInput` naming every wrong field."""
        name = _one_line(device)
        problems = [
            *(() if name else (problem("device", "empty_device"),)),
            *((problem("device", "long_device", limit=MAX_DEVICE),) if len(name) > MAX_DEVICE else ()),
            *(() if scopes else (problem("scopes", "no_scopes"),)),
            *((problem("expires", "past_expiry"),) if expires is not None and expires <= now else ()),
        ]
        if problems:
            raise InvalidInput(*problems)
        return cls(name, frozenset(scopes), expires)


def refuse_too_many(keys: Iterable[KeyRecord], now: datetime) -> None:
    """Raise :class:`InvalidInput` when a user has as many live keys as one may have."""
    if sum(key.state(now).is_heard for key in keys) >= MAX_LIVE_KEYS:
        raise InvalidInput(problem("device", "too_many_keys", limit=MAX_LIVE_KEYS))


def problem(name: str, code: str, **values: object) -> FieldProblem:
    """Return the problem of one field with its Spanish sentence."""
    return FieldProblem(name, code, sentence("cgcore.api_keys", code, **values))


def _one_line(text: str) -> str:
    # Categories C* are control, format and unassigned characters: none belongs in a name.
    kept = "".join(" " if unicodedata.category(character).startswith("C") else character for character in text)
    return " ".join(unicodedata.normalize("NFC", kept).split())
