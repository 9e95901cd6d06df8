"""At which revision a database stands, found without SQLAlchemy: loading that takes longer than the answer."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

__all__ = [
    "HEAD_REVISION",
    "SQLITE_CODES",
    "TOUCH",
    "find_damage",
    "has_users",
    "is_current",
    "sqlite_path",
    "try_headroom",
    "try_writing",
]

# The newest migration. Compared with the stored revision, so that Alembic is imported only when they differ.
HEAD_REVISION = "0025"

_SQLITE = "sqlite:///"
# A file up to here is read as a whole before each start; a larger one is met where it is used, and by `check`.
_QUICK_BYTES = 32 * 1024 * 1024
SQLITE_CODES = {
    "SQLITE_BUSY": "",
    "SQLITE_LOCKED": "",
    "SQLITE_FULL": "storage_full",
    "SQLITE_READONLY": "storage_readonly",
    "SQLITE_CANTOPEN": "storage_away",
    "SQLITE_IOERR": "storage_away",
    "SQLITE_CORRUPT": "storage_damaged",
    "SQLITE_NOTADB": "storage_damaged",
}
_ERRNO_CODES = {
    errno.ENOSPC: "storage_full",
    errno.EDQUOT: "storage_full",
    errno.EFBIG: "storage_full",
    errno.EROFS: "storage_readonly",
    errno.EACCES: "storage_readonly",
    errno.EPERM: "storage_readonly",
}
# What a save may need beside its own pages.
_HEADROOM_BYTES = 64 * 1024
# The smallest change that goes all the way to the disk: the revision, to what it is.
TOUCH = "UPDATE alembic_version SET version_num = version_num"


def is_current(url: str) -> bool:
    """Return whether the SQLite file behind ``url`` answers and stands at this program's revision.

    False also where only :func:`cgcore.storage.database.open_database` can tell: another kind of database, no file
    yet, one that cannot be read. Nothing is written and nothing is made.
    """
    path = sqlite_path(url)
    if path is None or not path.is_file():
        return False
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return False
    return found == (HEAD_REVISION,)


def has_users(path: Path, *, unknown: bool) -> bool:
    """Return whether the SQLite file at ``path`` has a user, ``unknown`` where that cannot be told."""
    try:
        with closing(_connect(path)) as connection:
            return bool(connection.execute('SELECT EXISTS (SELECT 1 FROM "user")').fetchone()[0])
    except sqlite3.Error:
        return unknown


def sqlite_path(url: str) -> Path | None:
    """Return the file behind ``url``, None for another kind of database."""
    path = unquote(url.removeprefix(_SQLITE).partition("?")[0])
    return Path(path) if url.startswith(_SQLITE) and path else None


def find_damage(path: Path, *, thorough: bool = False) -> bool:
    """Return whether the SQLite file at ``path`` is damaged, or is none; a large one is read only if ``thorough``."""
    try:
        if not path.is_file() or not path.stat().st_size or (path.stat().st_size > _QUICK_BYTES and not thorough):
            return False
        with closing(_connect(path)) as connection:
            pragma = "integrity_check(1)" if thorough else "quick_check(1)"
            return connection.execute(f"PRAGMA {pragma}").fetchone() != ("ok",)
    except sqlite3.DatabaseError as error:
        return (getattr(error, "sqlite_errorname", "") or "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    except OSError:
        return False


def try_writing(url: str) -> str:
    """Change nothing in the SQLite file behind ``url``, down to the disk; return the code of what is in the way.

    ``""``: it can be written, or somebody is writing just now.
    """
    path = sqlite_path(url)
    if path is None:
        return ""
    try:
        with closing(_connect(path)) as connection:
            connection.execute(TOUCH)
            connection.commit()
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        return next((code for start, code in SQLITE_CODES.items() if name.startswith(start)), "storage_away")
    return ""


def try_headroom(folder: Path) -> str:
    """Write and remove a small file in ``folder``; return the code of what is in the way, ``""`` where nothing is.

    A database may have room left in files that it holds already, while the disk has none for the next save.
    """
    path = folder / f".room-{os.getpid()}-{threading.get_ident()}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            left = _HEADROOM_BYTES
            while left:  # a full disk first takes less than it was given
                left -= os.write(descriptor, bytes(left))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
    except OSError as error:
        return _ERRNO_CODES.get(error.errno or 0, "storage_away")
    return ""


def _connect(path: Path) -> sqlite3.Connection:
    # "rw": a database in WAL mode is not readable without its side files, which "ro" may not make.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0.2)
