"""Wakes whoever waits when log-ins have ended in another process: LISTEN and NOTIFY of PostgreSQL.

It stands alone because it needs a connection of its own, as the stamps of :mod:`cgcore.storage.changes` do. Nobody may
rely on it alone: a notice that is lost, or a database that sends none (SQLite), is what looking by the clock is for.
"""

from __future__ import annotations

import selectors
import threading
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from cgcore.storage.database import Database
from cgcore.storage.engine import set_patience

__all__ = ["Bell", "ring"]

_CHANNEL = "cg_log_ins"
_ANSWER_S = 4.0
_REST_S = 2.0


def ring(session: Session) -> None:
    """Have every process told once this transaction is committed; on SQLite nothing."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(text("SELECT pg_notify(:channel, '')"), {"channel": _CHANNEL})


class Bell:
    """Waits for the notices of one database, in one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._closed = threading.Event()
        self._connection: Any = None
        self._closed_until = float("-inf")

    def wait(self, seconds: float) -> bool:
        """Return after a notice, or ``seconds``; False once it is closed."""
        if self._closed.is_set():
            return False
        if self._database.is_sqlite or not self._listens():
            return not self._closed.wait(seconds)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection.fileno(), selectors.EVENT_READ)
            told = bool(selector.select(seconds))
        if told:
            self._take_notices()
        return not self._closed.is_set()

    def close(self) -> None:
        """End the waiting, at the latest when its time is up."""
        self._closed.set()

    def drop(self) -> None:
        """Let go of the connection; for the thread that waits."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _listens(self) -> bool:
        if self._connection is None and time.monotonic() >= self._closed_until:
            try:
                self._connection = self._open()
            except (SQLAlchemyError, self._database.engine.dialect.loaded_dbapi.Error):
                self._rest()
        return self._connection is not None

    def _open(self) -> Any:
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        # Its own, not one of the pool's few.
        pooled.detach()
        connection.autocommit = True
        set_patience(connection, _ANSWER_S)
        connection.execute(f"LISTEN {_CHANNEL}")
        return connection

    def _take_notices(self) -> None:
        """Read what has come, so that the next wait does not end for it; a lost connection is opened again later."""
        try:
            self._connection.pgconn.consume_input()
            while self._connection.pgconn.notifies() is not None:
                pass
        except self._database.engine.dialect.loaded_dbapi.Error:
            self._rest()

    def _rest(self) -> None:
        self._closed_until = time.monotonic() + _REST_S
        self.drop()
