"""Users in the database: every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from cgcore.storage.tables import UserRow

__all__ = [
    "add_user",
    "count_active_admins",
    "find_user",
    "find_user_by_key",
    "has_users",
    "list_users",
    "save_password_hash",
    "set_active",
]


def has_users(session: Session) -> bool:
    """Return whether there is any user at all, disabled ones included."""
    return session.exec(select(UserRow.id).limit(1)).first() is not None


def find_user(session: Session, user_id: int) -> UserRow | None:
    """Return the user ``user_id``."""
    return session.get(UserRow, user_id)


def find_user_by_key(session: Session, username_key: str) -> UserRow | None:
    """Return the user whose name folds to ``username_key``."""
    return session.exec(select(UserRow).where(UserRow.username_key == username_key)).one_or_none()


def list_users(session: Session) -> Sequence[UserRow]:
    """Return every user, by name."""
    return session.exec(select(UserRow).order_by(col(UserRow.username_key))).all()


def add_user(session: Session, row: UserRow) -> bool:
    """Store a new user, whose id is then set; return False when the name is taken. The transaction stays usable."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def save_password_hash(session: Session, user_id: int, password_hash: str, *, replaces: str | None = None) -> bool:
    """Store a password hash; with ``replaces`` only where that one still stands. Return whether it was stored."""
    statement = update(UserRow).where(col(UserRow.id) == user_id)
    if replaces is not None:
        statement = statement.where(col(UserRow.password_hash) == replaces)
    stored = session.exec(statement.values(password_hash=password_hash).returning(col(UserRow.id)))
    return stored.scalar_one_or_none() is not None


def set_active(session: Session, user_id: int, *, active: bool) -> None:
    """Let the user in, or no longer."""
    session.exec(update(UserRow).where(col(UserRow.id) == user_id).values(active=active))


def count_active_admins(session: Session) -> int:
    """Return how many administrators may log in."""
    is_admin = (UserRow.role == "admin", col(UserRow.active).is_(True))
    return session.exec(select(func.count()).select_from(UserRow).where(*is_admin)).one()
