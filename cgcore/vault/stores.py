"""What the vault stands on: something that keeps one text per service and user, and what it may be given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cgcore.errors import VaultError
from cgcore.vault.secret import Secret

__all__ = [
    "MAX_CHARACTERS",
    "SERVICE",
    "Bond",
    "Kept",
    "SecretStore",
    "check_storable",
    "pack",
    "require_bond",
    "unpack",
]

Bond = Mapping[str, str]
"""What a secret is for, by name: ``{"user": "marta@example.com", "smtp": "smtp.example.com"}``."""

SERVICE = "cloud-gestion"
# Nothing needs more: a token has a few thousand. It keeps a mistake, a file say, out of the store.
MAX_CHARACTERS = 65_536


class SecretStore(Protocol):
    """The part of a keyring backend that the vault uses."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, or None."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises keyring's ``PasswordDeleteError`` when there is none."""
        ...


def check_storable(secret: Secret) -> str:
    """Return the text of ``secret`` if every backend can keep it.

    Raises :class:`VaultError`: ``secret_empty``, ``secret_too_long`` (over 65,536 UTF-16 units), ``secret_invalid``
    (a lone surrogate or NUL).
    """
    value = secret.reveal()
    if not value:
        raise VaultError("an empty secret is not kept", code="secret_empty")
    try:
        units = len(value.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        # Without the cause: it holds the value.
        raise VaultError("the secret is no valid text", code="secret_invalid") from None
    if "\0" in value:
        raise VaultError("the secret holds a NUL", code="secret_invalid")
    if units > MAX_CHARACTERS:
        raise VaultError("the secret is too long", code="secret_too_long")
    return value


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret with the bond it was kept with, None for one without."""

    secret: Secret
    bond: Bond | None


# No secret holds a NUL, so a text that begins with one is a secret with its bond.
_BOUND = "\0"


def pack(value: str, bond: Bond | None) -> str:
    """Return the one text that a store keeps for a secret and its bond; without a bond that is the secret itself."""
    return value if bond is None else _BOUND + json.dumps([value, dict(bond)])


def unpack(text: str) -> Kept:
    """Return what :func:`pack` was given. Raises :class:`VaultError` ``record_unreadable``."""
    if not text.startswith(_BOUND):
        return Kept(Secret(text), None)
    try:
        value, bond = json.loads(text[len(_BOUND) :])
    except ValueError:
        raise VaultError("the record is no secret with a bond", code="record_unreadable") from None
    return Kept(Secret(value), bond)


def require_bond(kept: Kept, wanted: Bond) -> None:
    """Raise :class:`VaultError` unless each entry of ``wanted`` is one of the bond that the secret was kept with."""
    if kept.bond is None:
        raise VaultError("the secret was kept without a bond", code="secret_unbound")
    if any(kept.bond.get(name) != value for name, value in wanted.items()):
        raise VaultError("the secret was kept for something else", code="secret_misplaced")
