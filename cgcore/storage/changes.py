"""Whether the database has changed: a stamp that is another one after every commit, whoever has made it.

It stands alone because it needs a connection of its own, kept open beside the engine's, for each kind of database.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Hashable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cgcore.storage.engine import set_patience

__all__ = ["SNAPSHOT", "ChangeStamps", "build_stamps", "carry_stamp", "drop_carried_stamp"]

SNAPSHOT = "pg_current_snapshot()::text"
"""What stamps of PostgreSQL are made of: a column, for statements that read it along and hand it over."""

# Who asks waits for another asker no longer than a read of its own would take; then it simply reads.
_TURN_S = 0.5
_ANSWER_S = 2.0
# After a failure nobody tries for so long: reading without a stamp costs less than connecting in vain.
_REST_S = 1.0


_carried: ContextVar[list[tuple[ChangeStamps, Hashable]] | None] = ContextVar("carried stamp", default=None)


@contextmanager
def carry_stamp() -> Generator[None]:
    """Let a stamp that is handed over in the block be the first that is taken there, in its threads too.

    For what only reads, and is short: it sees one moment of its own time. A write of the block's own drops the stamp.
    """
    token = _carried.set([])
    try:
        yield
    finally:
        _carried.reset(token)


def drop_carried_stamp() -> None:
    """Forget what :func:`carry_stamp` carries: a write begins, and what is looked at after it was before it."""
    if carried := _carried.get():
        carried.clear()


class ChangeStamps(ABC):
    """Gives the stamps of one database, over one connection that is opened at the first question and never writes.

    Two equal stamps mean that nothing was committed in between, by this process or any other. Where the database
    does not answer, each stamp is unlike every other: whoever asks then reads, and is told what is wrong.
    """

    def __init__(self, *failures: type[Exception]) -> None:
        self._failures = failures
        self._lock = threading.Lock()
        self._connection: Any = None
        self._openings = itertools.count(1)
        self.opened = 0
        self._closed_until = float("-inf")

    def note_opening(self) -> None:
        """A connection was opened, here or beside this: each may count from where it likes."""
        self.opened = next(self._openings)

    def hand_over(self, stamp: Hashable) -> None:
        """Let ``stamp``, which another statement has read, be taken once; outside of :func:`carry_stamp` nothing."""
        if (carried := _carried.get()) is not None:
            carried.append((self, stamp))

    def take(self) -> Hashable:
        """Return the stamp of this moment. What is read *after* it is at least as new."""
        if carried := _carried.get():
            owner, stamp = carried.pop()
            if owner is self:
                return stamp
        if not self._lock.acquire(timeout=_TURN_S):
            return object()
        try:
            return self._take()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let go of the connection; stamps are unlike each other from now on."""
        with self._lock:
            self._closed_until = float("inf")
            self._drop()

    def _take(self) -> Hashable:
        if time.monotonic() < self._closed_until:
            return object()
        try:
            if self._connection is None:
                self._connection = self._open()
                self.note_opening()
            opened = self.opened
            return opened, self._ask(self._connection)
        except self._failures:
            self._closed_until = time.monotonic() + _REST_S
            self._drop()
            return object()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._failures):
                connection.close()

    @abstractmethod
    def _open(self) -> Any:
        """Return a connection for this purpose alone."""

    @abstractmethod
    def _ask(self, connection: Any) -> Hashable:
        """Return what is another one after every commit."""


class _SqliteStamps(ChangeStamps):
    """``PRAGMA data_version``: another number once any other connection, of any process, has committed."""

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite3.Error)
        self._path = path

    def _open(self) -> sqlite3.Connection:
        # "rw": one that may create would make an empty file where the database was taken away.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(address, uri=True, timeout=_TURN_S, isolation_level=None, check_same_thread=False)

    def _ask(self, connection: Any) -> Hashable:
        return connection.execute("PRAGMA data_version").fetchone()[0]


class _PostgresStamps(ChangeStamps):
    """The snapshot that a statement sees: equal ones see the same transactions, whichever have ended or begun.

    A sequence or a counter would have to be bumped by each writer, at the very moment of its commit; this needs
    nobody's help, and nothing waits for it. Other databases of the same server also change it: one reads in vain then.
    """

    def __init__(self, engine: Engine) -> None:
        dialect: Any = engine.dialect
        super().__init__(SQLAlchemyError, dialect.loaded_dbapi.Error)
        self._engine = engine

    def _open(self) -> Any:
        connection = self._engine.raw_connection()
        driver: Any = connection.driver_connection
        # Its own, not one of the pool's few.
        connection.detach()
        driver.autocommit = True
        set_patience(driver, _ANSWER_S)
        return driver

    def _ask(self, connection: Any) -> Hashable:
        return connection.execute(f"SELECT {SNAPSHOT}").fetchone()[0]


def build_stamps(engine: Engine, path: Path | None) -> ChangeStamps:
    """Return the stamps of the database behind ``engine``, ``path`` where it is a file of SQLite."""
    return _PostgresStamps(engine) if path is None else _SqliteStamps(path)
