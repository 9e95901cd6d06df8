"""How a sender's account rests: by its provider's word or by our own count, and how it goes on, one message ahead.

Apart from :mod:`cgcore.storage.outbox_queue`, which knows single messages: what is about the account holds all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists
from sqlmodel import Session, col, func, or_, select, update
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.outbox.judgement import Hold
from cgcore.outbox.pace import DAY, HOUR, MINUTE, Pace, find_room
from cgcore.outbox.states import State
from cgcore.storage.outbox import move_all
from cgcore.storage.outbox_slots import note_crowd
from cgcore.storage.outbox_tables import OutboundAttemptRow, OutboundMessageRow, OutboundRecipientRow, OutboxAccountRow
from cgcore.storage.tables import MailAccountRow

__all__ = [
    "BY_ACCOUNT",
    "changed_since",
    "current_pace",
    "find_room_now",
    "find_sent",
    "hold_due",
    "left_behind",
    "let_follow",
    "list_waiting",
    "look_again",
    "rest",
    "send_ahead",
]

BY_ACCOUNT = "account"
"""Who holds a message whose account rests."""

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
# At least so long nothing is tried again after a limit, by the length of its window.
_LEAST_REST_S = {HOUR: 900.0, DAY: 3600.0}
_GROWS_TO = 4
_OF_THE_PACE = frozenset({"own_limit", "pace_hour", "pace_day"})
_MENDED = -1  # no account has this version: it counts as saved since


def find_sent(session: Session, user_id: int, now: datetime) -> list[tuple[float, int]]:
    """Return age in seconds and recipients of what has left by an account within 24 hours, by its tries."""
    row = OutboundAttemptRow
    recent = (row.user_id == user_id, col(row.taken) > 0, col(row.ended) > now - _DAY)
    found = session.exec(select(row.ended, row.taken).where(*recent)).all()
    return [(max(0.0, (now - ended) / _SECOND), taken) for ended, taken in found if ended is not None]


def list_waiting(session: Session, user_id: int) -> Sequence[int]:
    """Return the recipients of each message that will leave by itself, in their order."""
    row, named = OutboundMessageRow, OutboundRecipientRow
    count = select(func.count()).where(col(named.message_id) == col(row.id)).scalar_subquery()
    by_itself = or_(
        col(row.state).in_((State.QUEUED.value, State.CLAIMED.value)),
        and_(col(row.state) == State.HELD.value, col(row.held_by) == BY_ACCOUNT),
    )
    return session.exec(
        select(count).where(row.user_id == user_id, by_itself).order_by(col(row.due), col(row.id))
    ).all()


def current_pace(account: OutboxAccountRow | None, pace: Pace, now: datetime) -> Pace:
    """Return the pace of an account as its provider's words have left it; a day without any raises it a step again."""
    if account is None or account.halved is None:
        return pace
    days = max(0, (now - account.halved) // _DAY)
    return pace.lowered(max(0, account.halvings - days), account.ceiling)


def find_room_now(
    session: Session,
    account: OutboxAccountRow,
    pace: Pace,
    messages: Sequence[int],
    now: datetime,
    *,
    under_way: Sequence[int] = (),
) -> int:
    """Return how many of ``messages`` may leave by the account's pace; where none may, let it wait or rest.

    ``under_way`` are the recipients of each that is just leaving, over any of its connections.
    """
    limits = current_pace(account, pace, now).limits
    if not limits or not messages:
        return len(messages)
    sent = find_sent(session, account.user_id, now) + [(0.0, recipients) for recipients in under_way]
    room = find_room(limits, sent, messages)
    if room.count or room.limit is None:
        return room.count
    if room.limit.seconds == MINUTE:
        account.not_before = now + room.wait_s * _SECOND
        session.add(account)
        return 0
    seconds = max(_LEAST_REST_S[room.limit.seconds], room.wait_s)
    key = "own_limit" if room.limit.own else f"pace_{'day' if room.limit.seconds == DAY else 'hour'}"
    reason = {"key": key, "stage": "", "ms": 0, "values": {"limit": room.limit.count}}
    rest(session, account.user_id, Hold(key, seconds), reason, now)
    return 0


def rest(
    session: Session,
    user_id: int,
    hold: Hold,
    reason: Mapping[str, Any] | None,
    now: datetime,
    pace: Pace | None = None,
) -> None:
    """Let an account rest, with all that is due of it, for the reason given.

    A provider's «too much» halves the pace from now on; unless it says for how long, the rest lasts until there is
    room again by that. Its «too many connections» halves those.
    """
    seconds = hold.seconds
    account = session.get(OutboxAccountRow, user_id)
    if hold.key == "too_many_connections" and account is not None:
        note_crowd(account, (pace or Pace()).connections, now)
        session.add(account)
        session.flush()
    if hold.key == "sending_quota":
        room_in = _slow_down(session, user_id, pace or Pace(), now)
        seconds = seconds if hold.asked else room_in
    until = None if seconds is None else now + timedelta(seconds=seconds)
    told = dict(reason) if reason is not None else None
    version = session.exec(select(MailAccountRow.version).where(MailAccountRow.user_id == user_id)).first() or 0
    resting = update(OutboxAccountRow).where(col(OutboxAccountRow.user_id) == user_id)
    values = {"paused": True, "paused_until": until, "feeler": False, "reason": told}
    session.exec(resting.values(**values, rests=OutboxAccountRow.rests + 1, account_version=version))
    hold_due(session, user_id, told, until, now)


def hold_due(
    session: Session, user_id: int, reason: Mapping[str, Any] | None, until: datetime | None, now: datetime
) -> None:
    """Hold what is due of an account that rests.

    What waits for its pace is due at the end of that: it may take a day, and is not what was left behind by then.
    """
    by_pace = until is not None and reason is not None and reason.get("key") in _OF_THE_PACE
    later = {"due": until} if by_pace else {}
    due = (col(OutboundMessageRow.user_id) == user_id, col(OutboundMessageRow.due) <= now)
    move_all(session, State.QUEUED, State.HELD, due, held_by=BY_ACCOUNT, reason=reason, **later)


def _slow_down(session: Session, user_id: int, pace: Pace, now: datetime) -> float:
    """Halve the pace of an account; return for how many seconds nothing should be tried."""
    account = session.get(OutboxAccountRow, user_id)
    if account is None:
        return _LEAST_REST_S[DAY]
    sent = find_sent(session, user_id, now)
    days = 0 if account.halved is None else max(0, (now - account.halved) // _DAY)
    before = max(0, account.halvings - days)
    if not before:
        account.ceiling = sum(1 for age, _ in sent if age < HOUR)
    account.halvings, account.halved = before + 1, now
    session.add(account)
    session.flush()
    limits = [limit for limit in current_pace(account, pace, now).limits if limit.seconds != MINUTE]
    least = _LEAST_REST_S[max((limit.seconds for limit in limits if not limit.own), default=HOUR)]
    return max(least * min(account.rests + 1, _GROWS_TO), find_room(limits, sent, [1]).wait_s)


def changed_since() -> SelectOfScalar[int]:
    """Return the query for the accounts that rest and have been saved since."""
    account, mail = OutboxAccountRow, MailAccountRow
    return select(account.user_id).where(
        col(account.paused).is_(True), mail.user_id == account.user_id, mail.version != account.account_version
    )


def left_behind() -> SelectOfScalar[int]:
    """Return the query for the accounts whose messages wait for one that went ahead, and none does any more.

    Its worker was killed behind the dot, its person has taken it back, or it was stopped with others: nothing was said.
    """
    account, row = OutboxAccountRow, OutboundMessageRow
    own, moving = (
        col(row.user_id) == col(account.user_id),
        (State.QUEUED.value, State.CLAIMED.value, State.IN_FLIGHT.value),
    )
    held = exists().where(own, col(row.state) == State.HELD.value, col(row.held_by) == BY_ACCOUNT)
    ahead = exists().where(own, col(row.state).in_(moving))
    return select(account.user_id).where(col(account.paused).is_(False), col(account.feeler).is_(True), held, ~ahead)


def look_again(session: Session, user_ids: Sequence[int]) -> None:
    """Have what these accounts rest for looked at again, as after a save: a person has mended it elsewhere."""
    resting = update(OutboxAccountRow).where(
        col(OutboxAccountRow.user_id).in_(user_ids), col(OutboxAccountRow.paused).is_(True)
    )
    session.exec(resting.values(account_version=_MENDED))


def let_follow(session: Session, user_id: int, now: datetime) -> None:
    """The one that went ahead has passed: the others follow, unless the account rests again."""
    account = session.get(OutboxAccountRow, user_id)
    if account is None or account.paused:
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
