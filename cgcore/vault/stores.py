"""What the vault stands on: something that keeps one text per service and user, and what it may be given."""

from __future__ import annotations

from typing import Protocol

from cgcore.errors import VaultError
from cgcore.vault.secret import Secret

__all__ = ["MAX_CHARACTERS", "SERVICE", "SecretStore", "check_storable"]

SERVICE = "cloud-gestion"
# Windows keeps 2560 bytes of UTF-16 for one entry. The limit holds everywhere, so that a move cannot break a secret.
MAX_CHARACTERS = 1280


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

    Raises :class:`VaultError`: ``secret_empty``, ``secret_too_long`` (over 1280 UTF-16 units), ``secret_invalid``
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
