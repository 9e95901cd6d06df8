"""The engine of each kind of database: how connections are made, how long they wait, what they refuse to carry.

PostgreSQL is told limits of its own (a statement, a lock, an idle transaction), and beside them the client keeps time:
a server that is stopped keeps its connections open and says nothing, and no limit of the server's ends that.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlmodel import create_engine

from cgcore.storage.failures import strip_values
from cgcore.text_rules import refuse_unstorable

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["CONNECT_S", "WRITE_PATIENCE_S", "build_engine", "set_patience"]

# How long a change waits for its turn behind others, before it says that the database is busy.
WRITE_PATIENCE_S = 10.0
CONNECT_S = 4
_PING_S = 3.0
_STATEMENT_S = 10
# The server's own limit speaks first: the client's ends the connection.
_ANSWER_S = 12.0
_LOCK_S = 8
_IDLE_TRANSACTION_S = 60
_POOL_S = 5
# After a failed connection nobody tries for so long: a crowd must not wait for the same silence one after the other.
_REST_S = 1.5

_POSTGRES: dict[str, Any] = {
    "connect_timeout": CONNECT_S,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "cloud-gestion",
    "options": (
        f"-c statement_timeout={_STATEMENT_S}s -c lock_timeout={_LOCK_S}s"
        f" -c idle_in_transaction_session_timeout={_IDLE_TRANSACTION_S}s"
    ),
}


def build_engine(url: URL) -> Engine:
    """Return the engine of a SQLite file or a PostgreSQL database; nothing is opened yet.

    Parameters stand in none of its errors and logs (``hide_parameters``), nor do values that the server quotes.
    """
    engine = _build_sqlite(url) if url.get_backend_name() == "sqlite" else _build_postgres(url)
    event.listen(engine, "handle_error", strip_values)
    event.listen(engine, "before_cursor_execute", _refuse_unstorable)
    return engine


def _refuse_unstorable(
    _connection: object, _cursor: object, _statement: str, parameters: Any, _context: object, _many: bool
) -> None:
    # One row or a list of rows, each by place or by name; many rows in one statement come as one long row.
    waiting: list[Any] = [parameters]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            refuse_unstorable(value)
        elif isinstance(value, dict):
            waiting += cast("dict[str, Any]", value).values()
        elif isinstance(value, list | tuple):
            waiting += cast("list[Any]", value)


def set_patience(connection: Any, seconds: float) -> float:
    """Let the statements of one driver's connection wait ``seconds`` for their answer; return what it was before."""
    before = getattr(connection, "patience", 0.0)
    if before:
        connection.patience = seconds
    return before


def _build_sqlite(url: URL) -> Engine:
    options = {"timeout": WRITE_PATIENCE_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=options, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling would start transactions late and hide write conflicts until the
    # commit; it is switched off, and _begin_sqlite opens each transaction (SQLAlchemy, SQLite dialect notes).
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: an acknowledged save outlives a power cut, not only a killed process.
    cursor.execute("PRAGMA synchronous=FULL")
    # Kibibytes for each connection. The system keeps the file's pages too, and a large message pushes all others out.
    cursor.execute("PRAGMA cache_size=-512")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
    # SQLite's own knows ASCII alone: a search for «álvarez» would miss «Álvarez».
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Any) -> None:
    patience = connection.get_execution_options().get("cg_writes")
    if patience is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={round(patience * 1000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _build_postgres(url: URL) -> Engine:
    # What the address itself asks for wins: another connect_timeout, for one.
    given = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    engine = create_engine(
        url, connect_args=given, pool_pre_ping=True, pool_timeout=_POOL_S, pool_use_lifo=True, hide_parameters=True
    )
    event.listen(engine, "do_connect", _Doorman())
    dialect: Any = engine.dialect
    dialect.do_ping = _patient_ping(dialect.do_ping)
    return engine


class _Doorman:
    """Makes the connections; after one that failed it rests, and whoever asks meanwhile is told at once."""

    def __init__(self) -> None:
        self._closed_until = 0.0

    def __call__(self, _dialect: object, _record: object, arguments: Any, options: Any) -> DBAPIConnection:
        import psycopg

        if time.monotonic() < self._closed_until:
            raise psycopg.OperationalError("the server did not answer a moment ago")
        try:
            return _patient_class().connect(*arguments, **options)
        except psycopg.Error:
            self._closed_until = time.monotonic() + _REST_S
            raise


@cache
def _patient_class() -> Any:
    import psycopg

    class PatientConnection(psycopg.Connection[Any]):
        """A connection that is given up, and closed, when an answer takes longer than ``patience`` seconds."""

        patience = _ANSWER_S

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            """Wait for one answer."""
            try:
                return super().wait(gen, interval, self.patience if timeout is None else timeout)
            except psycopg.errors._WaitTimeout:  # pyright: ignore[reportPrivateUsage]
                self.pgconn.finish()
                raise psycopg.OperationalError("the server does not answer") from None

    return PatientConnection


def _patient_ping(ping: Any) -> Any:
    def ping_soon(connection: Any) -> bool:
        before = set_patience(connection, _PING_S)
        try:
            return bool(ping(connection))
        finally:
            set_patience(connection, before)

    return ping_soon
