"""The copies in the sent folder, and the search for messages of unknown fate.

Of the sending they change one thing only: an unknown one that was found has been sent.

Apart from its use case: queries stand in this package only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, or_, select, update

from cgcore.outbox.message import CopyTask, LookTask
from cgcore.outbox.states import CopyState, State
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_parts import end_unknown, is_begun
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow

__all__ = ["COPY_LEASE", "LOOK_LEASE", "OutboxCopies"]

COPY_LEASE = timedelta(minutes=15)  # a copy may be 34 MB over a slow line; whoever comes after it searches first
LOOK_LEASE = timedelta(minutes=5)  # of a person's own look; whoever has begun it may be gone
_AT_ONCE = 50
_LOOKS = (timedelta(minutes=5), timedelta(minutes=20))
_Row = OutboundMessageRow


class OutboxCopies:
    """What the clerk of one process asks of the database; ``owner`` is its name."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner

    def has_work(self) -> bool:
        """Return whether a copy or a search is due."""
        with self._database.read() as session:
            now = database_now(session)
            due = select(_Row.id).where(_Row.copy_state == CopyState.PENDING.value, col(_Row.copy_due) <= now)
            looks = select(_Row.id).where(_Row.state == State.UNKNOWN.value, col(_Row.look_due) <= now)
            return any(session.exec(wanted.limit(1)).first() is not None for wanted in (due, looks))

    def claim(self) -> Sequence[CopyTask]:
        """Take the copies that are due, of one user; each try is counted before it is made."""
        with self._database.session() as session:
            now = database_now(session)
            due = _are_due(now)
            user = session.exec(select(_Row.user_id).where(*due).order_by(col(_Row.copy_due)).limit(1)).first()
            wanted = select(_Row).where(*due, _Row.user_id == user).order_by(col(_Row.copy_due)).limit(_AT_ONCE)
            tasks: list[CopyTask] = []
            for row in session.exec(wanted.with_for_update(skip_locked=True)).all():
                tasks.append(
                    CopyTask(
                        row.id,
                        row.user_id,
                        row.message_id,
                        row.copy_folder,
                        tuple(row.parts),
                        row.accepted or now,
                        row.copy_tries,
                        row.size,
                    )
                )
                row.copy_owner, row.copy_lease, row.copy_tries = self._owner, now + COPY_LEASE, row.copy_tries + 1
                session.add(row)
            return tasks

    def finish(
        self,
        task: CopyTask,
        state: CopyState,
        *,
        key: str = "",
        after_s: float = 0.0,
        uid: int = 0,
        uidvalidity: int = 0,
    ) -> None:
        """Store what became of a copy; a ``pending`` one is due again in ``after_s`` seconds."""
        with self._database.session() as session:
            now = database_now(session)
            values: dict[str, Any] = {
                "copy_state": state.value,
                "copy_key": key,
                "copy_folder": task.folder,
                "copy_due": now + timedelta(seconds=after_s),
                "copy_owner": "",
                "copy_lease": None,
                "changed": now,
                "copy_uid": uid,
                "copy_uidvalidity": uidvalidity,
            }
            session.exec(update(_Row).where(*self._is_mine(task)).values(**values))

    def put_off(self, task: CopyTask, after_s: float) -> None:
        """Let a copy that was never reached be due again in ``after_s`` seconds; the try counts for nothing."""
        with self._database.session() as session:
            due = database_now(session) + timedelta(seconds=after_s)
            given = {"copy_owner": "", "copy_lease": None, "copy_tries": task.tries, "copy_due": due}
            session.exec(update(_Row).where(*self._is_mine(task)).values(**given))

    def count_in_vain(self, user_id: int, key: str, after_s: float) -> None:
        """Count a try for the other copies of a user that are due: their mailbox was entered for nothing."""
        with self._database.session() as session:
            now = database_now(session)
            others = update(_Row).where(*_are_due(now), col(_Row.user_id) == user_id)
            given = {"copy_tries": _Row.copy_tries + 1, "copy_key": key, "copy_due": now + timedelta(seconds=after_s)}
            session.exec(others.values(**given))

    def keep(self, task: CopyTask) -> bool:
        """Return whether a copy is still this process's to file; then it is for another lease."""
        with self._database.session() as session:
            kept = update(_Row).where(*self._is_mine(task))
            return session.exec(kept.values(copy_lease=database_now(session) + COPY_LEASE)).rowcount == 1

    def _is_mine(self, task: CopyTask) -> tuple[Any, ...]:
        # Each claim counts its try: so one that was taken over, or ended, is told from this one.
        claimed = (col(_Row.copy_owner) == self._owner, col(_Row.copy_tries) == task.tries + 1)
        return (col(_Row.id) == task.id, *claimed)

    def claim_looks(self) -> Sequence[LookTask]:
        """Take the messages of unknown fate that are to be looked for, of one user; the next look is set at once."""
        with self._database.session() as session:
            now = database_now(session)
            due = (_Row.state == State.UNKNOWN.value, col(_Row.look_due) <= now)
            user = session.exec(select(_Row.user_id).where(*due).order_by(col(_Row.look_due)).limit(1)).first()
            wanted = select(_Row).where(*due, _Row.user_id == user).limit(_AT_ONCE)
            rows = session.exec(wanted.with_for_update(skip_locked=True)).all()
            for row in rows:
                row.look_due = now + _LOOKS[row.looks] if row.looks < len(_LOOKS) else None
                row.looks += 1
                session.add(row)
            return [_to_look(row) for row in rows]

    def find_look(self, user_id: int, name: str) -> LookTask | None:
        """Return the search for a message of this user whose fate is unknown; when it is due plays no part."""
        with self._database.read() as session:
            row = session.get(_Row, name)
            return _to_look(row) if row is not None and (row.user_id, row.state) == (user_id, State.UNKNOWN) else None

    def begin_look(self, user_id: int, token: str) -> bool:
        """Take the one look that a person may have at a time, over all processes; False: another one is under way."""
        row = OutboxAccountRow
        with self._database.session() as session:
            now = database_now(session)
            free = or_(col(row.looking_until).is_(None), col(row.looking_until) < now)
            begun = update(row).where(col(row.user_id) == user_id, free)
            return session.exec(begun.values(looking=token, looking_until=now + LOOK_LEASE)).rowcount == 1

    def end_look(self, user_id: int, token: str) -> None:
        """Let the next look of a person begin; where this one has outlasted its time, it may have."""
        row = OutboxAccountRow
        with self._database.session() as session:
            mine = update(row).where(col(row.user_id) == user_id, col(row.looking) == token)
            session.exec(mine.values(looking="", looking_until=None))

    def looked(self, task: LookTask, *, found: bool) -> None:
        """Note a look that was answered. What was found, and was not filed by us, has been sent."""
        with self._database.session() as session:
            now = database_now(session)
            session.exec(update(_Row).where(col(_Row.id) == task.id).values(looked=now))
            if found:
                kept: dict[str, Any] = {
                    "copy_state": CopyState.SKIPPED.value,
                    "copy_folder": task.folder,
                }
                # The copy of an earlier transaction proves nothing of this one.
                if not is_begun(session, task.id):
                    end_unknown(session, task.id, task.fence, **kept)


def _to_look(row: OutboundMessageRow) -> LookTask:
    return LookTask(row.id, row.user_id, row.message_id, row.copy_folder, row.fence)


def _are_due(now: datetime) -> tuple[Any, ...]:
    free = or_(col(_Row.copy_lease).is_(None), col(_Row.copy_lease) < now)
    return (col(_Row.copy_state) == CopyState.PENDING.value, col(_Row.copy_due) <= now, free)
