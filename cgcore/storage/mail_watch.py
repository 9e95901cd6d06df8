"""The daily watch in the database. Every function works in the caller's transaction.

Apart from :mod:`cgcore.workbench.mail_watch`: no other package opens the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select, update

from cgcore.storage.mail_tables import MailWatchRow
from cgcore.storage.tables import MailAccountRow, UserRow

__all__ = [
    "add_watches",
    "claim_look",
    "find_watch",
    "keep_look",
    "list_unwatched",
    "list_watches",
    "switch_watch",
]


def find_watch(session: Session, user_id: int) -> MailWatchRow | None:
    """Return the watch of a user, ``None`` before the first time that anybody thought of it: then it is on."""
    return session.get(MailWatchRow, user_id)


def list_watches(session: Session) -> Sequence[MailWatchRow]:
    """Return the watches that are on, of users who may log in and whose account has a server."""
    wanted = (
        select(MailWatchRow)
        .join(MailAccountRow, col(MailAccountRow.user_id) == col(MailWatchRow.user_id))
        .join(UserRow, col(UserRow.id) == col(MailWatchRow.user_id))
        .where(col(MailWatchRow.enabled), col(UserRow.active), MailAccountRow.smtp_host != "")
        .order_by(col(MailWatchRow.user_id))
    )
    return session.exec(wanted).all()


def list_unwatched(session: Session) -> list[int]:
    """Return the users whose account has a server, and no watch yet."""
    known = select(MailWatchRow.user_id)
    wanted = select(MailAccountRow.user_id).where(
        MailAccountRow.smtp_host != "", col(MailAccountRow.user_id).not_in(known)
    )
    return list(session.exec(wanted))


def add_watches(session: Session, user_ids: Sequence[int], now: datetime) -> None:
    """Begin to watch users; of several processes that do so at once each leaves what is there."""
    for user_id in user_ids:
        _insert(session, user_id=user_id, enabled=True, since=now)


def switch_watch(session: Session, user_id: int, enabled: bool, now: datetime) -> None:
    """Switch a watch on or off; one that is switched on begins anew."""
    row = session.get(MailWatchRow, user_id)
    if row is None:
        _insert(session, user_id=user_id, enabled=enabled, since=now)
        return
    row.enabled, row.since, row.memory = enabled, now, {}
    session.add(row)


def claim_look(session: Session, row: MailWatchRow, now: datetime) -> bool:
    """Note that a look begins; return whether it is the caller's. Each look is one process's, and never repeated."""
    mine = (col(MailWatchRow.user_id) == row.user_id, col(MailWatchRow.looks) == row.looks, col(MailWatchRow.enabled))
    wanted = update(MailWatchRow).where(*mine).values(looks=row.looks + 1, looked=now)
    return session.connection().execute(wanted).rowcount == 1


def keep_look(session: Session, user_id: int, looks: int, memory: dict[str, Any]) -> bool:
    """Store what a look has come to; False where the watch was switched meanwhile, or another look has begun."""
    mine = (col(MailWatchRow.user_id) == user_id, col(MailWatchRow.looks) == looks, col(MailWatchRow.enabled))
    return session.connection().execute(update(MailWatchRow).where(*mine).values(memory=memory)).rowcount == 1


def _insert(session: Session, *, user_id: int, enabled: bool, since: datetime) -> None:
    dialect = postgresql if session.connection().dialect.name == "postgresql" else sqlite
    values: dict[str, Any] = {"user_id": user_id, "enabled": enabled, "since": since, "looks": 0, "memory": {}}
    session.connection().execute(dialect.insert(MailWatchRow).values(values).on_conflict_do_nothing())
