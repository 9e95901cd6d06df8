"""Hands the messages of an account over, one after the other on a connection, and stores what became of each.

Apart from :mod:`cgcore.workbench.outbox.worker`: what is sent is decided here, when and by how many there.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import CloudGestionError, InvalidInput, StorageError, VaultError
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.smtp.session import Delivery, Fate, SmtpSession
from cgcore.mail.steps import Leg, Stage
from cgcore.outbox.judgement import Hold, Outcome, judge_connection
from cgcore.outbox.message import Attempt, Claimed, Recipient, Result, Slot, Turn
from cgcore.outbox.pace import Pace
from cgcore.outbox.states import CopyState, RecipientState, State
from cgcore.runs import Status, Step, Verdict
from cgcore.storage.acting import find_acting
from cgcore.storage.outbox_bytes import OutboxBytes
from cgcore.storage.outbox_numbers import note_number
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_slots import AT_ONCE
from cgcore.workbench.outbox.handover import (
    SMALL,
    Bodies,
    Body,
    Ended,
    Permit,
    awake_clock,
    build_envelope,
    judge,
    run_through,
    summarise,
    was_idle,
)
from cgcore.workbench.outbox.line import LearnedLimits, Line
from cgcore.workbench.outbox.pace import PaceBook

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRequests

__all__ = ["Sender"]

_log = logging.getLogger(__name__)

_PER_CONNECTION = 50
_CONNECTION_S = 300.0
_NO_PACE = Pace()
_VAULT_RESTS_S = 300.0
_OWN_FAULT_S = 60.0


class Sender:
    """Sends what is due of an account over a connection that this process has claimed. Used by several threads."""

    def __init__(
        self,
        context: Context,
        queue: OutboxQueue,
        *,
        mail_account: MailAccountSection,
        requests: MailRequests,
        stopping: Callable[[], bool],
        wake: Callable[[], None] = lambda: None,
        chance: Callable[[], float] = random.random,
        timeouts: Timeouts | None = None,
        awake: Callable[[], float] = awake_clock,
    ) -> None:
        self._context, self._queue, self._requests = context, queue, requests
        self._mail_account, self._stopping, self._chance = mail_account, stopping, chance
        self._timeouts, self._awake = timeouts or Timeouts(), awake
        self._wake = wake  # there may be work for a further connection
        self._bytes = OutboxBytes(context.database)
        self._lock = threading.Lock()
        self._working: dict[str, Slot] = {}  # by the message: what is claimed and not settled
        self._slots: set[Slot] = set()
        self._left: list[Ended] = []
        self._book = PaceBook(context, mail_account)
        self._paces: dict[int, Pace] = {}
        self._refusing: set[str] = set()
        self._learned = LearnedLimits(self._awake)

    def list_working(self) -> tuple[Sequence[str], Sequence[Slot]]:
        """Return the messages and the connections that this process works on."""
        with self._lock:
            return list(self._working), list(self._slots)

    def serve(self, slot: Slot) -> bool:
        """Send what is due of an account until nothing is left, it has to rest, or the process stops.

        Returns whether there was anything to be had.
        """
        with self._lock:
            self._slots.add(slot)
        waiting: deque[Claimed] = deque()
        try:
            self._paces[slot.user_id] = self._book.find_for(slot.user_id)
            if self._stopping() or not self._fill(slot, waiting):
                return False
            with ThreadPoolExecutor(1, thread_name_prefix="outbox-hand") as hand:
                self._serve(slot, waiting, hand)
            return True
        finally:
            try:
                self._release(waiting)
                self._queue.leave(slot)
            finally:
                with self._lock:
                    self._slots.discard(slot)
                    kept = {ended.result.claimed.id for ended in self._left}
                    # What failed in something of ours is renewed by nobody: its lease ends, and says what it is.
                    self._working = {each: of for each, of in self._working.items() if of != slot or each in kept}

    def settle_left(self) -> None:
        """Store results that the database would not take before. Whatever happens, nothing is sent again for them."""
        with self._lock:
            left, self._left = self._left, []
        for ended in left:
            self._settle(ended)

    # ---- One account

    def _serve(self, slot: Slot, waiting: deque[Claimed], hand: Executor) -> None:
        while not self._stopping() and self._fill(slot, waiting):
            line = self._open_line(slot, waiting)
            if line is None:
                return
            with Connection(line.request, self._requests.environment(), self._timeouts) as connection:
                session = SmtpSession(connection)
                steps = [*session.connect(), *session.sign_in()]
                if not session.usable:
                    self._rest(waiting, steps[-1], line)
                    return
                self._send_over(session, line, waiting, hand)
                list(session.close())

    def _fill(self, slot: Slot, waiting: deque[Claimed]) -> bool:
        if not waiting:
            pace = self._pace(slot.user_id)
            self._take(waiting, self._queue.claim_messages(slot, pace=pace), slot)
            if pace.connections > 1 and len(waiting) == AT_ONCE:
                self._wake()
        return bool(waiting)

    def _pace(self, user_id: int) -> Pace:
        return self._paces.get(user_id, _NO_PACE)

    def _take(self, waiting: deque[Claimed], claimed: Sequence[Claimed], slot: Slot) -> None:
        with self._lock:
            self._working |= {each.id: slot for each in claimed}
        waiting.extend(claimed)

    def _open_line(self, slot: Slot, waiting: deque[Claimed]) -> Line | None:
        """Return what the account needs to send; ``None``: it is not fit to, and rests, or this is one connection
        too many for the provider that it has by now."""
        user_id = slot.user_id
        try:
            with self._context.database.read() as session:
                actor = find_acting(session, user_id)
            if actor is None:
                raise InvalidInput
            draft = self._mail_account.get(actor).draft
            request = self._requests.build(actor, Leg.SMTP, draft, mail_from=waiting[0].sender)
        except InvalidInput as refused:
            codes = [found.code for found in refused.problems]
            key = "password_lost" if set(codes) & {"password_lost", "password_again", "empty"} else "account_unfit"
            self._hold(user_id, waiting, Hold(key, None), Verdict(key, Stage.INPUT).to_json())
        except VaultError:
            told = Verdict("vault_away", Stage.INPUT).to_json()
            self._hold(user_id, waiting, Hold("vault_away", _VAULT_RESTS_S), told)
        else:
            self._paces[user_id] = pace = self._book.find(draft)
            return Line(slot, actor, draft, request) if slot.place < pace.connections else None
        return None

    def _rest(self, waiting: deque[Claimed], step: Step, line: Line) -> None:
        outcome = judge_connection(summarise(Fate.PENDING, step), rests=self._queue.count_rests(line.slot.user_id))
        if outcome.hold is not None:
            self._hold(line.slot.user_id, waiting, outcome.hold, line.reason(step))

    def _hold(self, user_id: int, waiting: deque[Claimed], hold: Hold, reason: Mapping[str, Any]) -> None:
        self._queue.hold_back(list(waiting), user_id, hold, reason, pace=self._pace(user_id))
        self._let_go(waiting)

    def _release(self, waiting: deque[Claimed]) -> None:
        """Give back what was not reached; what is no longer ours stays as it is."""
        for claimed in waiting:
            self._queue.release(claimed)
        self._let_go(waiting)

    def _send_over(self, session: SmtpSession, line: Line, waiting: deque[Claimed], hand: Executor) -> None:
        """Send over one connection as long as it may be used; what it has not reached stays in ``waiting``.

        What was accepted is stored while the next one is on its way, in the transaction that marks that one: the sender
        waits for it before the dot. So a message costs one commit, and a crash leaves at most two unknown.
        """
        began, count = time.monotonic(), 0
        accepted: Ended | None = None
        bodies = Bodies(self._bytes)
        try:
            while session.usable and count < _PER_CONNECTION and time.monotonic() - began < _CONNECTION_S:
                # What has just been accepted does not wait for another question to be stored.
                if self._stopping() or not (waiting or (accepted is None and self._fill(line.slot, waiting))):
                    return
                claimed = waiting.popleft()
                permit = self._begin(accepted, claimed, line.slot, waiting, hand)
                accepted = None
                ahead = partial(bodies.fetch_first, waiting)
                delivery, allowed, since = self._deliver(
                    session, line.request.host, bodies.take(claimed), permit, ahead
                )
                if count and was_idle(delivery):  # another connection takes the same message, and no try is counted
                    self._give_back(claimed, waiting, permit)
                    return
                ended = self._conclude(claimed, delivery, since, line, allowed=allowed)
                if ended.result.outcome.state is State.SENT:
                    accepted = ended
                else:
                    self._leave_out(self._settle(ended), waiting)
                if ended.result.outcome.hold is not None:
                    self._let_go(waiting)
                    return
                if permit.was_refused:
                    self._release(waiting)  # the claim is no longer ours: nor, as a rule, are the others of it
                    return
                count += 1
        finally:
            if accepted is not None:
                self._settle(accepted)

    def _let_go(self, waiting: deque[Claimed]) -> None:
        """Forget what is held with the account by now; where that could not be stored, its claim ends by itself."""
        with self._lock:
            for claimed in waiting:
                self._working.pop(claimed.id, None)
        waiting.clear()

    def _begin(
        self, accepted: Ended | None, claimed: Claimed, slot: Slot, waiting: deque[Claimed], hand: Executor
    ) -> Permit:
        """Return what says whether the dot of ``claimed`` may leave, and has the result before it stored meanwhile."""
        permit = Permit(self._queue, claimed, self._awake)
        if accepted is None:
            return permit
        marks, more, pace = claimed.size <= SMALL, None if waiting else slot, self._pace(slot.user_id)
        turn = partial(
            self._queue.turn, accepted.result, claimed, marks=marks, more=more, pace=pace, note=accepted.note
        )
        permit.wait_for(hand.submit(turn), partial(self._end_turn, accepted, slot, waiting), marks=marks)
        return permit

    def _end_turn(self, accepted: Ended, slot: Slot, waiting: deque[Claimed], ending: Future[Turn]) -> None:
        try:
            turn = ending.result()
        except StorageError:
            self._keep(accepted)
            raise
        except Exception:
            self._forget(accepted)
            raise
        self._forget(accepted)
        self._take(waiting, turn.claimed, slot)
        self._leave_out(turn.stopped, waiting)

    def _leave_out(self, batch: str, waiting: deque[Claimed]) -> None:
        """Let go of what is left of a batch that was stopped: it is held already."""
        stopped = {each.id for each in waiting if batch and each.batch == batch}
        if stopped:
            left = [each for each in waiting if each.id not in stopped]
            waiting.clear()
            waiting.extend(left)
            with self._lock:
                self._working = {each: of for each, of in self._working.items() if each not in stopped}

    def _give_back(self, claimed: Claimed, waiting: deque[Claimed], permit: Permit) -> None:
        if not permit.is_marked:
            waiting.appendleft(claimed)
            return
        self._queue.release(claimed)
        with self._lock:
            self._working.pop(claimed.id, None)

    def _deliver(
        self, session: SmtpSession, host: str, body: Body, permit: Permit, meanwhile: Callable[[], None]
    ) -> tuple[Delivery | Exception, bool, Attempt]:
        claimed, began, allowed = body.claimed, Attempt(self._context.clock()), False

        def before_dot(taken: Sequence[str]) -> bool:
            nonlocal allowed
            allowed = body.is_whole and permit.ask(taken)
            return allowed

        try:
            envelope = build_envelope(claimed, self._learned.find(claimed.user_id, host, self._pace(claimed.user_id)))
            steps = session.deliver(envelope, body.pieces(), before_dot=before_dot, meanwhile=meanwhile)
            return run_through(steps), allowed, began
        except Exception as failure:
            # A fault of ours, or the database is away: whether the dot was allowed decides what may be done with it.
            session.usable = False
            if not isinstance(failure, CloudGestionError):
                _log.exception("a message could not be handed over")
            return failure, allowed, began
        finally:
            permit.end()

    # ---- What became of it

    def _conclude(
        self, claimed: Claimed, delivery: Delivery | Exception, began: Attempt, line: Line, *, allowed: bool
    ) -> Ended:
        recipients: Sequence[Recipient] = claimed.recipients
        queue_id, taken, is_part = "", 0, False
        if isinstance(delivery, Exception):
            # Before it was allowed there was no dot: nothing has left. After it, nobody can tell.
            key = "delivery_unknown" if allowed else "temporary_failure"
            step = Step("smtp", Stage.FINAL, Status.ERROR, key=key)
            outcome = Outcome(State.UNKNOWN) if allowed else Outcome(State.QUEUED, due_s=_OWN_FAULT_S)
        else:
            step, queue_id = delivery.step, delivery.queue_id
            judged = judge(claimed, delivery, self._chance)
            outcome, recipients, taken, is_part = judged.outcome, judged.recipients, judged.taken, judged.is_part
            if judged.most:
                self._learned.learn(claimed.user_id, line.request.host, judged.most)
        attempt = Attempt(began.began, None, str(step.stage), step.key, step.reply)
        is_accepted = is_part or outcome.state is State.SENT
        reason = None if is_accepted else line.reason(step)
        copy_state, copy_after = line.copy() if is_accepted else (CopyState.NONE, 0.0)
        result = Result(
            claimed,
            outcome,
            attempt,
            recipients,
            reason,
            line.request.host,
            queue_id,
            copy_state,
            copy_after,
            self._counts(claimed, recipients),
            taken,
            is_part,
        )
        return Ended(result, partial(self._note, claimed, outcome, line, step, ok=is_accepted))

    def _counts(self, claimed: Claimed, recipients: Sequence[Recipient]) -> bool:
        # Whether somebody of the batch was refused, this time or before.
        with self._lock:
            if claimed.batch and any(each.state is RecipientState.REFUSED for each in recipients):
                self._refusing.add(claimed.batch)
            return claimed.batch in self._refusing

    def _settle(self, ended: Ended) -> str:
        """Store a result by itself; return the batch that is stopped because of it."""
        pace = self._pace(ended.result.claimed.user_id)
        try:
            turn = self._queue.turn(ended.result, pace=pace, note=ended.note)
        except StorageError:
            self._keep(ended)
            return ""
        except BaseException:
            self._forget(ended)
            raise
        self._forget(ended)
        return turn.stopped

    def _keep(self, ended: Ended) -> None:
        """Keep a result, and have its lease renewed, until the database takes it."""
        with self._lock:
            self._left.append(ended)

    def _forget(self, ended: Ended) -> None:
        with self._lock:
            self._working.pop(ended.result.claimed.id, None)

    def _note(self, claimed: Claimed, outcome: Outcome, line: Line, step: Step, session: Session, *, ok: bool) -> None:
        """Tell the activity log, in the transaction of the result: once somebody has it, and of an end without that."""
        if ok and not claimed.is_begun:
            year = self._context.clock().year
            note_number(session, claimed.series, claimed.document_type, claimed.number, year)
        elif outcome.state not in (State.FAILED, State.UNKNOWN):
            return
        told, result = f"{claimed.series} {claimed.number}", "ok" if ok else step.key
        self._context.activity.write(session, line.actor, Action.DOCUMENT_SENT, told, result, claimed.id)
