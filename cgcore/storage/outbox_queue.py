"""The worker's side of the outbox: claims with a lease, the mark before the dot, results, and how accounts rest.

All times are the database's. A worker that was frozen past its lease finds its message elsewhere: each of its changes
names the state and the fence that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, or_, select, update

from cgcore.outbox.judgement import LONGEST_WAIT_S, Hold
from cgcore.outbox.message import Claimed, Recipient, Result, Slot, Turn
from cgcore.outbox.pace import MINUTE, Pace
from cgcore.outbox.states import RecipientState, State
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now, move, move_all, to_recipients
from cgcore.storage.outbox_batches import ask_where_many_are_refused
from cgcore.storage.outbox_copies import COPY_LEASE, LOOK_LEASE
from cgcore.storage.outbox_left import FIRST_LOOK, unsure_values
from cgcore.storage.outbox_parts import note_part
from cgcore.storage.outbox_rests import (
    BY_ACCOUNT,
    changed_since,
    find_room_now,
    hold_due,
    left_behind,
    let_follow,
    rest,
    send_ahead,
)
from cgcore.storage.outbox_results import attempt_row, try_noting
from cgcore.storage.outbox_slots import (
    AT_ONCE,
    LEASE,
    allowed_connections,
    find_owners,
    free_slots,
    holds_slot,
    leave_slot,
    lock_account,
    may_send,
    renew_slots,
    take_slot,
)
from cgcore.storage.outbox_statements import add_attempt, has_to_follow, keep_recipients
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboundRecipientRow, OutboxAccountRow, OutboxSlotRow

__all__ = ["LEASE", "OutboxQueue"]

_NO_PACE = Pace()
_WORKED_ON = (State.CLAIMED.value, State.IN_FLIGHT.value)


class OutboxQueue:
    """What one process of workers asks of the database; ``owner`` is its name (:mod:`cgcore.process`)."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database, self._owner = database, owner

    # ---- Claims

    def claim_slot(self, *, served: Collection[Slot] = ()) -> Slot | None:
        """Take a connection of an account that has something to send; ``None`` where there is none to be had.

        Those that threads of this process still use, ``served``, stay theirs also when their lease was over.
        """
        if served:
            with self._database.session() as session:
                renew_slots(session, self._owner, served, database_now(session), within=LEASE / 2)
        with self._database.session() as session:
            return take_slot(session, self._owner, database_now(session))

    def claim_messages(self, slot: Slot, *, pace: Pace = _NO_PACE) -> Sequence[Claimed]:
        """Take what is due of an account, for a connection that this process has taken, the oldest first.

        None where the account rests, or may have fewer connections by now. Where as much has left as ``pace`` allows
        it rests until there is room again.
        """
        with self._database.session() as session:
            account = lock_account(session, slot.user_id)
            return self._claim(session, account, slot, pace, database_now(session))

    def _claim(
        self, session: Session, account: OutboxAccountRow | None, slot: Slot, pace: Pace, now: datetime
    ) -> Sequence[Claimed]:
        """Take what is due of an account that is locked: beside others that ask for the same, one after the other."""
        if account is None or account.paused or not self._may_use(session, account, slot, pace, now):
            return ()
        row, named = OutboundMessageRow, OutboundRecipientRow
        count = select(func.count()).where(col(named.message_id) == col(row.id)).scalar_subquery()
        of_account = select(row.id, count).where(row.user_id == slot.user_id)
        under_way = session.exec(of_account.where(col(row.state).in_(_WORKED_ON))).all()
        if account.feeler and under_way:
            return ()  # one goes ahead, over one connection
        due = of_account.where(row.state == State.QUEUED.value, row.due <= now).order_by(col(row.due), col(row.id))
        found = session.exec(
            due.limit(1 if account.feeler else AT_ONCE).with_for_update(skip_locked=True, of=row)
        ).all()
        leaving = [recipients for _, recipients in under_way]
        room = find_room_now(session, account, pace, [recipients for _, recipients in found], now, under_way=leaving)
        names = [name for name, _ in found[:room]]
        if not names:
            return ()
        claim = {"owner": self._owner, "lease_until": now + LEASE, "fence": row.fence + 1}
        move_all(session, State.QUEUED, State.CLAIMED, (col(row.id).in_(names),), **claim)
        mine = select(row).where(col(row.id).in_(names), row.owner == self._owner)
        rows = session.exec(mine.order_by(col(row.due), col(row.id))).all()
        recipients = to_recipients(session, [found.id for found in rows])
        return [_to_claimed(found, recipients[found.id], now) for found in rows if found.state == State.CLAIMED]

    def _may_use(self, session: Session, account: OutboxAccountRow, slot: Slot, pace: Pace, now: datetime) -> bool:
        """Return whether a connection is this process's, and one of those that the account may have."""
        allowed = allowed_connections(account, pace.connections, now)
        if account.connections != allowed:
            account.connections = allowed
            session.add(account)
        return slot.place < allowed and holds_slot(session, slot, self._owner)

    def renew(self, names: Sequence[str], slots: Sequence[Slot]) -> None:
        """Say that this process still works on these messages and connections; what it has forgotten expires."""
        with self._database.session() as session:
            now, row = database_now(session), OutboundMessageRow
            mine = (col(row.owner) == self._owner, col(row.state).in_(_WORKED_ON))
            session.exec(update(row).where(col(row.id).in_(names), *mine).values(lease_until=now + LEASE))
            renew_slots(session, self._owner, slots, now)

    def release(self, claimed: Claimed) -> None:
        """Give a message back of which nothing has left: also one whose mark was made while it was on its way."""
        with self._database.session() as session:
            self._unclaim(session, claimed, State.QUEUED)

    def _unclaim(self, session: Session, claimed: Claimed, after: State, **values: Any) -> None:
        if not move(session, claimed.id, State.CLAIMED, after, claimed.fence, **values):
            move(session, claimed.id, State.IN_FLIGHT, after, claimed.fence, **values)

    def leave(self, slot: Slot) -> None:
        """Let others have the connection."""
        with self._database.session() as session:
            leave_slot(session, slot)

    # ---- One message

    def mark_in_flight(self, claimed: Claimed) -> bool:
        """Note, durably, that the dot may leave from now on. False: it must not, the claim is no longer ours."""
        with self._database.session() as session:
            return self._mark(session, claimed, database_now(session))

    def _mark(self, session: Session, claimed: Claimed, now: datetime) -> bool:
        values: dict[str, Any] = {"lease_until": now + LEASE, "changed": now}
        return move(session, claimed.id, State.CLAIMED, State.IN_FLIGHT, claimed.fence, **values)

    def note_part(self, claimed: Claimed, addresses: Collection[str]) -> bool:
        """Note, durably, who is in the transaction whose dot may leave, of a message that needs several."""
        with self._database.session() as session:
            return note_part(session, claimed, addresses)

    def confirm_mark(self, claimed: Claimed) -> bool:
        """Return whether a mark that was made a while ago still stands; then it counts for another lease."""
        row = OutboundMessageRow
        with self._database.session() as session:
            mine = (col(row.id) == claimed.id, col(row.fence) == claimed.fence, col(row.owner) == self._owner)
            marked = update(row).where(*mine, col(row.state) == State.IN_FLIGHT.value)
            return session.exec(marked.values(lease_until=database_now(session) + LEASE)).rowcount == 1

    def turn(
        self,
        result: Result,
        ahead: Claimed | None = None,
        *,
        marks: bool = True,
        more: Slot | None = None,
        pace: Pace = _NO_PACE,
        note: Callable[[Session], object] | None = None,
    ) -> Turn:
        """Store what became of one message, mark the next one, ``ahead``, and take ``more`` for a connection: one
        transaction for all.

        Without ``marks`` the next one is only known to be on its way.
        Whatever ``note`` writes stands if the result does; where it fails, the result stands without it.
        """
        with self._database.session() as session:
            follows = has_to_follow(session, result.claimed.user_id)
            account = None
            if more is not None or follows or _concerns_others(result):
                account = lock_account(session, result.claimed.user_id)
            now = database_now(session)
            done = self._finish(session, result, pace, now, follows=follows)
            if done and note is not None:
                try_noting(session, note)
            stopped = done and _asks(session, result)
            marked = ahead is not None and marks and self._mark(session, ahead, now)
            taken = self._claim(session, account, more, pace, now) if more is not None else ()
            return Turn(done, marked, taken, result.claimed.batch if stopped else "")

    def _finish(self, session: Session, result: Result, pace: Pace, now: datetime, *, follows: bool) -> bool:
        """Store a result, with the account's rest that follows from it.

        Also the late word of a worker that was thought to be gone counts, as long as nobody has taken the message
        over. False where somebody has: then nothing but the try is noted.
        """
        claimed, outcome, reason = result.claimed, result.outcome, result.reason
        values: dict[str, Any] = {
            "reason": dict(reason) if reason is not None else None,
            "changed": now,
            "host": result.host,
        }
        if result.is_accepted and not claimed.is_begun:
            copy_due = now + timedelta(seconds=result.copy_after_s)
            copy = {"copy_state": result.copy_state.value, "copy_due": copy_due}
            values |= {"accepted": now, "queue_id": result.queue_id, **copy}
        if outcome.state is State.UNKNOWN:
            values["look_due"] = now + FIRST_LOOK
        elif outcome.state is State.QUEUED:
            values["due"] = now + timedelta(seconds=outcome.due_s)
        elif outcome.state is State.HELD:
            values["held_by"] = BY_ACCOUNT
        done = self._settle(session, claimed, outcome.state, values)
        add_attempt(session, attempt_row(result, now, self._owner))
        if done:
            keep_recipients(session, claimed, result.recipients)
            if outcome.hold is not None:
                rest(session, claimed.user_id, outcome.hold, reason, now, pace)
                _hold_claimed(session, claimed.user_id, values["reason"])
            elif follows and (outcome.state is not State.QUEUED or result.attempt.reply):
                # A line that was cut before anything was said does not prove that the account may go on.
                let_follow(session, claimed.user_id, now)
        return done

    def hold_back(
        self,
        claimed: Sequence[Claimed],
        user_id: int,
        hold: Hold,
        reason: Mapping[str, Any],
        *,
        pace: Pace = _NO_PACE,
    ) -> None:
        """Hold messages that were never reached, and let the account rest, over all its connections."""
        with self._database.session() as session:
            lock_account(session, user_id)
            now = database_now(session)
            for each in claimed:
                self._unclaim(session, each, State.HELD, held_by=BY_ACCOUNT, reason=dict(reason), changed=now)
            rest(session, user_id, hold, reason, now, pace)
            _hold_claimed(session, user_id, reason)

    def _settle(self, session: Session, claimed: Claimed, after: State, values: Mapping[str, Any]) -> bool:
        if after is State.SENT and claimed.is_begun:
            # Some have it; the last ones were refused before any mark.
            self._mark(session, claimed, values["changed"])
        for before in (State.IN_FLIGHT, State.CLAIMED, State.UNKNOWN):
            if (before, after) in _IMPOSSIBLE:
                continue
            if move(session, claimed.id, before, after, claimed.fence, tried=True, **values):
                return True
        return False

    # ---- What nobody works on any more, and what rests

    def expire(self, *, has_ended: Callable[[str], bool]) -> int:
        """Take back what the gone have left: before the mark into the queue, after it into the unknown.

        ``has_ended`` says of an owner that its process is gone for sure; of the others the lease decides. Returns how
        many became unknown.
        """
        with self._database.session() as session:
            now = database_now(session)
            row = OutboundMessageRow
            working = session.exec(select(row.owner).where(col(row.state).in_(_WORKED_ON)).distinct()).all()
            owners = {*working, *find_owners(session)}
            gone = [owner for owner in owners if owner != self._owner and has_ended(owner)]
            lost = or_(col(row.lease_until) < now, col(row.owner).in_(gone))
            move_all(session, State.CLAIMED, State.QUEUED, (lost,))
            count = move_all(session, State.IN_FLIGHT, State.UNKNOWN, (lost,), **unsure_values(now))
            free_slots(session, gone, now)
            return count

    def cap_waits(self) -> None:
        """Let nothing wait longer than the longest pause: what lies further ahead is of a clock set back since."""
        row, account = OutboundMessageRow, OutboxAccountRow
        with self._database.session() as session:
            now = database_now(session)
            for column in (row.look_due, row.copy_due, account.paused_until):
                _cap(session, column, now + timedelta(seconds=LONGEST_WAIT_S), now)
            waiting = col(row.state) == State.QUEUED.value
            _cap(session, row.due, now + timedelta(seconds=LONGEST_WAIT_S), now, waiting)
            _cap(session, account.not_before, now + timedelta(seconds=MINUTE), now)
            for column in (account.crowded, account.halved):
                _cap(session, column, now, now)
            slot = OutboxSlotRow.lease_until
            for column, lease in ((row.lease_until, LEASE), (row.copy_lease, COPY_LEASE), (slot, LEASE)):
                # Its owner may be at work: a whole lease from now on.
                _cap(session, column, now + lease, now + lease)
            _cap(session, account.looking_until, now + LOOK_LEASE, now)

    def tend_accounts(self) -> None:
        """Hold what is due of accounts that rest; where a rest is over, let one message go ahead.

        So it is where the mail account has been saved since: its person has looked. Where the one that went ahead has
        come to an end that says nothing, the next one goes.
        """
        with self._database.session() as session:
            now = database_now(session)
            row = OutboxAccountRow
            changed = set(session.exec(changed_since()).all())
            for account in session.exec(select(row).where(col(row.paused).is_(True)).with_for_update(skip_locked=True)):
                over = account.paused_until is not None and account.paused_until <= now
                if over or account.user_id in changed:
                    account.paused, account.paused_until, account.feeler = False, None, True
                    send_ahead(session, account.user_id, now)
                    continue
                hold_due(session, account.user_id, account.reason, account.paused_until, now)
            left = select(row).where(col(row.user_id).in_(left_behind()))
            for account in session.exec(left.with_for_update(skip_locked=True)).all():
                send_ahead(session, account.user_id, now)

    def has_work(self) -> bool:
        """Return whether anything is due, is being worked on, or has rested long enough; nobody waits for this look."""
        with self._database.read() as session:
            now = database_now(session)
            row, account = OutboundMessageRow, OutboxAccountRow
            due = select(row.id).where(row.state == State.QUEUED.value, row.due <= now)
            due = due.join(account, col(account.user_id) == col(row.user_id)).where(may_send(now))
            worked = select(row.id).where(col(row.state).in_(_WORKED_ON))
            over = select(account.user_id).where(col(account.paused).is_(True), col(account.paused_until) <= now)
            every = (due, worked, over, changed_since(), left_behind())
            return any(session.exec(wanted.limit(1)).first() is not None for wanted in every)

    def count_rests(self, user_id: int) -> int:
        """Return how often in a row the account has rested."""
        with self._database.read() as session:
            account = session.get(OutboxAccountRow, user_id)
            return account.rests if account is not None else 0


# What a try cannot lead to from where it stood: the mark stands before any acceptance.
_IMPOSSIBLE = frozenset({(State.CLAIMED, State.SENT), (State.CLAIMED, State.UNKNOWN), (State.UNKNOWN, State.UNKNOWN)})


def _asks(session: Session, result: Result) -> bool:
    """Return whether the batch of a message is stopped because of what it came to."""
    claimed, refused = result.claimed, any(each.state is RecipientState.REFUSED for each in result.recipients)
    counts = bool(claimed.batch) and (refused or result.counts)
    return counts and ask_where_many_are_refused(session, claimed.user_id, claimed.batch)


def _concerns_others(result: Result) -> bool:
    """Return whether other messages of the account may change with a result: then the account is locked first."""
    refused = any(each.state is RecipientState.REFUSED for each in result.recipients)
    return result.outcome.hold is not None or bool(result.claimed.batch and (refused or result.counts))


def _hold_claimed(session: Session, user_id: int, reason: Mapping[str, Any] | None) -> None:
    """Hold what workers have claimed of an account, over whichever connection: each would try the same limit, or the
    same password, once more. What is marked already ends."""
    claimed = (col(OutboundMessageRow.user_id) == user_id,)
    told = dict(reason) if reason is not None else None
    move_all(session, State.CLAIMED, State.HELD, claimed, held_by=BY_ACCOUNT, reason=told)


def _cap(session: Session, column: Any, latest: datetime, value: datetime, *which: Any) -> None:
    session.exec(update(column.class_).where(column > latest, *which).values({column.key: value}))


def _to_claimed(row: OutboundMessageRow, recipients: Sequence[Recipient], now: datetime) -> Claimed:
    return Claimed(
        id=row.id,
        user_id=row.user_id,
        fence=row.fence,
        sender=row.sender,
        size=row.size,
        sha256=row.sha256,
        parts=tuple(row.parts),
        recipients=tuple(recipients),
        tries=row.attempts,
        age_s=(now - row.first_tried).total_seconds() if row.first_tried else 0.0,
        document_type=row.document_type,
        series=row.series,
        number=row.number,
        batch=row.batch,
    )
