"""Tries that are counted, and the waits that follow from them, in the database; all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from cgcore.clock import has_happened
from cgcore.identity.throttle import FORGET_AFTER, LONGEST_WAIT, ThrottleKey, delay_after
from cgcore.storage.tables import ThrottleRow

__all__ = ["Attempt", "forgive", "reserve"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was counted ahead for one try; :func:`forgive` takes it back after the right password."""

    name: str
    next_allowed: datetime


def reserve(session: Session, keys: Sequence[ThrottleKey], now: datetime) -> list[Attempt] | datetime:
    """Count one failure ahead on each key, or return the moment until which the try must wait.

    Counting ahead is what keeps a hundred tries at once from all being heard: each sees the ones before it. A
    refused try counts nothing, so knocking on a closed door does not keep it closed.
    """
    rows = [_locked_row(session, key, now) for key in keys]
    waiting = [row.next_allowed for row in rows if row.next_allowed > now and has_happened(row.last_failure, now)]
    if waiting:
        return min(max(waiting), now + LONGEST_WAIT)
    return [_count(row, key, now) for row, key in zip(rows, keys, strict=True)]


def forgive(session: Session, attempts: Sequence[Attempt], *, account: str) -> None:
    """Take the counted failures back; those of ``account`` (a key's name) all, of a source only this one.

    A guesser who knows one password must not wash a whole source clean with it.
    """
    for attempt in attempts:
        if attempt.name == account:
            session.exec(delete(ThrottleRow).where(col(ThrottleRow.key) == attempt.name))
            continue
        one_less = col(ThrottleRow.failures) - 1
        session.exec(update(ThrottleRow).where(col(ThrottleRow.key) == attempt.name).values(failures=one_less))
        is_ours = (col(ThrottleRow.key) == attempt.name, col(ThrottleRow.next_allowed) == attempt.next_allowed)
        session.exec(update(ThrottleRow).where(*is_ours).values(next_allowed=col(ThrottleRow.last_failure)))


def _locked_row(session: Session, key: ThrottleKey, now: datetime) -> ThrottleRow:
    # Written before it is read: on SQLite this takes the write lock, on PostgreSQL the row's, so that tries queue up.
    touch = update(ThrottleRow).where(col(ThrottleRow.key) == key.name).values(key=key.name)
    if not session.exec(touch.returning(col(ThrottleRow.key))).scalars().all():
        _prune(session, now)
        try:
            with session.begin_nested():
                session.add(ThrottleRow(key=key.name, failures=0, last_failure=now, next_allowed=now))
        except IntegrityError:
            session.exec(touch)
    return session.exec(select(ThrottleRow).where(ThrottleRow.key == key.name).with_for_update()).one()


def _count(row: ThrottleRow, key: ThrottleKey, now: datetime) -> Attempt:
    remembered = row.failures if now - row.last_failure < FORGET_AFTER else 0
    row.failures = max(remembered, 0) + 1
    row.last_failure = now
    row.next_allowed = now + delay_after(row.failures, key.free)
    return Attempt(key.name, row.next_allowed)


def _prune(session: Session, now: datetime) -> None:
    session.exec(delete(ThrottleRow).where(col(ThrottleRow.last_failure) < now - FORGET_AFTER))
