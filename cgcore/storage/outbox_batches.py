"""Documents that were handed in together: stored in one transaction, stopped, gone on with and tried again together.

Apart from :mod:`cgcore.storage.outbox`, which knows single messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, func, select, update

from cgcore.outbox.batch import INTERRUPTED, Batch, BatchLine, BatchState, Before
from cgcore.outbox.message import NewMessage
from cgcore.outbox.states import CopyState, RecipientState, State
from cgcore.storage.outbox import (
    BY_BATCH,
    STORING_ENDS,
    add_recipients,
    ask_again,
    database_now,
    end_rest,
    ensure_account,
    has_come_back,
    move_all,
    to_recipients,
)
from cgcore.storage.outbox_parts import skip_rest
from cgcore.storage.outbox_slots import lock_account
from cgcore.storage.outbox_tables import KEPT_OF_MESSAGE, OutboundBatchRow, OutboundMessageRow, OutboundRecipientRow

__all__ = [
    "add_batch",
    "ask_where_many_are_refused",
    "cancel_rest",
    "count_batch",
    "count_returned",
    "end_batch",
    "enqueue_all",
    "find_batch",
    "find_pace",
    "give_up_old",
    "go_on",
    "list_batches",
    "list_before",
    "retry_failed",
    "stop",
]

_TELLING, _ONE_IN = 20, 20  # of so many recipients at least, more than one in so many
_AT_ONCE = 400  # values in one question
_STOPPED: Mapping[str, Any] = {"key": "stopped", "stage": "", "ms": 0, "values": {}}
_Row = OutboundMessageRow
_HANDED = [state.value for state in State if state not in (State.STORING, State.FAILED, State.CANCELLED)]


def add_batch(session: Session, batch: Batch) -> bool:
    """Store a batch before any of its messages; False: there is one of that id already."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    values = OutboundBatchRow(
        id=batch.id,
        user_id=batch.user_id,
        created=database_now(session),
        state=batch.state.value,
        name=batch.name,
        owner=batch.owner,
        lines=[line.to_json() for line in batch.lines],
    ).model_dump(exclude={"reason"})
    made = insert(OutboundBatchRow).values(**values).on_conflict_do_nothing()
    return session.scalar(made.returning(col(OutboundBatchRow.id))) is not None


def end_batch(session: Session, name: str, state: BatchState, reason: Mapping[str, Any] | None = None) -> bool:
    """Say what became of the storing; False: somebody has said so already."""
    mine = (col(OutboundBatchRow.id) == name, col(OutboundBatchRow.state) == BatchState.STORING.value)
    told = dict(reason) if reason is not None else None
    return session.exec(update(OutboundBatchRow).where(*mine).values(state=state.value, reason=told)).rowcount == 1


def give_up_old(session: Session) -> None:
    """End what has been stored for an hour: its process is gone, as cannot be told of one on another machine.

    If it is not, only asleep, it finds that out before anything leaves.
    """
    row = OutboundBatchRow
    old = (col(row.state) == BatchState.STORING.value, col(row.created) < database_now(session) - STORING_ENDS)
    session.exec(update(row).where(*old).values(state=BatchState.FAILED.value, reason=dict(INTERRUPTED)))


def enqueue_all(session: Session, messages: Iterable[NewMessage], user_id: int, batch: str) -> None:
    """Put messages whose bytes are stored into the queue, all or none: in the caller's transaction, in their order."""
    now = database_now(session)
    ensure_account(session, user_id, is_sqlite=session.get_bind().dialect.name == "sqlite")
    for message in messages:
        values = {name: getattr(message, name) for name in KEPT_OF_MESSAGE}
        row = _Row(
            id=message.name,
            user_id=user_id,
            idempotency_key=message.key,
            state=State.QUEUED.value,
            parts=list(message.parts),
            created=now,
            changed=now,
            due=now + timedelta(seconds=message.delay_s),
            batch=batch,
            **values,
        )
        session.add(row)
        session.flush()
        add_recipients(session, message)


def find_batch(session: Session, user_id: int, name: str) -> Batch | None:
    """Return a batch of this user."""
    row = session.get(OutboundBatchRow, name)
    return _to_batch(row) if row is not None and row.user_id == user_id else None


def list_batches(session: Session, user_id: int, limit: int) -> Sequence[Batch]:
    """Return the last batches of a user, the newest first."""
    wanted = select(OutboundBatchRow).where(OutboundBatchRow.user_id == user_id)
    rows = session.exec(wanted.order_by(col(OutboundBatchRow.created).desc()).limit(limit)).all()
    return [_to_batch(row) for row in rows]


def count_batch(session: Session, name: str) -> dict[State, int]:
    """Return how many messages of a batch stand in each state."""
    wanted = select(_Row.state, func.count()).where(_Row.batch == name).group_by(col(_Row.state))
    return {State(state): count for state, count in session.exec(wanted).all()}


def count_copies(session: Session, name: str) -> dict[tuple[CopyState, bool], int]:
    """Return how many of a batch were sent and did not come back, by how their copy stands and whether one was tried
    in vain."""
    in_vain = col(_Row.copy_key) != ""
    wanted = select(_Row.copy_state, in_vain, func.count()).where(
        _Row.batch == name, _Row.state == State.SENT.value, ~has_come_back()
    )
    found = session.exec(wanted.group_by(col(_Row.copy_state), in_vain)).all()
    return {(CopyState(state), bool(tried)): count for state, tried, count in found}


def count_returned(session: Session, name: str) -> int:
    """Return how many messages of a batch were sent and came back from anybody."""
    ours = (_Row.batch == name, _Row.state == State.SENT.value, has_come_back())
    return session.exec(select(func.count()).where(*ours)).one()


def find_pace(session: Session, name: str) -> tuple[int, datetime | None, datetime | None]:
    """Return how many messages of a batch a server has accepted, and when the first and the last of them."""
    told = select(func.count(), func.min(_Row.accepted), func.max(_Row.accepted))
    count, first, last = session.exec(told.where(_Row.batch == name, _Row.state == State.SENT.value)).one()
    return count, first, last


def list_before(session: Session, user_id: int, keys: Sequence[str]) -> list[tuple[str, str, Before]]:
    """Return type and key of what a user has handed in of the documents of ``keys``, and how it stands."""
    found: list[tuple[str, str, Before]] = []
    for start in range(0, len(keys), _AT_ONCE):
        wanted = select(_Row).where(
            _Row.user_id == user_id,
            or_(col(_Row.state).in_(_HANDED), col(_Row.accepted).is_not(None)),
            col(_Row.document_key).in_(keys[start : start + _AT_ONCE]),
        )
        rows = session.exec(wanted.order_by(col(_Row.id))).all()
        recipients = to_recipients(session, [row.id for row in rows])
        for row in rows:
            addresses = tuple(each.address for each in recipients[row.id])
            before = Before(State(row.state), row.accepted or row.created, addresses)
            found.append((row.document_type, row.document_key, before))
    return found


def ask_where_many_are_refused(session: Session, user_id: int, name: str) -> bool:
    """Stop a batch, once, where a server has refused many of its recipients for good; return whether it was stopped.

    Providers lock an account for that: whether the rest goes is its person's to say. What this process has claimed of
    it, and not marked, is held too.
    """
    batch = session.get(OutboundBatchRow, name)
    if batch is None or batch.asked:
        return False
    named = OutboundRecipientRow
    for_good = case((and_(col(named.state) == RecipientState.REFUSED.value, col(named.code) >= 500), 1), else_=0)
    said = (RecipientState.REFUSED.value, RecipientState.ACCEPTED.value, RecipientState.BOUNCED.value)
    told = select(func.count(), func.coalesce(func.sum(for_good), 0)).join(_Row, col(_Row.id) == col(named.message_id))
    count, refused = session.exec(told.where(_Row.batch == name, col(named.state).in_(said))).one()
    if count < _TELLING or refused * _ONE_IN <= count:
        return False
    reason = {"key": "many_refused", "stage": "", "ms": 0, "values": {"refused": int(refused), "told": int(count)}}
    batch.asked, batch.reason = True, reason
    session.add(batch)
    stop(session, user_id, name, reason)
    move_all(session, State.CLAIMED, State.HELD, _mine(user_id, name), held_by=BY_BATCH, reason=reason)
    return True


# ---- What people change; each returns how many messages that were


def stop(session: Session, user_id: int, name: str, reason: Mapping[str, Any] = _STOPPED) -> int:
    """Hold what waits of a batch, also what waits for its account; what is on its way ends."""
    lock_account(session, user_id)
    mine = _mine(user_id, name)
    kept = {"held_by": BY_BATCH, "reason": dict(reason)}
    count = move_all(session, State.QUEUED, State.HELD, mine, **kept)
    resting = update(_Row).where(*mine, col(_Row.state) == State.HELD.value, col(_Row.held_by) != BY_BATCH)
    return count + session.exec(resting.values(**kept)).rowcount


def go_on(session: Session, user_id: int, name: str) -> int:
    """Let what was stopped of a batch go."""
    lock_account(session, user_id)
    asked = update(OutboundBatchRow).where(col(OutboundBatchRow.id) == name, col(OutboundBatchRow.asked).is_(True))
    session.exec(asked.values(reason=None))
    stopped = (*_mine(user_id, name), col(_Row.held_by) == BY_BATCH)
    return move_all(session, State.HELD, State.QUEUED, stopped, due=database_now(session), reason=None)


def cancel_rest(session: Session, user_id: int, name: str) -> int:
    """Take back what waits of a batch; who has not got what others have does not get it."""
    lock_account(session, user_id)
    mine = _mine(user_id, name)
    waiting, nobodys = (State.QUEUED, State.HELD), col(_Row.accepted).is_(None)
    skipped = skip_rest(session, (*mine, col(_Row.state).in_(waiting)))
    return skipped + sum(move_all(session, state, State.CANCELLED, (*mine, nobodys)) for state in waiting)


def retry_failed(session: Session, user_id: int, name: str) -> int:
    """Send what was refused of a batch again: the same bytes, the same Message-ID."""
    lock_account(session, user_id)
    mine = (*_mine(user_id, name), col(_Row.state) == State.FAILED.value, col(_Row.bytes_removed).is_(None))
    names = session.exec(select(_Row.id).where(*mine).with_for_update()).all()
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        values = {"due": database_now(session), "first_tried": None, "reason": None, "fence": _Row.fence + 1}
        move_all(session, State.FAILED, State.QUEUED, (col(_Row.id).in_(some),), **values)
        ask_again(session, some)
    if names:
        end_rest(session, user_id, feeler=True)
    return len(names)


def _mine(user_id: int, name: str) -> tuple[Any, ...]:
    return (col(_Row.batch) == name, col(_Row.user_id) == user_id)


def _to_batch(row: OutboundBatchRow) -> Batch:
    lines = [BatchLine.from_json(line) for line in row.lines]
    return Batch(row.id, row.user_id, row.created, BatchState(row.state), row.name, row.owner, lines, row.reason)
