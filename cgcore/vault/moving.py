"""Moves every secret from one store to another: read all, write all, compare all, only then remove."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from cgcore.errors import VaultError
from cgcore.vault.stores import SERVICE, SecretStore

__all__ = ["move_secrets"]


def move_secrets(
    names: Iterable[str], source: SecretStore, target: SecretStore, *, switch: Callable[[], None]
) -> list[str]:
    """Move the secrets ``names`` and return those that there were.

    ``switch`` is called once all of them are proven in ``target`` and none has been removed from ``source``: from then
    on the new place counts. Raises :class:`VaultError` before that point with ``source`` untouched and ``target``
    cleaned; what cannot be removed from ``source`` afterwards is left there.
    """
    read = [(name, source.get_password(SERVICE, name)) for name in names]
    found = {name: value for name, value in read if value is not None}
    try:
        for name, value in found.items():
            target.set_password(SERVICE, name, value)
        if any(target.get_password(SERVICE, name) != value for name, value in found.items()):
            raise VaultError("a secret did not come back as it was", code="secret_not_kept")
        switch()
    except BaseException:
        _remove(target, found)
        raise
    _remove(source, found)
    return list(found)


def _remove(store: SecretStore, names: Iterable[str]) -> None:
    for name in names:
        # keyring's PasswordDeleteError, or ours.
        with suppress(Exception):
            store.delete_password(SERVICE, name)
