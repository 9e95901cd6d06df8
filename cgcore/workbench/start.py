"""What must hold of a data folder before and while a server works on it; found without loading SQLAlchemy."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from cgcore.errors import StorageError
from cgcore.settings import Settings
from cgcore.storage.revision import find_damage, has_users, sqlite_path, try_headroom, try_writing
from cgcore.workbench.context import VAULT_FOLDER, VAULT_RECORDS, Context

__all__ = [
    "WriteWatch",
    "misses_users",
    "require_past",
    "require_sound",
    "set_aside_vault",
    "sole_server",
]

_LOCK_NAME = "server.lock"
# A server that is told to stop may still be closing its connections while the next one starts.
_LEAVING_S = 2.0
# For so long a try is good: anybody may ask for the health, and each try writes.
_GOOD_S = 1.0
# The length of a secret's name there; the vault's own records have words for names.
_DIGEST = 64


def require_sound(settings: Settings) -> None:
    """Raise :class:`StorageError` ``storage_damaged`` where the SQLite file is damaged, or is none."""
    path = sqlite_path(settings.resolved_database_url())
    if path is not None and find_damage(path):
        raise StorageError("the file of the database is damaged", code="storage_damaged")


def require_past(context: Context, is_new: Callable[[], bool]) -> None:
    """Raise :class:`StorageError` ``storage_lost`` where secrets are kept for users, and there is no user.

    Nobody can have kept one: it is another database, made in place of the lost one or restored from too early.
    ``is_new`` tells whether there is no user, where the file cannot be asked.
    """
    settings = context.settings
    lost = misses_users(settings)
    if sqlite_path(settings.resolved_database_url()) is None and is_new():
        from cgcore.workbench.secrets import open_records

        lost = _names_secret(open_records(settings, context.database).names())
    if lost:
        raise StorageError("the vault holds secrets of users, and there is none", code="storage_lost")


def misses_users(settings: Settings) -> bool:
    """Return whether a SQLite database has no user while the vault beside it keeps secrets of some."""
    path = sqlite_path(settings.resolved_database_url())
    if path is None or not path.exists() or has_users(path, unknown=True):
        return False
    return _names_secret([found.stem for found in (settings.data_dir / VAULT_FOLDER).glob(VAULT_RECORDS)])


def _names_secret(names: list[str]) -> bool:
    return any(len(name) == _DIGEST for name in names)


def set_aside_vault(settings: Settings) -> str:
    """Give the vault another name, so that the next start is one without a past; return it, ``""`` without a vault.

    Raises :class:`StorageError` while a server runs, and ``storage_has_users`` where it is the vault of people who are
    there; :class:`OSError`.
    """
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    path, folder = sqlite_path(settings.resolved_database_url()), settings.data_dir / VAULT_FOLDER
    if path is None:
        return _set_aside_records(settings, stamp)
    if not folder.exists():
        return ""
    with sole_server(settings):
        if path.exists() and has_users(path, unknown=False):
            raise StorageError("the vault belongs to this database", code="storage_has_users")
        return str(folder.rename(folder.with_name(f"{VAULT_FOLDER}-{stamp}")))


def _set_aside_records(settings: Settings, stamp: str) -> str:
    from cgcore.storage.database import Database
    from cgcore.storage.identity import has_users as has_users_in
    from cgcore.storage.vault_records import VaultRecords

    with closing(Database(settings.resolved_database_url())) as database:
        if not database.stored_revision():
            return ""
        with database.read() as session:
            if has_users_in(session):
                raise StorageError("the vault belongs to this database", code="storage_has_users")
        return VaultRecords(database).set_aside(stamp)


@contextmanager
def sole_server(settings: Settings) -> Generator[None]:
    """Be the only server on the folder of a SQLite database for the block; the command line works beside it.

    Raises :class:`StorageError` ``storage_taken``. The system holds the lock, and releases it however a process ends.
    """
    path = sqlite_path(settings.resolved_database_url())
    if path is None:
        yield
        return
    from cgcore.vault.records import make_private_folder, take_lock

    taken: list[int] = []
    try:
        # The vault lies in the data folder, wherever the database is.
        for folder in dict.fromkeys((settings.data_dir.absolute(), path.parent.absolute())):
            try:
                make_private_folder(folder)
                until = time.monotonic() + _LEAVING_S
                while (lock := take_lock(folder / _LOCK_NAME)) is None and time.monotonic() < until:
                    time.sleep(0.1)
            except OSError:
                continue  # a folder that takes no file is told of when the database is opened
            if lock is None:
                raise StorageError("another server works on this folder", code="storage_taken")
            taken.append(lock)
        yield
    finally:
        for lock in taken:
            os.close(lock)


class WriteWatch:
    """Says whether the database can be read and written now: it tries, and no more often than anybody needs."""

    def __init__(self, context: Context, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._lock = threading.Lock()
        self._trouble, self._until = "", 0.0
        self._file: tuple[int, int] | None = None

    def find_trouble(self) -> str:
        """Return the code of what is in the way, ``""`` where nothing is."""
        if not self._context.is_database_reachable():
            return "storage_away"
        with self._lock:
            if self._clock() >= self._until:
                self._trouble = self._try()
                self._until = self._clock() + _GOOD_S
            return self._trouble

    def _try(self) -> str:
        context = self._context
        if context.is_open("database"):
            path, trouble = context.database.path, context.database.try_writing()
        else:
            url = context.settings.resolved_database_url()
            path, trouble = sqlite_path(url), try_writing(url)
        if trouble or path is None:
            return trouble
        try:
            found = path.stat()
        except OSError:
            return "storage_away"
        # Removed, or replaced by a copy: what is open goes on taking changes that nobody will find.
        self._file = self._file or (found.st_dev, found.st_ino)
        if self._file != (found.st_dev, found.st_ino):
            return "storage_away"
        return try_headroom(path.parent)
