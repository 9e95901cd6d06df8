"""Users as administrators look them up and change them. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, update
from sqlmodel import Session, col, select

from cgcore.storage.tables import UserRow

__all__ = ["list_users_page", "save_particulars"]


def list_users_page(session: Session, *, text: str, active: bool | None, after: str, limit: int) -> Sequence[UserRow]:
    """Return at most ``limit`` users by name, those behind ``after``; ``text`` is looked for in name and mail."""
    statement = select(UserRow)
    if text:
        places = (UserRow.username, UserRow.full_name, UserRow.mail)
        statement = statement.where(or_(*(col(place).icontains(text, autoescape=True) for place in places)))
    if active is not None:
        statement = statement.where(UserRow.active == active)
    if after:
        statement = statement.where(UserRow.username_key > after)
    return session.exec(statement.order_by(UserRow.username_key).limit(limit)).all()


def save_particulars(session: Session, user_id: int, version: int, *, full_name: str, mail: str, role: str) -> bool:
    """Replace what was read at ``version``; False, and nothing written, when it stands at another one."""
    found = update(UserRow).where(col(UserRow.id) == user_id, col(UserRow.version) == version)
    values = {"full_name": full_name, "mail": mail, "role": role, "version": version + 1}
    return session.connection().execute(found.values(values)).rowcount == 1
