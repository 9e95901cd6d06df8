"""What was left behind: in a copy of the database that was put back, or by a machine that was off. Nothing of it leaves
by itself, for it may have left since the copy was made.

Apart from :mod:`cgcore.storage.outbox_queue`: the start of a worker and ``restore`` ask this. What is said here of a
lost try is said of every one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists
from sqlmodel import Session, col, func, select, update

from cgcore.outbox.states import State
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now, move_all
from cgcore.storage.outbox_rests import BY_ACCOUNT
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow

__all__ = [
    "ATTEND_EVERY",
    "BACKUP_AGE",
    "FIRST_LOOK",
    "attend",
    "count_left",
    "hold_old",
    "hold_restored",
    "unsure_values",
]

BACKUP_AGE = timedelta(hours=6)
"""Where nobody has attended to an account for longer when a worker starts, a person decides what still has to go."""
ATTEND_EVERY = timedelta(hours=1)
"""How often a worker notes that there is one."""
FIRST_LOOK = timedelta(minutes=1)
"""After so long a message of unknown fate is looked for in the sent folder."""

_PERSON = "person"
_BACKUP_REASON: Mapping[str, Any] = {"key": "backup", "stage": "", "ms": 0, "values": {}}
_LOST_REASON: Mapping[str, Any] = {"key": "delivery_unknown", "stage": "final", "ms": 0, "values": {"leg": "smtp"}}


def hold_restored(database: Database) -> int:
    """Hold what waits in a copy that was put back, however young; return how many messages that are.

    What was on its way then is of unknown fate.
    """
    with database.session() as session:
        move_all(session, State.CLAIMED, State.QUEUED, ())
        move_all(session, State.IN_FLIGHT, State.UNKNOWN, (), **unsure_values(database_now(session)))
        return _hold_for_person(session, ())


def hold_old(database: Database) -> int:
    """Hold what is left of long ago, at the start of a worker: a copy of yesterday sends nothing by itself.

    When it is due says nothing: the pace of a provider lets a message wait for a day, and a quota too.
    """
    with database.session() as session:
        now = database_now(session)
        row, account = OutboundMessageRow, OutboxAccountRow
        left = exists().where(col(account.user_id) == col(row.user_id), col(account.served) < now - BACKUP_AGE)
        count = _hold_for_person(session, (left, col(row.created) < now - BACKUP_AGE))
        session.exec(update(account).values(served=now))
        return count


def attend(database: Database) -> None:
    """Note that there is a worker for every account: what waits is no left-over."""
    with database.session() as session:
        now, account = database_now(session), OutboxAccountRow
        session.exec(update(account).where(col(account.served) < now - ATTEND_EVERY / 2).values(served=now))


def count_left(session: Session, user_id: int) -> int:
    """Return how many messages of a user wait for them because they were left behind."""
    row = OutboundMessageRow
    left = (row.user_id == user_id, row.state == State.HELD.value, row.held_by == _PERSON)
    return session.exec(select(func.count()).where(*left)).one()


def unsure_values(now: datetime) -> dict[str, Any]:
    """Return what a message says whose worker is gone while the dot may have left."""
    attempts = OutboundMessageRow.attempts + 1
    return {"reason": dict(_LOST_REASON), "attempts": attempts, "look_due": now + FIRST_LOOK}


def _hold_for_person(session: Session, which: Sequence[Any]) -> int:
    kept = {"held_by": _PERSON, "reason": dict(_BACKUP_REASON)}
    count = move_all(session, State.QUEUED, State.HELD, which, **kept)
    waiting = update(OutboundMessageRow).where(
        col(OutboundMessageRow.state) == State.HELD.value, col(OutboundMessageRow.held_by) == BY_ACCOUNT, *which
    )
    return count + session.exec(waiting.values(**kept)).rowcount
