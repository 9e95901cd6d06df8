"""Re-authentication grants in the database: every function works in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import Session, col

from cgcore.storage.tables import GrantRow

__all__ = ["add_grant", "consume_grant"]


def add_grant(session: Session, row: GrantRow, now: datetime) -> None:
    """Store a grant; the ones that expired are cleared away."""
    session.exec(delete(GrantRow).where(col(GrantRow.expires) < now))
    session.add(row)


def consume_grant(
    session: Session, grant_hash: str, now: datetime, *, user_id: int, session_hash: str, action: str
) -> bool:
    """Use the grant up; return whether it was this user's, of this log-in, for this action, unused and in time."""
    statement = update(GrantRow).where(
        col(GrantRow.id) == grant_hash,
        col(GrantRow.user_id) == user_id,
        col(GrantRow.session_hash) == session_hash,
        col(GrantRow.action) == action,
        col(GrantRow.used).is_(None),
        col(GrantRow.expires) > now,
    )
    return session.exec(statement.values(used=now).returning(col(GrantRow.id))).scalar_one_or_none() is not None
