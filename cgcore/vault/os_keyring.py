"""The operating system's keyring: which backend, whether it proves itself, and guarded calls to it.

Imports ``keyring``, so it is itself imported at the first use of the vault.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import TypeVar, cast

from keyring.backend import KeyringBackend, get_all_keyring
from keyring.core import load_keyring
from keyring.errors import PasswordDeleteError

from cgcore.errors import VaultError
from cgcore.vault.guard import Guard
from cgcore.vault.stores import MAX_CHARACTERS, SERVICE, SecretStore

__all__ = ["GuardedKeyring", "backend_id", "find_backend", "is_refused", "prove"]

_BACKEND_VARIABLE = "PYTHON_KEYRING_BACKEND"
# By class, and with them whatever derives from them: one passes on to whatever there is, two keep nothing.
_REFUSED_CLASSES = frozenset(
    {
        "keyring.backends.chainer.ChainerBackend",
        "keyring.backends.fail.Keyring",
        "keyring.backends.null.Keyring",
    }
)
# Plain text, encryption without authentication, and passwords asked for on a terminal that nobody watches.
_REFUSED_PACKAGES = ("keyrings.alt.", "keyrings.cryptfile.")
# The longest value that the vault keeps, with characters that backends have mangled before.
_PROBE_TAIL = ' "\\ñ€ '

_Result = TypeVar("_Result")


def backend_id(backend: KeyringBackend | type[KeyringBackend]) -> str:
    """Return the dotted name of the backend's class."""
    kind = backend if isinstance(backend, type) else type(backend)
    return f"{kind.__module__}.{kind.__qualname__}"


def is_refused(backend: KeyringBackend) -> bool:
    """Return whether the backend's class, or one it derives from, keeps nothing, keeps it in clear, or passes it on."""
    names = [backend_id(kind) for kind in type(backend).__mro__]
    return any(name in _REFUSED_CLASSES or name.startswith(_REFUSED_PACKAGES) for name in names)


def find_backend() -> KeyringBackend:
    """Return the backend to prove: the one that ``PYTHON_KEYRING_BACKEND`` names, else the best one detected.

    ``keyringrc.cfg`` is not read: its ``keyring-path`` would run code out of a folder. May take as long as a silent
    D-Bus does, so it is called under a deadline. Raises :class:`VaultError`: ``keyring_none`` when there is none,
    ``keyring_refused`` when the named one is of a refused class, ``keyring_unknown`` when it cannot be loaded.
    """
    named = os.environ.get(_BACKEND_VARIABLE)
    if named:
        backend = _load(named)
        if is_refused(backend):
            raise VaultError(f"refused backend: {backend_id(backend)}", code="keyring_refused")
        return backend
    found = get_all_keyring()
    usable = [backend for backend in found if not is_refused(backend) and backend.priority >= 1]
    if not usable:
        raise VaultError("no usable keyring backend", code="keyring_none")
    return max(usable, key=lambda backend: float(backend.priority))


def _load(name: str) -> KeyringBackend:
    try:
        return load_keyring(name)
    except Exception as error:
        # An unknown name raises whatever importing it raises.
        raise VaultError(f"loading the backend: {type(error).__name__}", code="keyring_unknown") from None


def prove(backend: KeyringBackend) -> None:
    """Set, read, remove a random value of the longest length. Raises :class:`VaultError` ``keyring_unproven``."""
    store = cast(SecretStore, backend)
    user = f"self-test/{secrets.token_hex(8)}"
    value = secrets.token_hex(MAX_CHARACTERS)[: MAX_CHARACTERS - len(_PROBE_TAIL)] + _PROBE_TAIL
    try:
        store.set_password(SERVICE, user, value)
        kept = store.get_password(SERVICE, user) == value
        store.delete_password(SERVICE, user)
        removed = store.get_password(SERVICE, user) is None
    except Exception as error:
        # Backends raise KeyringError, RuntimeError, OSError, EOFError and their platform's own classes.
        raise VaultError(f"self-test: {type(error).__name__}", code="keyring_unproven") from None
    if not (kept and removed):
        raise VaultError("self-test: the value did not come back as it was", code="keyring_unproven")


class GuardedKeyring:
    """A backend whose every call has a deadline and whose every failure is a :class:`VaultError`."""

    def __init__(self, backend: KeyringBackend, guard: Guard) -> None:
        self._backend = cast(SecretStore, backend)
        self._guard = guard

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, or None."""
        return self._call(lambda: self._backend.get_password(service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret."""
        self._call(lambda: self._backend.set_password(service, username, password))

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises keyring's ``PasswordDeleteError`` when there is none."""
        self._call(lambda: self._backend.delete_password(service, username))

    def _call(self, function: Callable[[], _Result]) -> _Result:
        try:
            return self._guard.call(function)
        except (VaultError, PasswordDeleteError):
            raise
        except Exception as error:
            # KeyringError, RuntimeError, OSError, EOFError, the platform's own: their text may quote the value.
            raise VaultError(f"keyring: {type(error).__name__}", code="keyring_failed") from None
