"""Another master key for an existing vault: every record is sealed anew, and it can be taken up again after a crash.

Apart from :mod:`cgcore.vault.vault`: no server runs meanwhile, and what it does to the records nothing else may do.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cgcore.errors import VaultError
from cgcore.settings import Settings
from cgcore.vault.master_key import (
    KEY_BYTES,
    MasterKey,
    Sealer,
    load_master_key,
    read_key_file,
    record_name,
)
from cgcore.vault.records import RecordStore, delete_record, read_record, write_record
from cgcore.vault.selection import CARRIED, CARRIED_LABELS, KEY_CHECK_RECORD, ROTATION_RECORD, check_of
from cgcore.vault.stores import SERVICE

__all__ = ["Rotation", "find_fingerprint", "make_key", "rotate", "write_key"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was sealed anew, and how many records belong to nobody and open with neither key any more."""

    sealed: int
    left: int
    fingerprint: str


def make_key() -> str:
    """Return a new master key: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def write_key(path: Path, key: str) -> None:
    """Write a key to a file of its owner alone. Raises :class:`OSError`, also where there is such a file."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())


def find_fingerprint(settings: Settings) -> str:
    """Return what tells this master key from others and says nothing about it. Raises :class:`VaultError`."""
    return _shorten(check_of(load_master_key(settings, may_create=False)))


def rotate(settings: Settings, records: RecordStore, names: Iterable[str], new_key: Path) -> Rotation:
    """Seal every record with the key in the file ``new_key``; ``names`` are those of all secrets that there may be.

    What was derived from the old key and is stored (the digests of API keys) goes on with what it was derived to. Until
    the end no server starts, with neither key; called again with the same two, it goes on where it was. Raises
    :class:`VaultError`: ``master_key_wrong`` where the present key is not this vault's, nothing is changed then.
    """
    old, new = load_master_key(settings, may_create=False), read_key_file(new_key)
    standing, target = read_record(records, KEY_CHECK_RECORD), check_of(new)
    if standing not in (check_of(old), target, None):
        raise VaultError("the master key does not open this vault", code="master_key_wrong")
    begun = read_record(records, ROTATION_RECORD)
    if begun not in (None, target):
        raise VaultError("another key was begun with", code="master_key_rotating")
    write_record(records, ROTATION_RECORD, target)
    sealed = _seal_all(records, Sealer(old), Sealer(new), names)
    if standing != target:
        _carry(records, old, new)
    write_record(records, KEY_CHECK_RECORD, target)
    delete_record(records, ROTATION_RECORD)
    return Rotation(len(sealed), _count_left(records, sealed), _shorten(target))


def _seal_all(records: RecordStore, old: Sealer, new: Sealer, names: Iterable[str]) -> set[str]:
    done: set[str] = set()
    for name in names:
        place = record_name(SERVICE, name)
        record = read_record(records, place)
        if record is None:
            continue
        if _open(new, name, record) is None:
            value = _open(old, name, record)
            if value is None:
                continue
            write_record(records, place, new.seal(SERVICE, name, value))
        done.add(place)
    return done


def _carry(records: RecordStore, old: MasterKey, new: MasterKey) -> None:
    """Keep what stored digests were made with, sealed with the new key."""
    place = record_name(SERVICE, CARRIED)
    record = read_record(records, place)
    if record is not None and _open(Sealer(new), CARRIED, record) is not None:
        return
    kept = _open(Sealer(old), CARRIED, record) if record is not None else None
    carried: dict[str, str] = json.loads(kept) if kept else {}
    for label in CARRIED_LABELS:
        carried.setdefault(label, base64.b64encode(old.derive(label)).decode())
    write_record(records, place, Sealer(new).seal(SERVICE, CARRIED, json.dumps(carried)))


def _count_left(records: RecordStore, sealed: set[str]) -> int:
    ours = {record_name(SERVICE, CARRIED), *sealed}
    return sum(Sealer.made(read_record(records, name) or b"") for name in records.names() if name not in ours)


def _open(sealer: Sealer, name: str, record: bytes) -> str | None:
    try:
        return sealer.open(SERVICE, name, record)
    except VaultError:
        return None


def _shorten(check: bytes) -> str:
    text = check.decode()[:16]
    return "-".join(text[start : start + 4] for start in range(0, 16, 4))
