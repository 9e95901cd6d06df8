"""One-time codes in the database: every function works in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, update
from sqlmodel import Session, col, select

from cgcore.storage.tables import OneTimeCodeRow

__all__ = ["Consumed", "add_code", "consume_code", "delete_codes_of", "find_code", "has_live_code"]


@dataclass(frozen=True, slots=True)
class Consumed:
    """A code that has just been used up, and whose it was (None: nobody's)."""

    user_id: int | None


def add_code(session: Session, row: OneTimeCodeRow) -> None:
    """Store a code; the ones that expired are cleared away."""
    session.exec(delete(OneTimeCodeRow).where(col(OneTimeCodeRow.expires) < row.created))
    session.add(row)


def find_code(session: Session, purpose: str, code_hash: str, now: datetime) -> Consumed | None:
    """Return whose code it would be, without using it up."""
    statement = select(OneTimeCodeRow).where(_is_live(purpose, now), col(OneTimeCodeRow.code_hash) == code_hash)
    row = session.exec(statement).one_or_none()
    return Consumed(row.user_id) if row else None


def has_live_code(session: Session, purpose: str, now: datetime) -> bool:
    """Return whether any code of this purpose still works."""
    return session.exec(select(OneTimeCodeRow.code_hash).where(_is_live(purpose, now)).limit(1)).first() is not None


def consume_code(session: Session, purpose: str, code_hash: str, now: datetime) -> Consumed | None:
    """Use the code up; None when it does not work. Of two callers at once, one gets it: one statement decides."""
    statement = update(OneTimeCodeRow).where(_is_live(purpose, now), col(OneTimeCodeRow.code_hash) == code_hash)
    used = session.exec(statement.values(used=now).returning(col(OneTimeCodeRow.user_id))).one_or_none()
    return Consumed(used[0]) if used else None


def delete_codes_of(session: Session, user_id: int) -> None:
    """Make every code of the user void."""
    session.exec(delete(OneTimeCodeRow).where(col(OneTimeCodeRow.user_id) == user_id))


def _is_live(purpose: str, now: datetime) -> ColumnElement[bool]:
    return and_(
        col(OneTimeCodeRow.purpose) == purpose, col(OneTimeCodeRow.used).is_(None), col(OneTimeCodeRow.expires) > now
    )
