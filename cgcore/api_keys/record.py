"""A stored API key: what the page lists, what the check reads, and the state of both at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cgcore.identity.actor import Role, Scope

__all__ = [
    "KEPT_CALLS",
    "LAST_USED_EVERY",
    "ROLL_GRACE",
    "KeyRecord",
    "KeyState",
    "StoredKey",
    "dump_scopes",
    "key_state",
    "parse_scopes",
]

# A replaced key lives this long, or until its successor is first used: a lost answer must lock nobody out.
ROLL_GRACE = timedelta(hours=24)

# «Last used» is written at most this often, so that reading stays reading.
LAST_USED_EVERY = timedelta(seconds=30)

# How many calls of each key are kept one by one; older ones are only counted by day.
KEPT_CALLS = 20


class KeyState(StrEnum):
    """What a key can do now. ``RETIRING``: replaced, and still heard for a while."""

    ACTIVE = "active"
    RETIRING = "retiring"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def is_heard(self) -> bool:
        """Whether a call with such a key is answered."""
        return self in (KeyState.ACTIVE, KeyState.RETIRING)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as its owner sees it. No part of the secret but its last four characters is here."""

    id: str
    user_id: int
    device: str
    last4: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    last_ip: str = ""
    revoked: datetime | None = None
    retires: datetime | None = None
    replaced_by: str | None = None

    def state(self, now: datetime) -> KeyState:
        """Return what the key can do at ``now``."""
        return key_state(now, revoked=self.revoked, expires=self.expires, retires=self.retires)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What one joined statement reads to check a call: the key with its owner."""

    id: str
    digest: str
    scopes: frozenset[Scope]
    expires: datetime | None
    retires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    user_id: int
    username: str
    full_name: str
    mail: str
    role: Role
    user_active: bool


def key_state(
    now: datetime, *, revoked: datetime | None, expires: datetime | None, retires: datetime | None
) -> KeyState:
    """Return the state of a key at ``now``; each moment counts from its first instant on."""
    if revoked is not None:
        return KeyState.REVOKED
    if expires is not None and expires <= now:
        return KeyState.EXPIRED
    if retires is None:
        return KeyState.ACTIVE
    return KeyState.RETIRING if now < retires else KeyState.REVOKED


def parse_scopes(text: str) -> frozenset[Scope]:
    """Return the scopes written by :func:`dump_scopes`."""
    return frozenset(Scope(word) for word in text.split())


def dump_scopes(scopes: frozenset[Scope]) -> str:
    """Return the scopes as one text, in their own order."""
    return " ".join(scope.value for scope in Scope if scope in scopes)
