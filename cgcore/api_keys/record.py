"""An API key's life: asked for, issued, stored, checked, paired; a value at each moment, and nothing that does I/O."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from cgcore.api_keys.form import KeyParts
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.texts import text
from cgcore.vault.secret import Secret

__all__ = [
    "ISSUE_ACTION",
    "KEPT_CALLS",
    "LAST_USED_EVERY",
    "MAX_DEVICE",
    "MAX_LIVE_KEYS",
    "PAIRING_LIFETIME",
    "PAIR_ACTION",
    "ROLL_ACTION",
    "ROLL_GRACE",
    "IssuedKey",
    "KeyRecord",
    "KeyRequest",
    "KeyState",
    "Pairing",
    "StoredKey",
    "admit",
    "build_payload",
    "digest_secret",
    "dump_scopes",
    "key_state",
    "parse_scopes",
    "problem",
    "refuse_too_many",
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
    locale: str = ""

    def may_act(self, moment: datetime) -> bool:
        """Return whether a call with the key is answered at ``moment``, the rows being as they are."""
        state = key_state(moment, revoked=self.revoked, expires=self.expires, retires=self.retires)
        return state.is_heard and self.user_active


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


# What a grant must be for: each lets one new key come into being.
ISSUE_ACTION = "api_key_issue"
ROLL_ACTION = "api_key_roll"
PAIR_ACTION = "api_key_pair"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, shown once. ``old_expires``: until when the key it replaces is still heard, if it replaces one."""

    key: Secret
    id: str
    old_expires: datetime | None = None


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
    """Return the problem of one field and the values of its sentence."""
    return FieldProblem(name, code, text("cgcore.api_keys", code, **values))


def _one_line(words: str) -> str:
    # Categories C* are control, format and unassigned characters: none belongs in a name.
    kept = "".join(" " if unicodedata.category(character).startswith("C") else character for character in words)
    return " ".join(unicodedata.normalize("NFC", kept).split())


# Compared when there is no such key: the same work, and no secret has this digest.
_NO_DIGEST = "0" * 64


def digest_secret(secret: Secret, pepper: bytes) -> str:
    """Return the HMAC-SHA256 of ``secret`` under ``pepper`` as hex.

    A fast digest is right here: the secret is random, not chosen by a person (OWASP ASVS 6.5.2).
    """
    return hmac.new(pepper, secret.reveal().encode("ascii"), hashlib.sha256).hexdigest()


def admit(parts: KeyParts, stored: StoredKey | None, *, pepper: bytes, now: datetime, ip: str = "") -> Actor | None:
    """Return who acts with the key, or ``None``: unknown, wrong, revoked, expired and disabled are one answer.

    An unknown key costs the same digest and comparison as a known one.
    """
    expected = stored.digest if stored else _NO_DIGEST
    if not hmac.compare_digest(expected, digest_secret(parts.secret, pepper)) or stored is None:
        return None
    if not stored.may_act(now):
        return None
    return Actor(
        user_id=stored.user_id,
        username=stored.username,
        full_name=stored.full_name,
        mail=stored.mail,
        role=stored.role,
        key_id=stored.id,
        scopes=stored.scopes,
        ip=ip,
        locale=stored.locale,
    )


PAIRING_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Pairing:
    """An open pairing: the one-time code, the text of the QR code, and when both stop working."""

    code: Secret
    payload: Secret
    expires: datetime


def build_payload(address: str, code: Secret) -> Secret:
    """Return the text of the QR code: ``cloud-gestion:pair?`` with the API's address and the one-time code."""
    return Secret("cloud-gestion:pair?" + urlencode({"api": address, "code": code.reveal()}))
