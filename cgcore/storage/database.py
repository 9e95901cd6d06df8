"""The database: engine, transactions, and the check that it stands at this program's revision."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, create_engine

from cgcore.errors import StorageError
from cgcore.storage.revision import HEAD_REVISION

__all__ = ["Database", "open_database"]

_BUSY_TIMEOUT_S = 15


class Database:
    """One engine and its transactions; SQLite in WAL mode, or PostgreSQL.

    Two ways in, each one transaction that commits at the end of the ``with`` block and rolls back on any exception:
    :meth:`session` for changes and :meth:`read` for looking. Rows stay readable after the block.
    """

    def __init__(self, url: str) -> None:
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _create_sqlite(self.url) if self.is_sqlite else create_engine(self.url, pool_pre_ping=True)
        self._writing = self.engine.execution_options(cg_writes=True)

    @contextmanager
    def session(self) -> Generator[Session]:
        """Yield a session that may write.

        On SQLite it holds the write lock from the start: a transaction that reads first and writes later would
        fail at once, without waiting, when another one has written in between.
        """
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Generator[Session]:
        """Yield a session that only reads, and waits for no writer."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def stored_revision(self) -> str:
        """Return the revision the database stands at, ``""`` for a new one."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return ""
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")

    def is_reachable(self) -> bool:
        """Return whether a trivial query is answered."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except DBAPIError:
            return False
        return True

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open the database behind ``url`` and bring it to this program's revision.

    Raises :class:`StorageError` when it cannot be reached or was written by a newer program.
    """
    database = Database(url)
    if database.is_sqlite and database.url.database:
        Path(database.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        stored = database.stored_revision()
        if stored != HEAD_REVISION:
            _migrate(database)
    except DBAPIError as error:
        # The driver's text may hold the password of the URL, so it goes no further than the cause's class.
        raise StorageError(f"cannot open the database ({type(error.orig).__name__})", code="storage_open") from None
    return database


def _migrate(database: Database) -> None:
    from cgcore.storage.migrations import upgrade_to_head

    upgrade_to_head(database)


def _create_sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    # The driver's own transaction handling would start transactions late and hide write conflicts until the
    # commit; it is switched off, and _begin opens each transaction (SQLAlchemy, SQLite dialect notes).
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: an acknowledged save outlives a power cut, not only a killed process.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    # SQLite's own knows ASCII alone: a search for «álvarez» would miss «Álvarez».
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("cg_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
