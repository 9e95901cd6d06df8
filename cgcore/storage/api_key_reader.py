"""The check of an API key reads here: one joined statement on one long-lived connection, without an ORM session."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from cgcore.api_keys.record import StoredKey, parse_scopes
from cgcore.errors import StorageBusy, StorageError
from cgcore.identity.actor import Role
from cgcore.storage.database import Database
from cgcore.storage.engine import set_patience
from cgcore.storage.tables import ApiKeyRow, UserRow

__all__ = ["ApiKeyReader"]

# A server that does not answer must not hold a caller, nor the others behind it.
_STATEMENT_TIMEOUT_MS = 3000
_ANSWER_S = 4.0
_TURN_S = 5.0


class ApiKeyReader:
    """Reads a key with its owner, always as last committed: nothing is cached and no transaction stays open.

    The connection is opened at the first read and again after a failure; any thread may read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: Any = None
        self._statement = str(_build_statement().compile(dialect=database.engine.dialect))

    @property
    def is_local(self) -> bool:
        """Whether a read takes microseconds and may run on the event loop: in SQLite's WAL mode no reader waits."""
        return self._database.is_sqlite

    def find(self, key_id: str) -> StoredKey | None:
        """Return the key ``key_id`` with its owner. Raises :class:`StorageError` when the database does not answer."""
        driver = self._database.engine.dialect.loaded_dbapi
        parameters = (key_id,) if self._database.is_sqlite else {"id": key_id}
        if not self._lock.acquire(timeout=_TURN_S):
            raise StorageBusy("others wait for the check of a key")
        try:
            for attempt in (1, 2):
                try:
                    row = self._fetch(parameters)
                except (driver.Error, SQLAlchemyError) as error:
                    self._drop()
                    if attempt == 2:
                        raise StorageError(f"cannot read a key ({type(error).__name__})", code="storage_away") from None
                else:
                    return _stored_key(row) if row else None
        finally:
            self._lock.release()
        return None

    def close(self) -> None:
        """Close the connection; the next read opens another."""
        with self._lock:
            self._drop()

    def _fetch(self, parameters: Any) -> Sequence[Any] | None:
        if self._connection is None:
            self._connection = self._open()
        cursor = self._connection.cursor()
        try:
            cursor.execute(self._statement, parameters)
            return cursor.fetchone()
        finally:
            cursor.close()

    def _open(self) -> Any:
        # The driver's own connection, not SQLAlchemy's: that one would open a transaction, and read the past.
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if not self._database.is_sqlite:
            connection.autocommit = True
            set_patience(connection, _ANSWER_S)
            connection.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _build_statement() -> Any:
    key, user = ApiKeyRow, UserRow
    of_key = (key.id, key.digest, key.scopes, key.expires, key.retires, key.revoked, key.last_used)
    of_owner = (user.id, user.username, user.full_name, user.mail, user.role, user.active)
    statement = select(*(col(column) for column in (*of_key, *of_owner)))
    return statement.join(user, col(user.id) == col(key.user_id)).where(col(key.id) == bindparam("id"))


def _stored_key(row: Sequence[Any]) -> StoredKey:
    key_id, digest, scopes, expires, retires, revoked, last_used, user_id, username, full_name, mail, role, active = row
    return StoredKey(
        id=key_id,
        digest=digest,
        scopes=_scopes(scopes),
        expires=_moment(expires),
        retires=_moment(retires),
        revoked=_moment(revoked),
        last_used=_moment(last_used),
        user_id=user_id,
        username=username,
        full_name=full_name,
        mail=mail,
        role=Role(role),
        user_active=bool(active),
    )


_scopes = lru_cache(maxsize=8)(parse_scopes)


def _moment(value: str | datetime | None) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
