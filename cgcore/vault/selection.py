"""Chooses the store of the secrets, and moves secrets between them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault.guard import Guard
from cgcore.vault.master_key import MasterKey, load_master_key
from cgcore.vault.records import RecordStore
from cgcore.vault.stores import SERVICE, SecretStore

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

__all__ = [
    "CARRIED",
    "CARRIED_LABELS",
    "KEY_CHECK_RECORD",
    "ROTATION_RECORD",
    "FindBackend",
    "KeyringProof",
    "OpenStore",
    "PlaceKind",
    "VaultPlace",
    "check_of",
    "find_carried",
    "move_secrets",
    "open_encrypted",
    "open_os_keyring",
    "open_store",
    "read_settled",
    "settle",
]


class PlaceKind(StrEnum):
    """The three answers to "where do secrets live?"."""

    OS_KEYRING = "os_keyring"
    ENCRYPTED = "encrypted"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """Where secrets live.

    ``name`` is the keyring's own name; ``location`` the folder or table of the sealed records. ``reason`` is the
    code of why the system's keyring is not used, or of why nothing can be kept at all.
    """

    kind: PlaceKind
    name: str = ""
    location: str = ""
    reason: str = ""

    @property
    def is_working(self) -> bool:
        """Whether a secret can be kept now."""
        return self.kind is not PlaceKind.BLOCKED


FindBackend = Callable[[], "KeyringBackend"]

# Which place holds the secrets is written down with the first one. A keyring that is locked today must not make the
# stored passwords look gone, and one that appears tomorrow must not split them over two places.
_PLACE_RECORD = "place"
KEY_CHECK_RECORD = "key-check"
"""The record that tells which master key this vault was made with."""

ROTATION_RECORD = "rotation"
"""The record that stands while another master key is being given to the vault."""

CARRIED = "carried-keys/1"
"""The secret that keeps what stored digests were made with, once the master key is another one."""

CARRIED_LABELS = ("api-key-pepper", "password-mark")
_KEY_CHECK_LABEL = "key check"


@dataclass(frozen=True, slots=True)
class KeyringProof:
    """How the system's keyring is found (None: by detection), called, and in how many seconds it must prove itself."""

    find_backend: FindBackend | None
    guard: Guard
    deadline_s: float


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store ready for use, the place to show, and the mark by which the place is written down."""

    store: SecretStore
    place: VaultPlace
    mark: str


def load_proven_key(settings: Settings, records: RecordStore) -> MasterKey:
    """Return the master key that these records were made with; the first time, write down which one that is.

    Raises :class:`VaultError` as :func:`load_master_key` does, ``master_key_wrong`` for another key than then, and
    ``master_key_rotating`` while it is given another one.
    """
    if records.read(ROTATION_RECORD) is not None:
        raise VaultError("the vault is between two keys", code="master_key_rotating")
    standing = records.read(KEY_CHECK_RECORD)
    is_new = standing is None and not records.names()
    key = load_master_key(settings, may_create=is_new)
    mine = check_of(key)
    # Written once: who only reads needs no store that can be written.
    if (records.add(KEY_CHECK_RECORD, mine) if standing is None else standing) != mine:
        raise VaultError("the master key does not open this vault", code="master_key_wrong")
    return key


def check_of(key: MasterKey) -> bytes:
    """Return what tells ``key`` from others: derived one way, it says nothing about it."""
    return key.derive(_KEY_CHECK_LABEL).hex().encode()


def find_carried(records: RecordStore, key: MasterKey, label: str) -> bytes | None:
    """Return what ``label`` was derived to from an earlier master key, None where it is derived from this one."""
    from cgcore.vault.master_key import Sealer, record_name

    record = records.read(record_name(SERVICE, CARRIED)) if label in CARRIED_LABELS else None
    if record is None:
        return None
    kept = json.loads(Sealer(key).open(SERVICE, CARRIED, record))
    return base64.b64decode(kept[label]) if label in kept else None


def open_store(records: RecordStore, master_key: MasterKey, keyring: KeyringProof, *, shared: bool) -> OpenStore:
    """Return the store of the place written down, else the best one that works.

    ``shared`` records are those of several machines, whose keyrings are not shared: there the encrypted store comes
    first. Raises :class:`VaultError` ``keyring_away`` or ``keyring_changed`` when the secrets are in a keyring that
    does not work now, or is no longer the one in use.
    """
    settled = read_settled(records)
    kind, _, detail = settled.partition(":")
    if kind == PlaceKind.ENCRYPTED:
        return open_encrypted(records, master_key, reason=detail)
    if shared and not settled:
        return open_encrypted(records, master_key, reason="shared_database")
    try:
        opened = open_os_keyring(keyring, records)
    except VaultError as error:
        if settled:
            raise VaultError(f"the keyring that holds the secrets: {error.code}", code="keyring_away") from None
        return open_encrypted(records, master_key, reason=error.code)
    if settled and settled != opened.mark:
        raise VaultError("the secrets are in another keyring", code="keyring_changed")
    return opened


def open_encrypted(records: RecordStore, master_key: MasterKey, *, reason: str = "") -> OpenStore:
    """Return our own encrypted store; ``reason`` says why it is not the system's keyring."""
    from cgcore.vault.encrypted import EncryptedKeyring
    from cgcore.vault.master_key import Sealer

    place = VaultPlace(PlaceKind.ENCRYPTED, location=records.location, reason=reason)
    store = cast(SecretStore, EncryptedKeyring(records, Sealer(master_key)))
    return OpenStore(store, place, f"{PlaceKind.ENCRYPTED}:{reason}")


def open_os_keyring(keyring: KeyringProof, records: RecordStore) -> OpenStore:
    """Return the store of the system's keyring, which is found and proven within the deadline; the sealed ``records``.

    Raises :class:`VaultError`.
    """
    from cgcore.vault import os_keyring

    def find_and_prove() -> KeyringBackend:
        backend = (keyring.find_backend or os_keyring.find_backend)()
        if os_keyring.is_refused(backend):
            raise VaultError("refused backend", code="keyring_refused")
        os_keyring.prove(backend)
        return backend

    backend = keyring.guard.call(find_and_prove, timeout=keyring.deadline_s)
    place = VaultPlace(PlaceKind.OS_KEYRING, name=backend.name, location=records.location)
    mark = f"{PlaceKind.OS_KEYRING}:{os_keyring.backend_id(backend)}"
    guarded = os_keyring.GuardedKeyring(backend, keyring.guard)
    return OpenStore(os_keyring.SealedKeyring(guarded, records), place, mark)


def read_settled(records: RecordStore) -> str:
    """Return the mark of the place that holds the secrets, ``""`` while none is kept."""
    return (records.read(_PLACE_RECORD) or b"").decode()


def settle(records: RecordStore, opened: OpenStore, *, replace: bool = False) -> None:
    """Write down that the secrets are in ``opened``; with ``replace`` also over another place.

    Raises :class:`VaultError` ``keyring_changed`` when another process has settled on another place.
    """
    if replace:
        records.write(_PLACE_RECORD, opened.mark.encode())
        return
    standing = records.add(_PLACE_RECORD, opened.mark.encode()).decode()
    # Two processes may have settled on our own store for different reasons.
    ours = f"{PlaceKind.ENCRYPTED}:"
    if standing != opened.mark and not (standing.startswith(ours) and opened.mark.startswith(ours)):
        raise VaultError("the secrets are in another place", code="keyring_changed")


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
