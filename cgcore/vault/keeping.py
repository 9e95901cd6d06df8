"""One secret in one store: kept for certain, or what stood there before is put back."""

from __future__ import annotations

from contextlib import suppress

from cgcore.errors import VaultError
from cgcore.vault.stores import SERVICE, SecretStore

__all__ = ["as_vault_error", "find_replaced", "keep", "put_back", "remove"]


def find_replaced(store: SecretStore, name: str) -> str | None:
    """Return what stands under ``name``; a record that cannot be opened counts as none, so it can be replaced."""
    try:
        return store.get_password(SERVICE, name)
    except VaultError as error:
        if error.code != "record_unreadable":
            raise
        return None


def keep(store: SecretStore, name: str, value: str) -> None:
    """Write, read back, compare. Raises :class:`VaultError` ``secret_not_kept`` when another value came back."""
    store.set_password(SERVICE, name, value)
    if store.get_password(SERVICE, name) != value:
        raise VaultError("the secret did not come back as it was", code="secret_not_kept")


def put_back(store: SecretStore, name: str, before: str | None) -> None:
    """Restore ``before``, or remove the secret if there was none; the store has just failed, so this may fail too."""
    with suppress(Exception):
        if before is None:
            store.delete_password(SERVICE, name)
        else:
            store.set_password(SERVICE, name, before)


def remove(store: SecretStore, name: str) -> None:
    """Remove the secret; one that is not there is no error. Raises :class:`VaultError` when it remains."""
    from keyring.errors import PasswordDeleteError

    try:
        store.delete_password(SERVICE, name)
    except PasswordDeleteError:
        # Backends raise it for "there is none", and for anything else.
        if find_replaced(store, name) is not None:
            raise VaultError("the secret cannot be removed", code="keyring_failed") from None


def as_vault_error(error: VaultError | OSError) -> VaultError:
    """Return ``error``, or the :class:`VaultError` for records that could not be reached."""
    if isinstance(error, VaultError):
        return error
    return VaultError(f"the vault's records: {type(error).__name__}", code="records_unreachable")
