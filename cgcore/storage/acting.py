"""For whom a worker acts: sender and copies ask the same, long after the person has gone home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlmodel import col, select

from cgcore.identity.actor import Actor, Role
from cgcore.identity.tokens import username_key
from cgcore.storage.tables import UserRow

if TYPE_CHECKING:
    from sqlmodel import Session

__all__ = ["find_acting", "list_acting"]


def find_acting(session: Session, user_id: int) -> Actor | None:
    """Return the user as the one who acts; ``None`` where the account is closed: then nothing leaves in its name."""
    user = session.get(UserRow, user_id)
    return _acting(user) if user is not None and user.active else None


def list_acting(session: Session, username: str = "") -> list[Actor]:
    """Return every user, or the one of that name, closed accounts included."""
    wanted = select(UserRow).order_by(col(UserRow.id))
    if username:
        wanted = wanted.where(UserRow.username_key == username_key(username))
    return [_acting(row) for row in session.exec(wanted)]


def _acting(row: UserRow) -> Actor:
    return Actor(row.id or 0, row.username, row.full_name, row.mail, Role(row.role), locale=row.locale)
