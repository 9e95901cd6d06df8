"""The messages of the outbox as people see and change them; the worker's side is :mod:`cgcore.storage.outbox_queue`.

Each change of a state is one conditional UPDATE (:mod:`cgcore.storage.outbox_edges`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, delete, or_, select, update
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.errors import StorageBusy
from cgcore.outbox.message import AccountState, Attempt, Message, MessageFilters, NewMessage, Recipient
from cgcore.outbox.notices import NoticeKind
from cgcore.outbox.states import CANCELLABLE, RESENDABLE, CopyState, Kind, RecipientState, State
from cgcore.process import has_ended
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.database import Database
from cgcore.storage.outbox_edges import database_now, move, move_all
from cgcore.storage.outbox_parts import end_unknown, note_unsure, skip_rest
from cgcore.storage.outbox_slots import lock_account
from cgcore.storage.outbox_tables import (
    KEPT_OF_MESSAGE,
    OutboundAttemptRow,
    OutboundMessageRow,
    OutboundRecipientRow,
    OutboxAccountRow,
)
from cgcore.storage.search import contains

__all__ = [
    "BY_BATCH",
    "STORING_ENDS",
    "OutboxStore",
    "add_recipients",
    "ask_again",
    "database_now",
    "end_rest",
    "ensure_account",
    "has_come_back",
    "move",
    "move_all",
    "to_recipients",
]

BY_BATCH = "batch"
"""Who holds a message that was stopped together with others."""

STORING_ENDS = timedelta(hours=1)
"""What has been in ``storing`` for so long has nobody that stores it."""


def ensure_account(session: Session, user_id: int, *, is_sqlite: bool) -> None:
    """Make the row that says how a user's account stands as a sender, where there is none yet."""
    insert = sqlite.insert if is_sqlite else postgresql.insert
    row = OutboxAccountRow(user_id=user_id, served=database_now(session)).model_dump(exclude={"reason"})
    session.connection().execute(insert(OutboxAccountRow).values(**row).on_conflict_do_nothing())


class OutboxStore:
    """Stores messages, finds them, and changes them as their people say."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- In

    def reserve(self, user_id: int, key: str, request_hash: str, name: str, owner: str) -> Message | None:
        """Take an idempotency key for a new message; return the message that has it already, else ``None``.

        A ``storing`` one whose process is gone is nobody's, and is taken over.
        """
        for _ in range(2):
            with self._database.session() as session:
                insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
                row = OutboundMessageRow(
                    id=name,
                    user_id=user_id,
                    idempotency_key=key,
                    request_hash=request_hash,
                    document_type="",
                    state=State.STORING.value,
                    due=database_now(session),
                    owner=owner,
                ).model_dump(exclude={"reason"})
                made = insert(OutboundMessageRow).values(**row).on_conflict_do_nothing()
                if session.scalar(made.returning(col(OutboundMessageRow.id))) is not None:
                    return None
                found = session.exec(
                    select(OutboundMessageRow).where(
                        OutboundMessageRow.user_id == user_id, OutboundMessageRow.idempotency_key == key
                    )
                ).first()
                if found is not None and not _is_left(found, owner):
                    return _to_message(found, (), ())
                if found is not None:
                    _drop(session, found.id)
        raise StorageBusy("the key is being taken by others")

    def drop(self, name: str) -> None:
        """Forget a message whose storing has failed."""
        with self._database.session() as session:
            _drop(session, name)

    def enqueue(self, session: Session, message: NewMessage, user_id: int) -> bool:
        """Put a message whose bytes are stored into the queue, in the caller's transaction; False: it is gone."""
        now = database_now(session)
        ensure_account(session, user_id, is_sqlite=self._database.is_sqlite)
        kept: dict[str, Any] = {name: getattr(message, name) for name in KEPT_OF_MESSAGE}
        kept |= {"created": now, "changed": now, "due": now + timedelta(seconds=message.delay_s)}
        if not move(session, message.name, State.STORING, State.QUEUED, 0, parts=list(message.parts), **kept):
            return False
        add_recipients(session, message)
        session.flush()
        return True

    def sweep(self) -> None:
        """Forget what has been in ``storing`` for an hour."""
        with self._database.session() as session:
            old = database_now(session) - STORING_ENDS
            gone = delete(OutboundMessageRow).where(
                col(OutboundMessageRow.state) == State.STORING.value, col(OutboundMessageRow.created) < old
            )
            session.exec(gone)

    # ---- Looking

    def find(self, session: Session, user_id: int, name: str) -> Message | None:
        """Return a message of this user with recipients and tries."""
        row = session.get(OutboundMessageRow, name)
        if row is None or row.user_id != user_id or row.state == State.STORING:
            return None
        returned = name in _find_returned(session, [name])
        return _to_message(row, to_recipients(session, [name])[name], _attempts(session, name), came_back=returned)

    def list(
        self, session: Session, user_id: int, filters: MessageFilters, *, before: str = "", limit: int = 50
    ) -> Sequence[Message]:
        """Return a user's messages, the newest first, without their tries; those before ``before`` only."""
        wanted = _filtered(select(OutboundMessageRow), user_id, filters)
        if before:
            wanted = wanted.where(OutboundMessageRow.id < before)
        rows = session.exec(wanted.order_by(col(OutboundMessageRow.id).desc()).limit(limit)).all()
        names = [row.id for row in rows]
        recipients, returned = to_recipients(session, names), _find_returned(session, names)
        return [_to_message(row, recipients[row.id], (), came_back=row.id in returned) for row in rows]

    def list_last_to(self, session: Session, user_id: int, document_type: str, customer: str) -> Sequence[Recipient]:
        """Return whom the last message of a user to a customer went to, one of this type before any other."""
        wanted = select(OutboundMessageRow).where(
            OutboundMessageRow.user_id == user_id,
            func.lower(col(OutboundMessageRow.customer)) == func.lower(customer),
            OutboundMessageRow.state != State.STORING.value,
        )
        same_type = col(OutboundMessageRow.document_type) == document_type
        newest = session.exec(wanted.order_by(same_type.desc(), col(OutboundMessageRow.id).desc()).limit(1)).first()
        return to_recipients(session, [newest.id])[newest.id] if newest is not None else ()

    def count_states(self, session: Session, user_id: int) -> dict[State, int]:
        """Return how many messages of a user stand in each state."""
        wanted = (
            select(OutboundMessageRow.state, func.count())
            .where(OutboundMessageRow.user_id == user_id, OutboundMessageRow.state != State.STORING.value)
            .group_by(col(OutboundMessageRow.state))
        )
        return {State(state): count for state, count in session.exec(wanted).all()}

    def find_account(self, session: Session, user_id: int) -> AccountState:
        """Return how a user's account stands as a sender."""
        row = session.get(OutboxAccountRow, user_id)
        if row is None:
            return AccountState(user_id)
        return AccountState(user_id, row.paused, row.paused_until, row.reason, row.rests)

    # ---- What people change; each returns whether it came in time

    def cancel(self, session: Session, user_id: int, name: str) -> bool:
        """Take a message back that waits, and that nobody has yet."""
        mine = (*_own(user_id, name), col(OutboundMessageRow.accepted).is_(None))
        return any(move_all(session, state, State.CANCELLED, mine) == 1 for state in CANCELLABLE)

    def skip_rest(self, session: Session, user_id: int, name: str) -> bool:
        """End a message that some have already: the others do not get it."""
        return skip_rest(session, _own(user_id, name)) == 1

    def send_now(self, session: Session, user_id: int, name: str) -> bool:
        """End the delay of a message that waits in the queue."""
        now = database_now(session)
        mine = _own(user_id, name)
        hurried = update(OutboundMessageRow).where(*mine, col(OutboundMessageRow.state) == State.QUEUED.value)
        return session.exec(hurried.values(due=now, changed=now)).rowcount == 1

    def resend(self, session: Session, user_id: int, name: str) -> bool:
        """Put a message back into the queue that a person wants to go again: the same bytes, a new claim.

        Recipients who had been refused are asked again; the account's rest is over for this one.
        """
        lock_account(session, user_id)
        now = database_now(session)
        values = {"due": now, "first_tried": None, "reason": None, "fence": OutboundMessageRow.fence + 1}
        there = (*_own(user_id, name), col(OutboundMessageRow.bytes_removed).is_(None))
        before = next((state for state in RESENDABLE if move_all(session, state, State.QUEUED, there, **values)), None)
        if before is not None:
            ask_again(session, [name])
            if before is State.UNKNOWN:
                note_unsure(session, name)
            # If it passes, the others follow.
            end_rest(session, user_id, feeler=True)
        return before is not None

    def resolve_sent(self, session: Session, user_id: int, name: str) -> bool:
        """Note that a message whose fate was unknown has left, as its person says.

        Of one that goes in several transactions that was the last: who was not in it gets the message now.
        """
        found = session.exec(select(OutboundMessageRow.fence).where(*_own(user_id, name))).first()
        return found is not None and end_unknown(session, name, found)

    def resume(self, session: Session, user_id: int) -> int:
        """Let the account and everything that is held go; return how many messages went back into the queue.

        What was stopped together stays until its person goes on with that.
        """
        lock_account(session, user_id)
        now = database_now(session)
        end_rest(session, user_id)
        mine = (col(OutboundMessageRow.user_id) == user_id, col(OutboundMessageRow.held_by) != BY_BATCH)
        return move_all(session, State.HELD, State.QUEUED, mine, due=now, reason=None)


def end_rest(session: Session, user_id: int, *, feeler: bool = False) -> None:
    """Let an account send again; with ``feeler``, where it rests, one message goes ahead of the others."""
    ended = update(OutboxAccountRow).where(col(OutboxAccountRow.user_id) == user_id)
    if feeler:
        ended = ended.where(col(OutboxAccountRow.paused).is_(True))
    session.exec(ended.values(paused=False, paused_until=None, reason=None, feeler=feeler, rests=0))


def _own(user_id: int, name: str) -> tuple[Any, ...]:
    return (col(OutboundMessageRow.id) == name, col(OutboundMessageRow.user_id) == user_id)


def add_recipients(session: Session, message: NewMessage) -> None:
    """Store whom a message is for; its row is there."""
    session.add_all(
        OutboundRecipientRow(
            message_id=message.name, place=place, address=each.address, name=each.name, kind=each.kind.value
        )
        for place, each in enumerate(message.recipients)
    )


def ask_again(session: Session, names: Sequence[str]) -> None:
    """Forget what was said of the recipients of messages that go again; who has one does not get it twice."""
    have = (RecipientState.ACCEPTED.value, RecipientState.BOUNCED.value)
    asked = update(OutboundRecipientRow).where(
        col(OutboundRecipientRow.message_id).in_(names), col(OutboundRecipientRow.state).not_in(have)
    )
    session.exec(asked.values(state=RecipientState.PENDING.value, code=0, key="", reply=""))


def _drop(session: Session, name: str) -> None:
    gone = delete(OutboundMessageRow).where(
        col(OutboundMessageRow.id) == name, col(OutboundMessageRow.state) == State.STORING.value
    )
    session.exec(gone)


def _is_left(row: OutboundMessageRow, owner: str) -> bool:
    """Whether a row is of a storing that nobody goes on with: its process is gone."""
    return row.state == State.STORING and row.owner != owner and has_ended(row.owner, here=False)


def _filtered(
    wanted: SelectOfScalar[OutboundMessageRow], user_id: int, filters: MessageFilters
) -> SelectOfScalar[OutboundMessageRow]:
    wanted = wanted.where(OutboundMessageRow.user_id == user_id, OutboundMessageRow.state != State.STORING.value)
    if filters.states:
        wanted = wanted.where(col(OutboundMessageRow.state).in_([state.value for state in filters.states]))
    if filters.batch:
        wanted = wanted.where(OutboundMessageRow.batch == filters.batch)
    if filters.document_type:
        wanted = wanted.where(OutboundMessageRow.document_type == filters.document_type)
    if filters.copies:
        wanted = wanted.where(col(OutboundMessageRow.copy_state).in_([state.value for state in filters.copies]))
    if filters.came_back is not None:
        wanted = wanted.where(has_come_back() if filters.came_back else ~has_come_back())
    if filters.query.strip():
        row, other, text = OutboundMessageRow, OutboundRecipientRow, filters.query.strip()
        named = exists().where(col(other.message_id) == col(row.id), contains(text, other.address))
        wanted = wanted.where(or_(named, contains(text, row.number, row.customer, row.subject)))
    return wanted


def has_come_back() -> ColumnElement[bool]:
    """Return the condition for messages that came back from anybody."""
    return exists().where(col(BounceNoticeRow.message_id) == col(OutboundMessageRow.id), _is_bounce())


def _is_bounce() -> Any:
    return col(BounceNoticeRow.kind) == NoticeKind.FAILED.value


def _find_returned(session: Session, names: Sequence[str]) -> frozenset[str]:
    """Return which messages came back from anybody."""
    if not names:
        return frozenset()
    wanted = select(BounceNoticeRow.message_id).where(col(BounceNoticeRow.message_id).in_(names), _is_bounce())
    return frozenset(name for name in session.exec(wanted) if name is not None)


def to_recipients(session: Session, names: Sequence[str]) -> dict[str, list[Recipient]]:
    """Return the recipients of each message, in their order."""
    found: dict[str, list[Recipient]] = {name: [] for name in names}
    if not names:
        return found
    wanted = select(OutboundRecipientRow).where(col(OutboundRecipientRow.message_id).in_(names))
    for row in session.exec(wanted.order_by(col(OutboundRecipientRow.message_id), col(OutboundRecipientRow.place))):
        found[row.message_id].append(
            Recipient(
                address=row.address,
                kind=Kind(row.kind),
                name=row.name,
                state=RecipientState(row.state),
                code=row.code,
                key=row.key,
                reply=row.reply,
                part=row.part,
            )
        )
    return found


def _attempts(session: Session, name: str) -> list[Attempt]:
    wanted = (
        select(OutboundAttemptRow).where(OutboundAttemptRow.message_id == name).order_by(col(OutboundAttemptRow.id))
    )
    return [Attempt(row.began, row.ended, row.stage, row.key, row.reply) for row in session.exec(wanted)]


def _to_message(
    row: OutboundMessageRow, recipients: Sequence[Recipient], attempts: Sequence[Attempt], *, came_back: bool = False
) -> Message:
    return Message(
        id=row.id,
        user_id=row.user_id,
        state=State(row.state),
        document_type=row.document_type,
        series=row.series,
        number=row.number,
        customer=row.customer,
        subject=row.subject,
        sender=row.sender,
        message_id=row.message_id,
        size=row.size,
        created=row.created,
        changed=row.changed,
        due=row.due,
        request_hash=row.request_hash,
        sha256=row.sha256,
        parts=tuple(row.parts),
        reason=row.reason,
        held_by=row.held_by,
        accepted=row.accepted,
        host=row.host,
        queue_id=row.queue_id,
        copy_state=CopyState(row.copy_state),
        copy_folder=row.copy_folder,
        copy_key=row.copy_key,
        recipients=tuple(recipients),
        attempts=tuple(attempts),
        tries=row.attempts,
        looked=row.looked,
        batch=row.batch,
        bytes_removed=row.bytes_removed,
        resent_of=row.resent_of,
        came_back=came_back,
    )
