"""Drafts in the database. Every function works in the caller's transaction.

Apart from :mod:`cgcore.workbench.drafts`: queries stand in this package only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, delete, func, select

from cgcore.storage.tables import DraftRow

__all__ = ["delete_before", "delete_draft", "has_tab", "latest_by_page", "list_drafts", "move_tab", "put_draft"]


def put_draft(
    session: Session, user_id: int, page: str, tab: str, content: Mapping[str, Any], saved: datetime, *, keep: int
) -> None:
    """Store the draft of a page in a tab; beside it only the newest of the page stay, ``keep`` in all."""
    row = session.get(DraftRow, (user_id, page, tab)) or DraftRow(user_id=user_id, page=page, tab=tab, saved=saved)
    row.content, row.saved = dict(content), saved
    session.add(row)
    session.flush()
    # It is the newest, also where others are of a clock that has been set back since.
    others = [other for other in list_drafts(session, user_id, page) if other.tab != tab]
    for old in others[keep - 1 :]:
        session.delete(old)


def delete_draft(session: Session, user_id: int, page: str, tab: str) -> None:
    """Remove a draft, if it is there."""
    row = session.get(DraftRow, (user_id, page, tab))
    if row is not None:
        session.delete(row)


def delete_before(session: Session, user_id: int, moment: datetime) -> None:
    """Remove what a user typed before ``moment``."""
    session.exec(delete(DraftRow).where(col(DraftRow.user_id) == user_id, col(DraftRow.saved) < moment))


def list_drafts(session: Session, user_id: int, page: str) -> Sequence[DraftRow]:
    """Return the drafts of a page, the newest first."""
    statement = select(DraftRow).where(DraftRow.user_id == user_id, DraftRow.page == page)
    return session.exec(statement.order_by(col(DraftRow.saved).desc(), col(DraftRow.tab))).all()


def has_tab(session: Session, user_id: int, tab: str) -> bool:
    """Return whether a tab has a draft of any page."""
    found = select(DraftRow.page).where(DraftRow.user_id == user_id, DraftRow.tab == tab)
    return session.exec(found.limit(1)).first() is not None


def latest_by_page(session: Session, user_id: int) -> dict[str, datetime]:
    """Return when each page with a draft was typed into last."""
    rows = session.exec(
        select(DraftRow.page, func.max(DraftRow.saved)).where(DraftRow.user_id == user_id).group_by(DraftRow.page)
    )
    return dict(rows.all())


def move_tab(session: Session, user_id: int, old: str, new: str) -> None:
    """Give the drafts of one tab to another; where that has one of the same page, both stay as they are."""
    rows = session.exec(select(DraftRow).where(DraftRow.user_id == user_id, DraftRow.tab == old)).all()
    for row in rows:
        if session.get(DraftRow, (user_id, row.page, new)) is None:
            session.add(DraftRow(user_id=user_id, page=row.page, tab=new, content=row.content, saved=row.saved))
            session.delete(row)
