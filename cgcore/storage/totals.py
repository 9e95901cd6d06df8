"""How many there are of what an operator watches, over all users; no row is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from cgcore.outbox.states import State
from cgcore.storage.identity import are_live
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.storage.tables import UserRow

__all__ = ["Totals", "count_totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Open log-ins, active users, messages by state.

    Of those that are queued: how many seconds ago the oldest was made, and how long one has waited past its time.
    """

    log_ins: int
    users: int
    messages: dict[State, int]
    oldest_s: float
    overdue_s: float


def count_totals(session: Session, now: datetime) -> Totals:
    """Return the numbers of this moment."""
    open_ones = select(func.count()).where(*are_live(now))
    by_state = select(OutboundMessageRow.state, func.count()).group_by(col(OutboundMessageRow.state))
    waiting = select(func.min(OutboundMessageRow.created), func.min(OutboundMessageRow.due))
    made, due = session.exec(waiting.where(OutboundMessageRow.state == State.QUEUED.value)).one()
    counted = dict(session.exec(by_state).all())
    return Totals(
        log_ins=session.exec(open_ones).one(),
        users=session.exec(select(func.count()).where(col(UserRow.active).is_(True))).one(),
        messages={state: counted.get(state.value, 0) for state in State},
        oldest_s=_seconds_since(made, now),
        overdue_s=_seconds_since(due, now),
    )


def _seconds_since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment is not None else 0.0
