"""Where encrypted records lie: named blobs, in a folder or in the database."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from cgcore.errors import VaultError

__all__ = [
    "TEMPORARY_PREFIX",
    "FolderRecords",
    "MemoryRecords",
    "RecordStore",
    "delete_record",
    "hold_lock",
    "make_private_folder",
    "read_record",
    "sync_folder",
    "take_lock",
    "write_atomically",
    "write_record",
]

TEMPORARY_PREFIX = ".new-"


def make_private_folder(path: Path) -> None:
    """Create ``path`` and its parents where missing; a folder made here is open to its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def hold_lock(path: Path) -> Generator[None]:
    """Hold the lock file ``path`` for the block, against every other process and thread.

    The system releases it when the process ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
        try:
            yield
        finally:
            _unlock(descriptor)
    finally:
        os.close(descriptor)


def take_lock(path: Path) -> int | None:
    """Take the lock file ``path`` for as long as the returned descriptor is open; None when somebody has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` (mode 0600) so that a reader, or a crash, meets the old content or the new.

    Raises :class:`OSError`; the old content is then untouched and no temporary file remains.
    """
    temporary = path.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and removals in ``path`` last through a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt
    import time

    _RETRY_S = 0.05

    def _lock(descriptor: int) -> None:
        # LK_LOCK gives up after ten seconds; a lock held longer is waited for.
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            except OSError:
                time.sleep(_RETRY_S)
            else:
                return

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_LOCK_NAME = ".lock"
_SUFFIX = ".rec"


class RecordStore(Protocol):
    """Named blobs. A write is whole or absent, also after a crash; names are file-safe ASCII."""

    @property
    def location(self) -> str:
        """Where the records lie, for people: a folder, or a table."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the record, None when there is none. Raises :class:`OSError` when it cannot be read."""
        ...

    def write(self, name: str, record: bytes) -> None:
        """Write or replace the record; lasting when it returns. Raises :class:`OSError`, and then nothing changed."""
        ...

    def add(self, name: str, record: bytes) -> bytes:
        """Write the record unless there is one; return the one that stands."""
        ...

    def delete(self, name: str) -> bool:
        """Remove the record; return whether there was one."""
        ...

    def names(self) -> list[str]:
        """Return the names of all records."""
        ...


class FolderRecords:
    """One file per record in a folder of mode 0700, made at the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread_lock = threading.Lock()

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        """Return the record. No lock: a file is only ever replaced whole."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, record: bytes) -> None:
        """Write or replace the record."""
        with self._writing():
            write_atomically(self._path(name), record)

    def add(self, name: str, record: bytes) -> bytes:
        """Write the record unless there is one; return the one that stands."""
        with self._writing():
            standing = self.read(name)
            if standing is None:
                write_atomically(self._path(name), record)
            return record if standing is None else standing

    def delete(self, name: str) -> bool:
        """Remove the record; return whether there was one."""
        if not self._path(name).exists():
            return False
        with self._writing():
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                return False
            sync_folder(self._folder)
            return True

    def names(self) -> list[str]:
        """Return the names of all records."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    @contextmanager
    def _writing(self) -> Generator[None]:
        # The thread lock spares threads of one process the waiting on a system lock; the file lock is for the others.
        with self._thread_lock:
            self._prepare()
            with hold_lock(self._folder / _LOCK_NAME):
                self._sweep()
                yield

    def _prepare(self) -> None:
        make_private_folder(self._folder)
        if os.name == "posix":
            self._folder.chmod(0o700)

    def _sweep(self) -> None:
        # Every writer holds the lock, so a temporary file seen here was left by a process that was killed.
        for path in self._folder.glob(f"{TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)


class MemoryRecords:
    """Records that are gone with the process; ``location`` is what they say of themselves."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._records: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """Return the record, None when there is none."""
        return self._records.get(name)

    def write(self, name: str, record: bytes) -> None:
        """Write or replace the record."""
        self._records[name] = record

    def add(self, name: str, record: bytes) -> bytes:
        """Write the record unless there is one; return the one that stands."""
        return self._records.setdefault(name, record)

    def delete(self, name: str) -> bool:
        """Remove the record; return whether there was one."""
        return self._records.pop(name, None) is not None

    def names(self) -> list[str]:
        """Return the names of all records."""
        return sorted(self._records)


def read_record(records: RecordStore, name: str) -> bytes | None:
    """Return a record, None when there is none. Raises :class:`VaultError` ``record_read_failed``."""
    try:
        return records.read(name)
    except OSError as error:
        raise VaultError(f"reading a record: {type(error).__name__}", code="record_read_failed") from error


def write_record(records: RecordStore, name: str, record: bytes) -> None:
    """Write or replace a record. Raises :class:`VaultError` ``record_write_failed``: nothing changed."""
    try:
        records.write(name, record)
    except OSError as error:
        raise VaultError(f"writing a record: {type(error).__name__}", code="record_write_failed") from error


def delete_record(records: RecordStore, name: str) -> bool:
    """Remove a record; return whether there was one. Raises :class:`VaultError` ``record_write_failed``."""
    try:
        return records.delete(name)
    except OSError as error:
        raise VaultError(f"removing a record: {type(error).__name__}", code="record_write_failed") from error
