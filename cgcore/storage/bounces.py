"""What came back for sent messages as people see it; the clerk's side is :mod:`cgcore.storage.bounce_queue`.

All in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlmodel import Session, col, func, select, update

from cgcore.outbox.notices import BounceSearch, Notice, NoticeKind
from cgcore.storage.bounce_tables import BounceNoticeRow, BounceSearchRow
from cgcore.storage.outbox import database_now

__all__ = [
    "MOST_UNASSIGNED",
    "count_bounced",
    "find_search",
    "hurry_search",
    "list_notices",
    "list_unassigned",
    "switch_search",
]

MOST_UNASSIGNED = 50
"""How many reports that name no message are kept of one user."""
_RECENT = timedelta(days=7)
_Search, _Notice = BounceSearchRow, BounceNoticeRow


def find_search(session: Session, user_id: int) -> BounceSearch:
    """Return whether a user's inbox is searched, and how that goes."""
    row = session.get(_Search, user_id)
    return BounceSearch() if row is None else BounceSearch(row.active, row.looked, row.key)


def switch_search(session: Session, user_id: int, *, active: bool) -> bool:
    """Begin to search a user's inbox, or end it; return whether that is a change. Ended, it forgets how far it was."""
    row = session.get(_Search, user_id) or _Search(user_id=user_id)
    changed = row.active != active
    row.active = active
    if changed:
        row.mailbox, row.places, row.key = "", {}, ""
        row.asked = row.looked = row.due = row.lease_until = None
        row.owner = ""
    session.add(row)
    return changed


def hurry_search(session: Session, user_id: int) -> None:
    """Let a user's inbox be searched as soon as somebody can."""
    mine = update(_Search).where(col(_Search.user_id) == user_id, col(_Search.active).is_(True))
    session.exec(mine.values(due=database_now(session)))


def list_notices(session: Session, names: Sequence[str]) -> dict[str, list[Notice]]:
    """Return what came back for each message, the oldest first."""
    found: dict[str, list[Notice]] = {name: [] for name in names}
    wanted = select(_Notice).where(col(_Notice.message_id).in_(names)).order_by(col(_Notice.at), col(_Notice.id))
    for row in session.exec(wanted).all() if names else ():
        found[row.message_id or ""].append(_to_notice(row))
    return found


def list_unassigned(session: Session, user_id: int) -> Sequence[Notice]:
    """Return the reports that name no message, the newest first."""
    wanted = select(_Notice).where(_Notice.user_id == user_id, col(_Notice.message_id).is_(None))
    rows = session.exec(wanted.order_by(col(_Notice.at).desc(), col(_Notice.id).desc()).limit(MOST_UNASSIGNED))
    return [_to_notice(row) for row in rows]


def count_bounced(session: Session, user_id: int) -> int:
    """Return how many messages came back within the last days."""
    since = database_now(session) - _RECENT
    wanted = select(func.count(func.distinct(_Notice.message_id))).where(
        _Notice.user_id == user_id, _Notice.kind == NoticeKind.FAILED.value, col(_Notice.at) > since
    )
    return session.exec(wanted).one()


def _to_notice(row: BounceNoticeRow) -> Notice:
    return Notice(NoticeKind(row.kind), row.address, row.at, row.message_id or "", row.status, row.key, row.reply)
