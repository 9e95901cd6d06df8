"""Log-in sessions in the database: every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from cgcore.storage.tables import LoginSessionRow, UserRow

__all__ = [
    "add_session",
    "find_session",
    "list_live_sessions",
    "mark_seen",
    "prune_sessions",
    "revoke_session",
    "revoke_sessions_of",
]


def add_session(session: Session, row: LoginSessionRow) -> None:
    """Store a new log-in."""
    session.add(row)


def find_session(session: Session, token_hash: str) -> tuple[LoginSessionRow, UserRow] | None:
    """Return a log-in and its user, whatever their state."""
    statement = select(LoginSessionRow, UserRow).join(UserRow, col(UserRow.id) == LoginSessionRow.user_id)
    found = session.exec(statement.where(LoginSessionRow.token_hash == token_hash)).one_or_none()
    return (found[0], found[1]) if found else None


def mark_seen(session: Session, token_hash: str, now: datetime) -> None:
    """Note that the log-in was used."""
    session.exec(update(LoginSessionRow).where(col(LoginSessionRow.token_hash) == token_hash).values(last_seen=now))


def list_live_sessions(session: Session, user_id: int, now: datetime, idle: timedelta) -> Sequence[LoginSessionRow]:
    """Return the user's log-ins that still open the door, the last used first."""
    statement = select(LoginSessionRow).where(
        LoginSessionRow.user_id == user_id,
        col(LoginSessionRow.revoked).is_(None),
        LoginSessionRow.expires > now,
        LoginSessionRow.last_seen > now - idle,
    )
    return session.exec(statement.order_by(col(LoginSessionRow.last_seen).desc())).all()


def revoke_session(session: Session, token_hash: str, now: datetime, *, user_id: int | None = None) -> bool:
    """End one log-in (of ``user_id``, when given); return whether it was open."""
    statement = update(LoginSessionRow).where(
        col(LoginSessionRow.token_hash) == token_hash, col(LoginSessionRow.revoked).is_(None)
    )
    if user_id is not None:
        statement = statement.where(col(LoginSessionRow.user_id) == user_id)
    ended = session.exec(statement.values(revoked=now).returning(col(LoginSessionRow.token_hash)))
    return ended.scalar_one_or_none() is not None


def revoke_sessions_of(session: Session, user_id: int, now: datetime, *, keep: str = "") -> list[str]:
    """End every log-in of the user but ``keep``; return the hashes of those that were open."""
    statement = update(LoginSessionRow).where(
        col(LoginSessionRow.user_id) == user_id,
        col(LoginSessionRow.revoked).is_(None),
        col(LoginSessionRow.token_hash) != keep,
    )
    return list(session.exec(statement.values(revoked=now).returning(col(LoginSessionRow.token_hash))).scalars())


def prune_sessions(session: Session, before: datetime) -> None:
    """Delete the log-ins that had ended by ``before``."""
    session.exec(delete(LoginSessionRow).where(col(LoginSessionRow.expires) < before))
