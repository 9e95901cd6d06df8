"""The vault: keeps named secrets, proves that it kept them, and derives keys.

Apart from its package, which only says what others may use.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault.guard import Guard, VaultLimits
from cgcore.vault.master_key import KEY_BYTES, MasterKey
from cgcore.vault.records import RecordStore
from cgcore.vault.secret import Secret
from cgcore.vault.selection import (
    FindBackend,
    KeyringProof,
    OpenStore,
    PlaceKind,
    VaultPlace,
    find_carried,
    load_proven_key,
    move_secrets,
    open_encrypted,
    open_os_keyring,
    open_store,
    settle,
)
from cgcore.vault.stores import SERVICE, Bond, Kept, SecretStore, check_storable, pack, require_bond, unpack

__all__ = ["Vault", "as_vault_error", "find_replaced", "keep", "put_back", "remove"]


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


_SILENT = frozenset({"keyring_timeout", "keyring_suspended"})


class Vault:
    """Named secrets. Nothing is read or imported before the first use, and no secret is cached.

    A name is ``<subject>/<numeric id>``, as ``mail/7``: a renamed user keeps it, and nobody else can take it over.
    ``shared`` says that several machines use the same records.
    """

    def __init__(
        self,
        settings: Settings,
        records: RecordStore,
        *,
        shared: bool = False,
        find_backend: FindBackend | None = None,
        limits: VaultLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._records = records
        self._shared = shared
        self._limits = limits or VaultLimits()
        self._clock = clock
        self._guard = Guard(self._limits.calls, clock=clock)
        self._keyring = KeyringProof(find_backend, self._guard, self._limits.self_test_s)
        self._lock = threading.RLock()
        self._name_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._master_key: MasterKey | None = None
        self._opened: OpenStore | None = None
        self._refusal: tuple[str, float] | None = None

    def get(self, name: str, *, bond: Bond | None = None) -> Secret | None:
        """Return the secret, or None. Raises :class:`VaultError` when it cannot be read.

        ``bond`` says what it is wanted for: every entry must stand in the bond that it was kept with, else it raises
        ``secret_misplaced``, and ``secret_unbound`` for one that was kept without.
        """
        value = self._open().store.get_password(SERVICE, name)
        if value is None:
            return None
        kept = unpack(value)
        if bond is not None:
            require_bond(kept, bond)
        return kept.secret

    def set(self, name: str, secret: Secret, *, bond: Bond | None = None) -> None:
        """Keep ``secret`` under ``name``; returning means that it was read back and is equal.

        ``bond`` names what it is for, as the row that refers to it says: the database may be restored without the
        vault, or the vault without the database. Raises :class:`VaultError` where it is not kept, and what stood
        there before is put back as far as the store allows.
        """
        self._replace(name, check_storable(secret), bond)

    def swap(self, name: str, secret: Secret, *, bond: Bond | None = None) -> Kept | None:
        """Keep ``secret``, or remove what is kept when it is empty; return what stood there, for :meth:`put_back`.

        A record that cannot be opened counts as none, so that a new password cures it. Raises :class:`VaultError`.
        """
        if secret:
            before = self._replace(name, check_storable(secret), bond)
        else:
            before = find_replaced(self._open().store, name)
            self.delete(name)
        return None if before is None else unpack(before)

    def put_back(self, name: str, kept: Kept | None) -> None:
        """Undo a swap: keep again what it returned. Raises :class:`VaultError`."""
        if kept is None:
            self.delete(name)
        else:
            self._replace(name, kept.secret.reveal(), kept.bond)

    def delete(self, name: str) -> None:
        """Remove the secret; one that is not there is no error. Raises :class:`VaultError` when it remains."""
        with self._name_locks[name]:
            remove(self._open().store, name)

    def move(self, kind: PlaceKind, names: Iterable[str]) -> list[str]:
        """Move the secrets ``names`` to the other place and return those that there were.

        Raises :class:`VaultError` when the new place does not prove itself or does not keep one of them; the old
        place then still holds them all.
        """
        source = self._open()
        if kind is PlaceKind.ENCRYPTED:
            target = open_encrypted(self._records, self._load_master_key())
        else:
            target = open_os_keyring(self._keyring, self._records)
        if target.place.kind is source.place.kind:
            return []
        moved = move_secrets(
            names, source.store, target.store, switch=lambda: settle(self._records, target, replace=True)
        )
        self._opened = target
        if kind is PlaceKind.ENCRYPTED:
            self._leave_keyring(source)
        return moved

    def describe(self) -> VaultPlace:
        """Return where secrets live; never raises. The first call may take as long as the self-test."""
        try:
            opened = self._open()
        except VaultError as error:
            return VaultPlace(PlaceKind.BLOCKED, reason=error.code)
        if opened.place.kind is PlaceKind.OS_KEYRING and self._guard.is_open:
            return VaultPlace(PlaceKind.BLOCKED, name=opened.place.name, reason="keyring_suspended")
        return opened.place

    def derive_key(self, label: str, length: int = KEY_BYTES) -> bytes:
        """Return ``length`` bytes for the use that ``label`` names; the same in every process with the same key.

        Touches no keyring. Raises :class:`VaultError` when the master key is missing, wrong or not private.
        """
        key = self._load_master_key()
        try:
            carried = find_carried(self._records, key, label)
        except OSError as error:
            raise as_vault_error(error) from None
        return key.derive(label, length) if carried is None else carried[:length]

    def _replace(self, name: str, text: str, bond: Bond | None) -> str | None:
        value = pack(text, bond)
        opened = self._open()
        with self._name_locks[name]:
            before, closed = None, False
            try:
                before = opened.store.get_password(SERVICE, name)
            except VaultError as error:
                if error.code != "record_unreadable":
                    raise
                closed = True
            try:
                keep(opened.store, name, value)
                settle(self._records, opened)
            except (VaultError, OSError) as error:
                problem = as_vault_error(error)
                # A keyring that has just not answered would only make the caller wait again; a record that did not
                # open may open tomorrow, with a keyring that is itself again.
                if problem.code not in _SILENT and not closed:
                    put_back(opened.store, name, before)
                raise problem from None
            return before

    @staticmethod
    def _leave_keyring(source: OpenStore) -> None:
        from cgcore.vault.os_keyring import SealedKeyring

        # The move stands; a key that opens nothing any more may stay where the keyring does not let it go.
        if isinstance(source.store, SealedKeyring):
            with suppress(VaultError, OSError):
                source.store.remove_key()

    def _open(self) -> OpenStore:
        with self._lock:
            if self._opened is not None:
                return self._opened
            if self._refusal is not None and self._clock() < self._refusal[1]:
                raise VaultError("the vault could not be opened lately", code=self._refusal[0])
            try:
                self._opened = open_store(self._records, self._load_master_key(), self._keyring, shared=self._shared)
            except (VaultError, OSError) as error:
                problem = as_vault_error(error)
                self._refusal = (problem.code, self._clock() + self._limits.retry_s)
                raise problem from None
            return self._opened

    def _load_master_key(self) -> MasterKey:
        with self._lock:
            if self._master_key is None:
                try:
                    self._master_key = load_proven_key(self._settings, self._records)
                except OSError as error:
                    raise as_vault_error(error) from None
            return self._master_key
