"""A whole database into one file and back: SQLite's online backup, PostgreSQL's pg_dump and pg_restore.

It stands alone because it works on databases as a whole, with their own tools, and reads no table.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from cgcore.errors import StorageError
from cgcore.storage.database import Database, find_opening_failure
from cgcore.storage.revision import find_damage, sqlite_path

__all__ = ["dump_database", "find_kind", "find_revision", "has_people", "load_database", "require_unused"]

_log = logging.getLogger(__name__)

_SIDES = ("-wal", "-shm")
_SCHEMA = "public"


def find_kind(url: str) -> str:
    """Return ``sqlite`` or ``postgresql``."""
    return "postgresql" if sqlite_path(url) is None else "sqlite"


def find_revision(url: str) -> str:
    """Return the revision behind ``url``, ``""`` where there is no database yet. Raises :class:`StorageError`."""
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        return ""
    with closing(Database(url)) as database:
        try:
            return database.stored_revision()
        except SQLAlchemyError as error:
            raise find_opening_failure(database, error) from None


def has_people(url: str) -> bool:
    """Return whether there is a database with a user. Raises :class:`StorageError`."""
    if not find_revision(url):
        return False
    from cgcore.storage.identity import has_users

    with closing(Database(url)) as database, database.read() as session:
        return has_users(session)


def require_unused(url: str) -> None:
    """Raise :class:`StorageError` ``storage_in_use`` while others are connected to a PostgreSQL database."""
    if sqlite_path(url) is not None:
        return
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with closing(Database(url)) as database:
        try:
            with database.engine.connect() as connection:
                count = connection.execute(text(others)).scalar_one()
        except SQLAlchemyError as error:
            raise find_opening_failure(database, error) from None
    if count:
        raise StorageError("others are connected", code="storage_in_use")


def dump_database(url: str, target: Path) -> None:
    """Write one state of the database to ``target``, also while servers work on it. Raises :class:`StorageError`."""
    path = sqlite_path(url)
    if path is None:
        _run_tool(
            "pg_dump",
            url,
            "--format=custom",
            f"--schema={_SCHEMA}",
            "--no-owner",
            "--no-privileges",
            f"--file={target}",
        )
        return
    try:
        source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
        with closing(source), closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            # One file that needs no other beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StorageError(f"the copy failed ({type(error).__name__})", code="storage_away") from None
    if find_damage(target, thorough=True):
        raise StorageError("the copy is damaged", code="storage_damaged")


def load_database(url: str, source: Path, *, aside: str) -> None:
    """Put the state in ``source`` in the place of the database, whole or not at all.

    What stands there gets ``aside`` behind its name: the file of SQLite, the schema of PostgreSQL. Nobody else works on
    it. Raises :class:`StorageError`.
    """
    path = sqlite_path(url)
    if path is None:
        _load_postgres(url, source, f"{_SCHEMA}{aside}")
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        for side in ("", *_SIDES):
            place = path.with_name(path.name + side)
            if place.exists():
                place.rename(path.with_name(f"{path.name}{aside}{side}"))
    arriving = path.with_name(f"{path.name}.new")
    shutil.copyfile(source, arriving)
    arriving.chmod(0o600)
    arriving.replace(path)


def _load_postgres(url: str, source: Path, aside: str) -> None:
    options = (f"--schema={_SCHEMA}", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    is_there = bool(find_revision(url))
    if is_there:
        _execute(url, f'ALTER SCHEMA {_SCHEMA} RENAME TO "{aside}"', f"CREATE SCHEMA {_SCHEMA}")
    try:
        _run_tool("pg_restore", url, *options, str(source))
    except StorageError:
        if is_there:
            _execute(url, f"DROP SCHEMA {_SCHEMA} CASCADE", f'ALTER SCHEMA "{aside}" RENAME TO {_SCHEMA}')
        raise


def _execute(url: str, *statements: str) -> None:
    with closing(Database(url)) as database:
        try:
            with database.engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))
        except SQLAlchemyError as error:
            raise find_opening_failure(database, error) from None


def _run_tool(name: str, url: str, *options: str) -> None:
    """Run a program of PostgreSQL's client; the password goes by its environment, which no other user can read."""
    if shutil.which(name) is None:
        raise StorageError("the client of PostgreSQL is missing", code="backup_no_tool")
    parsed = make_url(url)
    address = parsed.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    done = subprocess.run(  # noqa: S603  our own arguments, no shell
        [name, *_place_of(options, address)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        _log.warning("%s: %s", name, done.stderr.strip()[:2000])
        raise StorageError(f"{name} ended with {done.returncode}", code="backup_tool_failed")


def _place_of(options: Sequence[str], address: str) -> list[str]:
    *named, last = options
    return [*named, f"--dbname={address}", last]
