"""Calls of API keys in the database: the last ones of each key, and how many a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from cgcore.api_keys.calls import CallRecord, PendingCalls
from cgcore.api_keys.record import KEPT_CALLS, LAST_USED_EVERY
from cgcore.storage.tables import ApiCallDayRow, ApiCallRow, ApiKeyRow

__all__ = ["count_by_day", "list_calls", "store_calls"]


def store_calls(session: Session, pending: Mapping[str, PendingCalls]) -> None:
    """Store collected calls: keep the last of each key, add up the days, and note «last used» when it is old."""
    known = set(session.exec(select(ApiKeyRow.id).where(col(ApiKeyRow.id).in_(pending))).all())
    for key_id in sorted(known):  # always in one order, so that two processes never wait for each other
        calls = pending[key_id]
        _note_use(session, key_id, calls.last[-1])
        session.add_all(_row(key_id, call) for call in calls.last)
        session.flush()
        _forget_old(session, key_id)
        for day, count in sorted(calls.days.items()):
            _add_up(session, key_id, day, count)


def list_calls(session: Session, key_id: str) -> list[CallRecord]:
    """Return the kept calls of a key, the last one first."""
    statement = select(ApiCallRow).where(ApiCallRow.key_id == key_id)
    rows = session.exec(statement.order_by(col(ApiCallRow.id).desc()).limit(KEPT_CALLS)).all()
    return [CallRecord(row.at, row.method, row.path, row.status, row.ms, row.ip) for row in rows]


def count_by_day(session: Session, key_id: str, since: date) -> dict[date, int]:
    """Return the number of calls of each day from ``since`` on; days without calls are absent."""
    statement = select(ApiCallDayRow).where(ApiCallDayRow.key_id == key_id, ApiCallDayRow.day >= since)
    return {row.day: row.calls for row in session.exec(statement).all()}


def _row(key_id: str, call: CallRecord) -> ApiCallRow:
    return ApiCallRow(
        key_id=key_id, at=call.at, method=call.method, path=call.path, status=call.status, ms=call.ms, ip=call.ip
    )


def _note_use(session: Session, key_id: str, call: CallRecord) -> None:
    old = or_(col(ApiKeyRow.last_used).is_(None), col(ApiKeyRow.last_used) <= call.at - LAST_USED_EVERY)
    statement = update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id, old)
    session.exec(statement.values(last_used=call.at, last_ip=call.ip))


def _forget_old(session: Session, key_id: str) -> None:
    newest = select(ApiCallRow.id).where(ApiCallRow.key_id == key_id).order_by(col(ApiCallRow.id).desc())
    kept = newest.limit(KEPT_CALLS)
    session.exec(delete(ApiCallRow).where(col(ApiCallRow.key_id) == key_id, col(ApiCallRow.id).not_in(kept)))


def _add_up(session: Session, key_id: str, day: date, count: int) -> None:
    of_day = (col(ApiCallDayRow.key_id) == key_id, col(ApiCallDayRow.day) == day)
    added = update(ApiCallDayRow).where(*of_day).values(calls=ApiCallDayRow.calls + count)
    if not session.exec(added.returning(col(ApiCallDayRow.calls))).all():
        session.add(ApiCallDayRow(key_id=key_id, day=day, calls=count))
        session.flush()
