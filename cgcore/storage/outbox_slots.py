"""The connections that an account may have at once: who has which, by a lease, and how many there are.

A provider counts them over all processes, so each is a row. Who takes one locks the account first: so nobody takes one
too many, and whatever is asked of an account while it is locked stands still. Apart from
:mod:`cgcore.storage.outbox_queue`, which hands out messages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func
from sqlmodel import Session, col, or_, select, update

from cgcore.outbox.message import Slot
from cgcore.outbox.states import State
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow, OutboxSlotRow

__all__ = [
    "AT_ONCE",
    "LEASE",
    "allowed_connections",
    "find_owners",
    "free_slots",
    "holds_slot",
    "leave_slot",
    "lock_account",
    "may_send",
    "note_crowd",
    "renew_slots",
    "take_slot",
]

LEASE = timedelta(seconds=60)
"""How long a claim counts without being renewed."""
AT_ONCE = 10
"""Messages of one claim. Where no more wait, a further connection is not worth its signing in."""

_DAY = timedelta(days=1)


def lock_account(session: Session, user_id: int) -> OutboxAccountRow | None:
    """Return an account as it stands, and keep others from changing it until the transaction ends.

    Before any message of it is changed: two that waited for each other's would never end.
    """
    wanted = select(OutboxAccountRow).where(OutboxAccountRow.user_id == user_id).with_for_update()
    return session.exec(wanted.execution_options(populate_existing=True)).first()


def take_slot(session: Session, owner: str, now: datetime) -> Slot | None:
    """Take a connection of an account that has something to send; ``None`` where there is none.

    Accounts without any come first, then those that have waited longest. After a rest there is one, for the message
    that goes ahead. Nothing of a connection was written in this transaction: it locks an account, then its connections.
    """
    account, waiting = OutboxAccountRow, OutboundMessageRow
    due = (
        col(waiting.user_id) == col(account.user_id),
        col(waiting.state) == State.QUEUED.value,
        col(waiting.due) <= now,
    )
    many = select(waiting.id).where(*due).order_by(col(waiting.due)).limit(1).offset(AT_ONCE).correlate(account)
    live = select(func.count()).select_from(OutboxSlotRow).where(
        col(OutboxSlotRow.user_id) == col(account.user_id), *_live(now)
    )  # fmt: skip
    count = live.correlate(account).scalar_subquery()
    further = and_(count < col(account.connections), col(account.feeler).is_(False), many.exists())
    wanted = select(account.user_id).where(
        col(account.paused).is_(False), may_send(now), exists().where(*due), or_(count == 0, further)
    )
    first = wanted.order_by(count, col(account.served)).limit(1)
    user_id = session.exec(first.with_for_update(skip_locked=True, of=account)).first()
    return _take_free(session, user_id, owner, now) if user_id is not None else None


def _take_free(session: Session, user_id: int, owner: str, now: datetime) -> Slot | None:
    """Take the first free connection of an account that this transaction has locked: only now nothing moves."""
    account = lock_account(session, user_id)
    wanted = select(OutboxSlotRow).where(OutboxSlotRow.user_id == user_id).order_by(col(OutboxSlotRow.place))
    rows = session.exec(wanted.with_for_update()).all()
    taken = {row.place for row in rows if _is_live(row, now)}
    if account is None or account.paused or len(taken) >= (1 if account.feeler else account.connections):
        return None
    place = next(number for number in range(len(taken) + 1) if number not in taken)
    row = next((row for row in rows if row.place == place), None) or OutboxSlotRow(user_id=user_id, place=place)
    row.owner, row.lease_until, row.fence = owner, now + LEASE, row.fence + 1
    account.served = now
    session.add_all((row, account))
    return Slot(user_id, place, row.fence)


def holds_slot(session: Session, slot: Slot, owner: str) -> bool:
    """Return whether a connection is still its worker's."""
    row = OutboxSlotRow
    return session.exec(select(row.fence).where(*_is(slot), row.owner == owner)).first() is not None


def renew_slots(
    session: Session, owner: str, slots: Collection[Slot], now: datetime, *, within: timedelta = LEASE
) -> None:
    """Say that this process still uses these; one whose lease was over is its own again, if nobody has taken it.

    Only those are written that would be over ``within`` so long, in the order of :func:`free_slots`: two that waited
    for each other's would never end.
    """
    row = OutboxSlotRow
    near = or_(col(row.lease_until).is_(None), col(row.lease_until) < now + within)
    for slot in sorted(slots, key=lambda slot: (slot.user_id, slot.place)):
        session.exec(update(row).where(*_is(slot), near).values(owner=owner, lease_until=now + LEASE))


def leave_slot(session: Session, slot: Slot) -> None:
    """Let others take a connection; a renewal that comes late finds another fence."""
    left = update(OutboxSlotRow).where(*_is(slot))
    session.exec(left.values(owner="", lease_until=None, fence=slot.fence + 1))


def find_owners(session: Session) -> Sequence[str]:
    """Return the processes that have a connection."""
    return session.exec(select(OutboxSlotRow.owner).where(col(OutboxSlotRow.owner) != "").distinct()).all()


def free_slots(session: Session, gone: Collection[str], now: datetime) -> None:
    """Let others take what has not been renewed, or is of processes that are gone."""
    row = OutboxSlotRow
    over = or_(col(row.lease_until) < now, col(row.owner).in_(gone or [""]))
    lost = select(row.user_id, row.place).where(col(row.owner) != "", over)
    in_order = lost.order_by(col(row.user_id), col(row.place)).with_for_update()
    for user_id, place in session.exec(in_order).all():
        this = (col(row.user_id) == user_id, col(row.place) == place)
        session.exec(update(row).where(*this).values(owner="", lease_until=None))


def allowed_connections(account: OutboxAccountRow, known: int, now: datetime) -> int:
    """Return how many an account may have, of the ``known`` ones of its provider: half for each reply that said «too
    many», and a day without any raises it a step again."""
    days = 0 if account.crowded is None else max(0, (now - account.crowded) // _DAY)
    return max(1, known >> min(max(0, account.crowdings - days), 20))


def note_crowd(account: OutboxAccountRow, known: int, now: datetime) -> None:
    """Note that a provider has said «too many connections»."""
    days = 0 if account.crowded is None else max(0, (now - account.crowded) // _DAY)
    account.crowdings, account.crowded = max(0, account.crowdings - days) + 1, now
    account.connections = allowed_connections(account, known, now)


def may_send(now: datetime) -> Any:
    """Return the condition that an account does not wait for its pace."""
    waits = col(OutboxAccountRow.not_before)
    return or_(waits.is_(None), waits <= now)


def _is(slot: Slot) -> tuple[Any, ...]:
    row = OutboxSlotRow
    return col(row.user_id) == slot.user_id, col(row.place) == slot.place, col(row.fence) == slot.fence


def _live(now: datetime) -> tuple[Any, ...]:
    return col(OutboxSlotRow.owner) != "", col(OutboxSlotRow.lease_until) >= now


def _is_live(row: OutboxSlotRow, now: datetime) -> bool:
    return bool(row.owner) and row.lease_until is not None and row.lease_until >= now
