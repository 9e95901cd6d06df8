"""How many there are of what an operator watches, over all users; no row is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from cgcore.outbox.states import State
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.storage.tables import LoginSessionRow, UserRow

__all__ = ["Totals", "count_totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Open log-ins, active users, messages by state, and for how many seconds the oldest has waited past its time."""

    log_ins: int
    users: int
    messages: dict[State, int]
    overdue_s: float


def count_totals(session: Session, now: datetime) -> Totals:
    """Return the numbers of this moment."""
    open_ones = select(func.count()).where(col(LoginSessionRow.revoked).is_(None), col(LoginSessionRow.expires) > now)
    by_state = select(OutboundMessageRow.state, func.count()).group_by(col(OutboundMessageRow.state))
    waiting = select(OutboundMessageRow.due).where(OutboundMessageRow.state == State.QUEUED.value)
    oldest = session.exec(waiting.order_by(col(OutboundMessageRow.due)).limit(1)).first()
    counted = dict(session.exec(by_state).all())
    return Totals(
        log_ins=session.exec(open_ones).one(),
        users=session.exec(select(func.count()).where(col(UserRow.active).is_(True))).one(),
        messages={state: counted.get(state.value, 0) for state in State},
        overdue_s=max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0,
    )
