"""How a sender's account rests: by its provider's word or by our own count, and how it goes on, one message ahead.

Apart from :mod:`cgcore.storage.outbox_queue`, which knows single messages: what is about the account holds all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.outbox.judgement import Hold
from cgcore.outbox.states import State
from cgcore.storage.outbox import move_all
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow
from cgcore.storage.tables import MailAccountRow

__all__ = ["BY_ACCOUNT", "changed_since", "find_room", "let_follow", "look_again", "rest", "send_ahead"]

BY_ACCOUNT = "account"
"""Who holds a message whose account rests."""

_HOUR, _SECOND = timedelta(hours=1), timedelta(seconds=1)
_AT_ONCE = 10
_MENDED = -1  # no account has this version: it counts as saved since
_LIMIT_REASON: Mapping[str, Any] = {"key": "own_limit", "stage": "", "ms": 0, "values": {}}


def find_room(session: Session, user_id: int, per_hour: int, now: datetime) -> int:
    """Return how many messages may be taken by our own limit; where there are none, let the account rest."""
    row = OutboundMessageRow
    recent = select(row.accepted).where(row.user_id == user_id, col(row.accepted) > now - _HOUR)
    accepted = session.exec(recent.order_by(col(row.accepted).desc()).limit(per_hour)).all()
    if len(accepted) < per_hour:
        return min(_AT_ONCE, per_hour - len(accepted))
    oldest = accepted[-1] or now
    rest(session, user_id, Hold("own_limit", max(1.0, (oldest + _HOUR - now) / _SECOND)), _LIMIT_REASON, now)
    return 0


def rest(session: Session, user_id: int, hold: Hold, reason: Mapping[str, Any] | None, now: datetime) -> None:
    """Let an account rest, with all that is due of it, for the reason given."""
    until = None if hold.seconds is None else now + timedelta(seconds=hold.seconds)
    told = dict(reason) if reason is not None else None
    version = session.exec(select(MailAccountRow.version).where(MailAccountRow.user_id == user_id)).first() or 0
    resting = update(OutboxAccountRow).where(col(OutboxAccountRow.user_id) == user_id)
    values = {"paused": True, "paused_until": until, "feeler": False, "reason": told}
    session.exec(resting.values(**values, rests=OutboxAccountRow.rests + 1, account_version=version))
    due = (col(OutboundMessageRow.user_id) == user_id, col(OutboundMessageRow.due) <= now)
    move_all(session, State.QUEUED, State.HELD, due, held_by=BY_ACCOUNT, reason=told)


def changed_since() -> SelectOfScalar[int]:
    """Return the query for the accounts that rest and have been saved since."""
    account, mail = OutboxAccountRow, MailAccountRow
    return select(account.user_id).where(
        col(account.paused).is_(True), mail.user_id == account.user_id, mail.version != account.account_version
    )


def look_again(session: Session, user_ids: Sequence[int]) -> None:
    """Have what these accounts rest for looked at again, as after a save: a person has mended it elsewhere."""
    resting = update(OutboxAccountRow).where(
        col(OutboxAccountRow.user_id).in_(user_ids), col(OutboxAccountRow.paused).is_(True)
    )
    session.exec(resting.values(account_version=_MENDED))


def let_follow(session: Session, user_id: int, now: datetime) -> None:
    """The one that went ahead has passed: the others follow."""
    account = session.get(OutboxAccountRow, user_id)
    if account is None or not (account.feeler or account.rests):
        return
    account.feeler, account.rests, account.reason = False, 0, None
    session.add(account)
    held = (col(OutboundMessageRow.user_id) == user_id, col(OutboundMessageRow.held_by) == BY_ACCOUNT)
    move_all(session, State.HELD, State.QUEUED, held, due=now, reason=None)


def send_ahead(session: Session, user_id: int, now: datetime) -> None:
    """Let the oldest of what is held for an account go."""
    row = OutboundMessageRow
    held = select(row.id).where(row.user_id == user_id, row.state == State.HELD.value, row.held_by == BY_ACCOUNT)
    first = session.exec(held.order_by(col(row.due), col(row.id)).limit(1)).first()
    if first is not None:
        move_all(session, State.HELD, State.QUEUED, (col(row.id) == first,), due=now)
