"""The operating system's keyring: which backend, whether it proves itself, guarded calls, and what is kept with it.

It keeps one short key; the secrets are records that this key opens, so that their length is nobody's concern.

Imports ``keyring``, so it is itself imported at the first use of the vault.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from keyring.backend import KeyringBackend, get_all_keyring
from keyring.core import load_keyring
from keyring.errors import PasswordDeleteError

from cgcore.errors import VaultError
from cgcore.vault.guard import Guard
from cgcore.vault.master_key import KEY_BYTES, MasterKey, Sealer, record_name
from cgcore.vault.records import RecordStore, delete_record, read_record, write_record
from cgcore.vault.stores import SERVICE, SecretStore

__all__ = ["GuardedKeyring", "SealedKeyring", "backend_id", "find_backend", "is_refused", "prove"]

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
# The longest entry that every system takes (Windows: 2560 bytes of UTF-16), which earlier versions kept secrets in.
_ENTRY_CHARACTERS = 1280
# Characters that backends have mangled before.
_PROBE_TAIL = ' "\\ñ€ '

# The record that names the data key in use, and what stands before the records that are sealed with one:
# mark and format version, then the key's number.
_KEY_RECORD = "data-key"
_MARK = b"CGK\x01"
_KEY_ID_BYTES = 8

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
    value = secrets.token_hex(_ENTRY_CHARACTERS)[: _ENTRY_CHARACTERS - len(_PROBE_TAIL)] + _PROBE_TAIL
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


class SealedKeyring:
    """Secrets of any length: each is a record sealed with a data key, and only that key is in the keyring.

    A secret that an earlier version kept in the keyring itself is read there until it is written anew.
    """

    def __init__(self, keyring: SecretStore, records: RecordStore) -> None:
        self._keyring = keyring
        self._records = records

    def get_password(self, service: str, username: str) -> str | None:
        """Return the secret, or None. Raises :class:`VaultError`, ``record_unreadable`` where its key is gone."""
        record = read_record(self._records, _sealed_name(service, username))
        if record is None:
            return self._keyring.get_password(service, username)
        start = len(_MARK) + _KEY_ID_BYTES
        sealer = self._find_sealer(record[len(_MARK) : start].hex()) if record.startswith(_MARK) else None
        if sealer is None:
            raise VaultError("the key of the record is not in the keyring", code="record_unreadable")
        return sealer.open(_sealed_service(service), username, record[start:])

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write or replace the secret. Raises :class:`VaultError`: nothing changed."""
        key_id, sealer = self._prepare_key()
        record = _MARK + bytes.fromhex(key_id) + sealer.seal(_sealed_service(service), username, password)
        write_record(self._records, _sealed_name(service, username), record)
        self._forget_entry(service, username)

    def delete_password(self, service: str, username: str) -> None:
        """Remove the secret. Raises keyring's ``PasswordDeleteError`` when there is none."""
        # The entry of an earlier version first: it would come to light once the record is gone.
        had_entry = self._forget_entry(service, username)
        if not delete_record(self._records, _sealed_name(service, username)) and not had_entry:
            raise PasswordDeleteError("no such secret")

    def remove_key(self) -> None:
        """Take the data key out of the keyring once no record needs it, as after a move. Raises :class:`VaultError`."""
        names = self._records.names()
        if any((read_record(self._records, name) or b"").startswith(_MARK) for name in names):
            return
        key_id = (read_record(self._records, _KEY_RECORD) or b"").decode("ascii", "replace")
        delete_record(self._records, _KEY_RECORD)
        if key_id:
            self._forget_entry(SERVICE, _key_name(key_id))

    def _forget_entry(self, service: str, username: str) -> bool:
        if self._keyring.get_password(service, username) is None:
            return False
        try:
            self._keyring.delete_password(service, username)
        except PasswordDeleteError:
            raise VaultError("the old entry cannot be removed", code="keyring_failed") from None
        return True

    def _prepare_key(self) -> tuple[str, Sealer]:
        standing = (read_record(self._records, _KEY_RECORD) or b"").decode("ascii", "replace")
        sealer = self._find_sealer(standing) if standing else None
        if sealer is not None:
            return standing, sealer
        # The first secret, or the keyring has lost the key: what is written from now on can be read again.
        key_id = secrets.token_bytes(_KEY_ID_BYTES).hex()
        text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        self._keyring.set_password(SERVICE, _key_name(key_id), text)
        made = self._find_sealer(key_id)
        if made is None or self._keyring.get_password(SERVICE, _key_name(key_id)) != text:
            with suppress(VaultError):
                self._forget_entry(SERVICE, _key_name(key_id))
            raise VaultError("the data key did not come back as it was", code="secret_not_kept")
        # Two processes may each make one; records name theirs, so both can be read.
        write_record(self._records, _KEY_RECORD, key_id.encode("ascii"))
        return key_id, made

    def _find_sealer(self, key_id: str) -> Sealer | None:
        text = self._keyring.get_password(SERVICE, _key_name(key_id))
        if text is None:
            return None
        try:
            return Sealer(MasterKey(base64.b64decode(text, validate=True)))
        except (VaultError, binascii.Error):
            return None


def _key_name(key_id: str) -> str:
    return f"data-key/{key_id}"


def _sealed_service(service: str) -> str:
    # Apart from the encrypted store's: while secrets move, both are in the same records.
    return f"{service}/keyring"


def _sealed_name(service: str, username: str) -> str:
    return record_name(_sealed_service(service), username)
