"""Backup and restore: database and vault records as one file, never the master key.

A tar archive: ``manifest.json`` first (format, version, when, kind and revision of the database, the fingerprint of the
master key, a SHA-256 of the database), then ``database``, then ``vault/NAME`` for each record that lies in a folder.
Apart from the command: only the facade opens databases.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cgcore.errors import StorageError, VaultError
from cgcore.settings import Settings
from cgcore.storage.copies import (
    dump_database,
    find_kind,
    find_revision,
    has_people,
    load_database,
    require_unused,
)
from cgcore.storage.database import open_database
from cgcore.storage.outbox_left import hold_restored
from cgcore.storage.revision import HEAD_REVISION, sqlite_path
from cgcore.vault.records import make_private_folder, write_atomically
from cgcore.vault.rotation import find_fingerprint
from cgcore.workbench.context import VAULT_FOLDER, VAULT_RECORDS
from cgcore.workbench.start import sole_server

__all__ = ["Backup", "make_backup", "restore_backup"]

_FORMAT, _VERSION = "cloud-gestion-backup", 1
_MANIFEST, _DATABASE = "manifest.json", "database"
_MAX_MANIFEST = 65_536
_RECORD = re.compile(rf"{VAULT_FOLDER}/([0-9a-z-]{{1,100}}\.rec)")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds: when it was made, the database's kind and revision, the key's fingerprint, the records."""

    created: str
    kind: str
    revision: str
    key: str
    records: int


def make_backup(settings: Settings, target: Path) -> Backup:
    """Write a backup to ``target`` (mode 0600), while servers go on. Raises :class:`StorageError`, :class:`VaultError`.

    First the database, then the records: a secret that is newer than its row is asked for again, never misused.
    """
    url = settings.resolved_database_url()
    revision, key = find_revision(url), _find_key(settings)
    if not revision:
        raise StorageError("there is no database", code="storage_open")
    try:
        if target.exists():
            raise StorageError("the file is there already", code="backup_exists")
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".backup-") as folder:
            dump = Path(folder) / _DATABASE
            dump_database(url, dump)
            records = _list_records(settings)
            backup = Backup(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", find_kind(url), revision, key, len(records))
            made = Path(folder) / "made"
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _write(file, backup, dump, records)
                file.flush()
                os.fsync(file.fileno())
            made.rename(target)
    except (OSError, ValueError) as error:
        # A name that is no name of a file is one of them.
        raise StorageError(f"the backup ({type(error).__name__})", code="backup_unwritable") from None
    return backup


def restore_backup(settings: Settings, source: Path, *, replace: bool = False) -> Backup:
    """Put a backup in the place of database and records; older ones are brought to this program's revision.

    Everything is looked at first: nothing is changed where the file is no whole backup, of another kind of database, a
    newer program or another master key, where others use the database, or, without ``replace``, where it has users.
    What waits in it to be sent is held: it may have left since.
    Raises :class:`StorageError`, :class:`VaultError`.
    """
    url, aside = settings.resolved_database_url(), f".before-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with sole_server(settings), tempfile.TemporaryDirectory(prefix="cg-restore-") as folder:
        backup, records = _read(source, Path(folder))
        if backup.kind != find_kind(url):
            raise StorageError("another kind of database", code="backup_other_kind")
        if backup.revision > HEAD_REVISION:
            raise StorageError("a newer program made it", code="backup_newer")
        if backup.key != _find_key(settings):
            raise StorageError("another master key", code="backup_other_key")
        require_unused(url)
        if not replace and has_people(url):
            raise StorageError("there are users", code="storage_not_empty")
        load_database(url, Path(folder) / _DATABASE, aside=aside)
        _put_records(settings, records, aside)
        with closing(open_database(url)) as database:
            hold_restored(database)
    return backup


def _find_key(settings: Settings) -> str:
    try:
        return find_fingerprint(settings)
    except VaultError as error:
        # No key was ever needed, so there is none yet; a wrong or an open one is told.
        if error.code != "master_key_lost":
            raise
        return ""


def _list_records(settings: Settings) -> list[tuple[str, bytes]]:
    """Return the records that lie in a folder; those of PostgreSQL are in its dump."""
    if sqlite_path(settings.resolved_database_url()) is None:
        return []
    found: list[tuple[str, bytes]] = []
    for path in sorted((settings.data_dir / VAULT_FOLDER).glob(VAULT_RECORDS)):
        with suppress(FileNotFoundError):  # removed in this moment
            found.append((path.name, path.read_bytes()))
    return found


def _write(file: Any, backup: Backup, dump: Path, records: list[tuple[str, bytes]]) -> None:
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "created": backup.created,
        "kind": backup.kind,
        "revision": backup.revision,
        "key": backup.key,
        "sha256": _digest(dump),
    }
    with tarfile.open(fileobj=file, mode="w") as archive:
        _add(archive, _MANIFEST, json.dumps(manifest).encode())
        archive.add(dump, _DATABASE, recursive=False)
        for name, record in records:
            _add(archive, f"{VAULT_FOLDER}/{name}", record)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    archive.addfile(info, io.BytesIO(content))


def _read(source: Path, folder: Path) -> tuple[Backup, list[tuple[str, bytes]]]:
    """Return what ``source`` is, its database laid into ``folder``, and its records; by their names, nothing else."""
    try:
        with tarfile.open(source, mode="r:") as archive:
            manifest = json.loads(_extract(archive, _MANIFEST)[:_MAX_MANIFEST])
            if (manifest["format"], manifest["version"]) != (_FORMAT, _VERSION):
                raise ValueError("another format")
            with (folder / _DATABASE).open("wb") as file, closing(_member(archive, _DATABASE)) as content:
                while piece := content.read(1 << 20):
                    file.write(piece)
            if _digest(folder / _DATABASE) != manifest["sha256"]:
                raise ValueError("the database is not the one of the manifest")
            names = [(found[1], found[0]) for name in archive.getnames() if (found := _RECORD.fullmatch(name))]
            records = [(name, _extract(archive, member)) for name, member in names]
        told = {name: str(manifest[name]) for name in ("created", "kind", "revision", "key")}
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError):
        raise StorageError("no backup, or a damaged one", code="backup_unreadable") from None
    return Backup(**told, records=len(records)), records


def _member(archive: tarfile.TarFile, name: str) -> Any:
    content = archive.extractfile(name)
    if content is None:
        raise ValueError("no regular file")
    return content


def _extract(archive: tarfile.TarFile, name: str) -> bytes:
    with closing(_member(archive, name)) as content:
        return content.read()


def _put_records(settings: Settings, records: list[tuple[str, bytes]], aside: str) -> None:
    if sqlite_path(settings.resolved_database_url()) is None:
        return
    folder = settings.data_dir / VAULT_FOLDER
    if folder.exists():
        folder.rename(folder.with_name(f"{VAULT_FOLDER}{aside}"))
    make_private_folder(folder)
    for name, record in records:
        write_atomically(folder / name, record)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
