"""API keys and their calls in the database, and the one joined statement that checks a key."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import String, and_, any_, bindparam, delete, func, insert, literal_column, or_, update
from sqlalchemy import select as select_columns
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from cgcore.activity import neutral_line
from cgcore.api_keys.calls import CallRecord, PendingCalls
from cgcore.api_keys.record import KEPT_CALLS, LAST_USED_EVERY, KeyRecord, StoredKey, dump_scopes, parse_scopes
from cgcore.clock import CLOCK_SKEW
from cgcore.errors import StorageBusy, StorageError
from cgcore.identity.actor import Actor, Role
from cgcore.storage.changes import SNAPSHOT
from cgcore.storage.database import Database
from cgcore.storage.engine import set_patience
from cgcore.storage.tables import ApiCallDayRow, ApiCallRow, ApiKeyRow, UserRow

__all__ = [
    "ApiKeyReader",
    "FoundKeys",
    "add_key",
    "count_by_day",
    "find_key",
    "find_owner",
    "list_calls",
    "list_keys",
    "mark_first_use",
    "replace_key",
    "revoke_keys",
    "revoke_keys_of",
    "store_calls",
]

_MAX_TEXT = 300


def add_key(session: Session, record: KeyRecord, digest: str) -> None:
    """Store a new key: its record and the digest of its secret."""
    session.add(
        ApiKeyRow(
            id=record.id,
            user_id=record.user_id,
            device=record.device,
            digest=digest,
            last4=record.last4,
            scopes=dump_scopes(record.scopes),
            created=record.created,
            expires=record.expires,
        )
    )
    session.flush()


def find_key(session: Session, user_id: int, key_id: str, *, lock: bool = False) -> KeyRecord | None:
    """Return the user's key ``key_id``; somebody else's is not found. ``lock`` holds it until the transaction ends."""
    statement = select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.user_id == user_id)
    row = session.exec(statement.with_for_update() if lock else statement).one_or_none()
    return _record(row) if row else None


def list_keys(session: Session, user_id: int) -> list[KeyRecord]:
    """Return the user's keys, the newest first."""
    statement = select(ApiKeyRow).where(ApiKeyRow.user_id == user_id)
    rows = session.exec(statement.order_by(col(ApiKeyRow.created).desc(), ApiKeyRow.id)).all()
    return [_record(row) for row in rows]


def find_owner(session: Session, user_id: int) -> Actor | None:
    """Return the user as somebody who acts, unless unknown or disabled."""
    row = session.get(UserRow, user_id)
    if row is None or not row.active:
        return None
    return Actor(user_id, row.username, row.full_name, row.mail, Role(row.role))


def replace_key(session: Session, old_id: str, new_id: str, *, retires: datetime) -> None:
    """Let ``new_id`` follow ``old_id`` (and what ``old_id`` itself was to replace) until ``retires`` at the latest.

    An earlier end stands: asking again for a lost answer does not give the old key more time.
    """
    waiting = and_(col(ApiKeyRow.replaced_by) == old_id, col(ApiKeyRow.revoked).is_(None))
    session.exec(update(ApiKeyRow).where(waiting).values(replaced_by=new_id))
    session.exec(update(ApiKeyRow).where(col(ApiKeyRow.id) == old_id).values(replaced_by=new_id))
    no_end = and_(col(ApiKeyRow.id) == old_id, col(ApiKeyRow.retires).is_(None))
    session.exec(update(ApiKeyRow).where(no_end).values(retires=retires))


def revoke_keys(session: Session, key_ids: Sequence[str], now: datetime) -> list[str]:
    """Revoke what is not revoked yet among ``key_ids``; return those."""
    statement = update(ApiKeyRow).where(col(ApiKeyRow.id).in_(key_ids), col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def revoke_keys_of(session: Session, user_id: int, now: datetime) -> list[str]:
    """Revoke every key of the user; return the ones that were not revoked yet."""
    statement = update(ApiKeyRow).where(col(ApiKeyRow.user_id) == user_id, col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def mark_first_use(session: Session, key_id: str, now: datetime, ip: str) -> list[str]:
    """Note the first use of ``key_id`` and revoke what it replaces; return the revoked ids.

    Nothing happens when another process noted it before.
    """
    unused = and_(col(ApiKeyRow.id) == key_id, col(ApiKeyRow.last_used).is_(None))
    noted = update(ApiKeyRow).where(unused).values(last_used=now, last_ip=ip).returning(col(ApiKeyRow.id))
    if session.exec(noted).scalar_one_or_none() is None:
        return []
    replaced = col(ApiKeyRow.replaced_by) == key_id
    statement = update(ApiKeyRow).where(replaced, col(ApiKeyRow.revoked).is_(None))
    return list(session.exec(statement.values(revoked=now).returning(col(ApiKeyRow.id))).scalars())


def _record(row: ApiKeyRow) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        user_id=row.user_id,
        device=row.device,
        last4=row.last4,
        scopes=parse_scopes(row.scopes),
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
        last_ip=row.last_ip,
        revoked=row.revoked,
        retires=row.retires,
        replaced_by=row.replaced_by,
    )


def store_calls(session: Session, pending: Mapping[str, PendingCalls]) -> None:
    """Store collected calls: keep the last of each key, add up the days, and note «last used» when it is old."""
    used = dict(session.exec(select(ApiKeyRow.id, ApiKeyRow.last_used).where(col(ApiKeyRow.id).in_(pending))).all())
    # Always in one order, so that two processes never wait for each other; few statements, however many keys are busy.
    kept = {key_id: pending[key_id] for key_id in sorted(used)}
    if not kept:
        return
    for key_id, calls in kept.items():
        if _is_old(used[key_id], calls.last[-1].at):
            _note_use(session, key_id, calls.last[-1])
    # As plain rows, not as objects: a busy key has a hundred of them every second.
    session.connection().execute(
        insert(ApiCallRow), [_row(key_id, call) for key_id, calls in kept.items() for call in calls.last]
    )
    days = [(key_id, day, count) for key_id, calls in kept.items() for day, count in sorted(calls.days.items())]
    _add_up(session, [{"key_id": key_id, "day": day, "calls": count} for key_id, day, count in days])
    # Last: whoever stores calls of the same key has waited at its day, and the two delete no row in another order.
    _forget_old(session, kept)


def list_calls(session: Session, key_id: str) -> list[CallRecord]:
    """Return the kept calls of a key, the last one first."""
    statement = select(ApiCallRow).where(ApiCallRow.key_id == key_id)
    rows = session.exec(statement.order_by(col(ApiCallRow.id).desc()).limit(KEPT_CALLS)).all()
    return [CallRecord(row.at, row.method, row.path, row.status, row.ms, row.ip) for row in rows]


def count_by_day(session: Session, key_id: str, since: date) -> dict[date, int]:
    """Return the number of calls of each day from ``since`` on; days without calls are absent."""
    statement = select(ApiCallDayRow).where(ApiCallDayRow.key_id == key_id, ApiCallDayRow.day >= since)
    return {row.day: row.calls for row in session.exec(statement).all()}


def _row(key_id: str, call: CallRecord) -> dict[str, Any]:
    # Whatever a caller asked for, decoded: what no column takes must not cost the others their lines.
    method, path, ip = (neutral_line(text, _MAX_TEXT) for text in (call.method, call.path, call.ip))
    said = {"method": method, "path": path, "status": call.status, "ms": call.ms, "ip": ip}
    return {"key_id": key_id, "at": call.at, **said}


def _is_old(last: datetime | None, at: datetime) -> bool:
    # One that lies ahead was noted before the clock was set back, and would stand until then.
    return last is None or last <= at - LAST_USED_EVERY or last > at + CLOCK_SKEW


def _note_use(session: Session, key_id: str, call: CallRecord) -> None:
    last = col(ApiKeyRow.last_used)
    # Asked again of the row: another process may have noted it meanwhile.
    old = or_(last.is_(None), last <= call.at - LAST_USED_EVERY, last > call.at + CLOCK_SKEW)
    statement = update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id, old)
    session.exec(statement.values(last_used=call.at, last_ip=neutral_line(call.ip, _MAX_TEXT)))


def _forget_old(session: Session, key_ids: Collection[str]) -> None:
    place = func.row_number().over(partition_by=col(ApiCallRow.key_id), order_by=col(ApiCallRow.id).desc())
    calls = (
        select_columns(col(ApiCallRow.id), place.label("place")).where(col(ApiCallRow.key_id).in_(key_ids)).subquery()
    )
    old = select_columns(calls.c.id).where(calls.c.place > KEPT_CALLS)
    session.exec(delete(ApiCallRow).where(col(ApiCallRow.id).in_(old)))


def _add_up(session: Session, days: Sequence[Mapping[str, Any]]) -> None:
    # Added by the database: another process may count the first call of the same day.
    upsert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    first = upsert(ApiCallDayRow)
    more = {"calls": ApiCallDayRow.calls + first.excluded.calls}
    session.connection().execute(first.on_conflict_do_update(index_elements=["key_id", "day"], set_=more), days)


# A server that does not answer must not hold a caller, nor the others behind it.
_STATEMENT_TIMEOUT_MS = 3000
_ANSWER_S = 4.0
_TURN_S = 5.0


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """Keys by their ids, as one moment saw them; ``stamp`` is its stamp, None where it was not read along."""

    keys: Mapping[str, StoredKey]
    stamp: Hashable | None = None


class ApiKeyReader:
    """Reads keys with their owners, always as last committed: nothing is cached and no transaction stays open.

    The connection is opened at the first read and again after a failure; any thread may read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: Any = None
        self._statement = str(_build_statement(database.is_sqlite).compile(dialect=database.engine.dialect))

    @property
    def is_local(self) -> bool:
        """Whether a read takes microseconds and may run on the event loop: in SQLite's WAL mode no reader waits."""
        return self._database.is_sqlite

    def find_all(self, key_ids: Collection[str]) -> FoundKeys:
        """Return those keys that are there, with their owners; with PostgreSQL one statement reads its stamp along.

        Raises :class:`StorageError` when the database does not answer.
        """
        driver = self._database.engine.dialect.loaded_dbapi
        if not self._lock.acquire(timeout=_TURN_S):
            raise StorageBusy("others wait for the check of a key")
        try:
            try:
                return self._fetch(key_ids)
            except (driver.Error, SQLAlchemyError):
                self._drop()
            try:
                return self._fetch(key_ids)
            except (driver.Error, SQLAlchemyError) as error:
                self._drop()
                raise StorageError(f"cannot read a key ({type(error).__name__})", code="storage_away") from None
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; the next read opens another."""
        with self._lock:
            self._drop()

    def _fetch(self, key_ids: Collection[str]) -> FoundKeys:
        if self._connection is None:
            self._connection = self._open()
        if self._database.is_sqlite:
            rows = [
                row for key_id in key_ids if (row := self._connection.execute(self._statement, (key_id,)).fetchone())
            ]
            return FoundKeys({row[0]: _stored_key(row) for row in rows})
        opened = self._database.stamps.opened
        rows = self._connection.execute(self._statement, {"ids": list(key_ids)}).fetchall()
        stamp = (opened, rows[0][-1]) if rows else None
        return FoundKeys({row[0]: _stored_key(row[:-1]) for row in rows}, stamp)

    def _open(self) -> Any:
        # The driver's own connection, not SQLAlchemy's: that one would open a transaction, and read the past.
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if not self._database.is_sqlite:
            connection.autocommit = True
            set_patience(connection, _ANSWER_S)
            connection.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
            self._database.stamps.note_opening()
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _build_statement(is_sqlite: bool) -> Any:
    key, user = ApiKeyRow, UserRow
    of_key = (key.id, key.digest, key.scopes, key.expires, key.retires, key.revoked, key.last_used)
    of_owner = (user.id, user.username, user.full_name, user.mail, user.role, user.active, user.locale)
    columns: list[Any] = [col(column) for column in (*of_key, *of_owner)]
    if is_sqlite:
        asked = col(key.id) == bindparam("id")
    else:
        asked = col(key.id) == any_(bindparam("ids", type_=postgresql.ARRAY(String)))
        columns.append(literal_column(SNAPSHOT))
    return select_columns(*columns).join(user, col(user.id) == col(key.user_id)).where(asked)


def _stored_key(row: Sequence[Any]) -> StoredKey:
    key_id, digest, scopes, expires, retires, revoked, last_used, *owner = row
    user_id, username, full_name, mail, role, active, locale = owner
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
        locale=locale,
    )


_scopes = lru_cache(maxsize=8)(parse_scopes)


def _moment(value: str | datetime | None) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
