"""One message on its way: its bytes, whether its dot may leave, and what its delivery tells, as data.

Apart from :mod:`cgcore.workbench.outbox.sender`: that one knows accounts and connections, this one a single message.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from cgcore.errors import CloudGestionError
from cgcore.mail.smtp.delivery import RecipientResult
from cgcore.mail.smtp.session import Delivery, Envelope, Fate
from cgcore.mail.steps import Stage
from cgcore.outbox.judgement import GIVE_UP_S, Outcome, Told, judge_delivery
from cgcore.outbox.message import Claimed, Recipient, Result, Turn
from cgcore.outbox.states import Kind, RecipientState, State
from cgcore.runs import Step
from cgcore.storage.outbox_bytes import OutboxBytes
from cgcore.storage.outbox_queue import OutboxQueue

if TYPE_CHECKING:
    from sqlmodel import Session

__all__ = [
    "FROZEN_S",
    "SMALL",
    "Bodies",
    "Body",
    "Ended",
    "Permit",
    "awake_clock",
    "build_envelope",
    "judge",
    "merge_recipients",
    "run_through",
    "summarise",
    "was_idle",
]

_log = logging.getLogger(__name__)

SMALL = 512 * 1024
"""Up to this a message is read at once, and marked while it is on its way: of a larger one the mark would stand long
before the dot."""

FROZEN_S = 5.0
"""From the mark to the dot, and to the last byte of a copy: longer, and the machine has slept in between."""

_STATES = {Fate.ACCEPTED: RecipientState.ACCEPTED, Fate.REFUSED: RecipientState.REFUSED}


def awake_clock() -> float:
    """Return seconds that go on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A message that was tried: what is to be stored of it, and what the activity log says."""

    result: Result
    note: Callable[[Session], None]


class Permit:
    """Whether the dot of one message may leave: only behind a mark that is durable, is ours, and is fresh.

    A small message is marked while it is on its way; where that was more than a moment ago the mark is looked at
    again. A machine that has slept in between sends no dot.
    """

    def __init__(self, queue: OutboxQueue, claimed: Claimed, awake: Callable[[], float]) -> None:
        self._queue, self._claimed, self._awake = queue, claimed, awake
        self._turn: Future[Turn] | None = None
        self._settle: Callable[[Future[Turn]], None] = _ignore
        self._marks = False
        self._asked = awake()
        self.is_marked = self.was_refused = False

    def wait_for(self, turn: Future[Turn], settle: Callable[[Future[Turn]], None], *, marks: bool) -> None:
        """Have a transaction to wait for, which ``marks`` this message; ``settle`` is told once that it has ended."""
        self._turn, self._settle, self._marks = turn, settle, marks

    def ask(self, taken: Sequence[str]) -> bool:
        """Return whether the dot may leave now, for the addresses that the server has taken."""
        self._end_turn()
        return self._note_part(taken) and self._ask()

    def _note_part(self, taken: Sequence[str]) -> bool:
        """Have it noted who is in this transaction, where not everybody is, or was in an earlier one."""
        told = self._claimed.recipients
        if self._claimed.is_begun or len(taken) < len(told) or any(each.part for each in told):
            self.was_refused = not self._queue.note_part(self._claimed, taken)
        return not self.was_refused

    def _ask(self) -> bool:
        if not self._marks:
            self._asked = self._awake()
            self.is_marked = self._queue.mark_in_flight(self._claimed)
        elif self.is_marked and self._awake() - self._asked > FROZEN_S:
            self._asked = self._awake()
            self.is_marked = self._queue.confirm_mark(self._claimed)
        self.was_refused = not self.is_marked
        return self.is_marked and self._awake() - self._asked <= FROZEN_S

    def end(self) -> None:
        """Wait for the transaction, whatever became of the message: what it stores is another one's."""
        try:
            self._end_turn()
        except Exception as failure:
            if not isinstance(failure, CloudGestionError):
                _log.exception("a result could not be stored")

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        self._settle(turn)
        self.is_marked = self._marks and turn.result().marked


def _ignore(_turn: Future[Turn]) -> None:
    pass


class Body:
    """The stored bytes of a message on their way; ``is_whole`` once all have passed and are what was stored."""

    def __init__(self, store: OutboxBytes, claimed: Claimed) -> None:
        self._store, self.claimed = store, claimed
        self._ahead: bytes | None = None
        self.is_whole = False

    def fetch(self) -> None:
        """Read a small message before it is its turn; where that fails it is read when it is."""
        if self.claimed.size <= SMALL and self._ahead is None:
            try:
                self._ahead = b"".join(self._store.read_at_once(self.claimed.parts))
            except Exception as failure:
                _log.debug("read later (%s)", type(failure).__name__)

    def pieces(self) -> Iterator[bytes]:
        """Yield them; a small message in one piece."""
        self.fetch()
        digest, size = hashlib.sha256(), 0
        for piece in self._store.read(self.claimed.parts) if self._ahead is None else [self._ahead]:
            digest.update(piece)
            size += len(piece)
            yield piece
        self.is_whole = digest.hexdigest() == self.claimed.sha256 and size == self.claimed.size


class Bodies:
    """The bodies of the messages of one connection; the next one is read while the server thinks about the last."""

    def __init__(self, store: OutboxBytes) -> None:
        self._store = store
        self._next: Body | None = None

    def take(self, claimed: Claimed) -> Body:
        """Return the body of a message whose turn it is."""
        body, self._next = self._next, None
        return body if body is not None and body.claimed is claimed else Body(self._store, claimed)

    def fetch_first(self, waiting: Sequence[Claimed]) -> None:
        """Read the first of those that wait, if it is a small one."""
        if waiting:
            self._next = Body(self._store, waiting[0])
            self._next.fetch()


def run_through(steps: Generator[Step, None, Delivery]) -> Delivery:
    """Have a delivery run to its end; return what it came to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def was_idle(delivery: Delivery | Exception) -> bool:
    """Whether the connection was gone, or closed with a 421, before the message had begun."""
    if isinstance(delivery, Exception) or delivery.step.stage != Stage.MAIL_FROM:
        return False
    return delivery.fate is Fate.PENDING or delivery.code == 421


def summarise(fate: Fate, step: Step, *, later: bool = False) -> Told:
    """Return the end of a delivery as the rules of the outbox read it."""
    minutes = step.details.get("minutes", 0)
    wait = int(minutes) * 60 if isinstance(minutes, (int, float)) else 0
    return Told(fate.value, step.key, str(step.stage), step.retry, later=later, wait_s=wait)


def build_envelope(claimed: Claimed, most: int) -> Envelope:
    """Return who gets a message in one transaction, at most so many (0: all).

    All in To must be taken, as long as nobody has it.
    """
    part = claimed.select_part(most)
    needed = () if claimed.is_begun else tuple(each.address for each in part if each.kind is Kind.TO)
    copies = tuple(each.address for each in part if each.address not in needed)
    return Envelope(claimed.sender, needed, copies=copies, size=claimed.size, notice_id=claimed.id)


def merge_recipients(claimed: Claimed, delivery: Delivery, outcome: Outcome) -> Sequence[Recipient]:
    """Return the recipients of a message, in their order, with what was said of each.

    Who was not in this transaction is pending, or has been told already. Once some have the message, who is refused
    for now is pending too, until the message is given up.
    """
    said = {result.address: result for result in delivery.recipients}
    merged: list[Recipient] = []
    for each in claimed.recipients:
        told = said.get(each.address)
        if told is None:
            merged.append(each if claimed.is_begun else Recipient(each.address, each.kind, each.name))
            continue
        state = _STATES.get(told.fate, RecipientState.PENDING)
        if state is RecipientState.REFUSED and claimed.is_begun and _may_pass(told, claimed, delivery, outcome):
            state = RecipientState.PENDING
        merged.append(Recipient(each.address, each.kind, each.name, state, told.code, told.key, told.reply))
    return merged


def _may_pass(told: RecipientResult, claimed: Claimed, delivery: Delivery, outcome: Outcome) -> bool:
    """Return whether somebody who was refused in a later transaction may be taken another time."""
    if told.key == "too_many_recipients":
        return True
    waits = outcome.state in (State.QUEUED, State.HELD) and told.key == delivery.step.key
    return waits or (400 <= told.code < 500 and claimed.age_s < GIVE_UP_S)


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """What a delivery means: the state that follows, what was said of whom, and for how many it was ``taken``.

    ``is_part``: others are pending, and get the message in another transaction. ``most`` is how many go at once from
    now on, 0 where nothing was said of that.
    """

    outcome: Outcome
    recipients: Sequence[Recipient]
    taken: int
    is_part: bool
    most: int


def judge(claimed: Claimed, delivery: Delivery, chance: Callable[[], float]) -> Judged:
    """Return what follows from a delivery."""
    told = summarise(delivery.fate, delivery.step, later=delivery.retry_helps)
    outcome = judge_delivery(told, tries=claimed.tries + 1, age_s=claimed.age_s, chance=chance)
    recipients, most = merge_recipients(claimed, delivery, outcome), learn_most(delivery)
    pending = [each for each in recipients if each.state is RecipientState.PENDING]
    is_part = delivery.fate is Fate.ACCEPTED and bool(pending)
    is_refused = delivery.fate is Fate.REFUSED and outcome.hold is None
    if most and delivery.fate is Fate.REFUSED:
        outcome = Outcome(State.QUEUED)
    elif is_part or (
        claimed.is_begun and is_refused and (not pending or any(each.code for each in delivery.recipients))
    ):
        outcome = _judge_rest(claimed, pending, chance)
    taken = count_taken(delivery) if delivery.fate in (Fate.ACCEPTED, Fate.UNKNOWN) else 0
    return Judged(outcome, recipients, taken, is_part, most)


def _judge_rest(claimed: Claimed, pending: Sequence[Recipient], chance: Callable[[], float]) -> Outcome:
    """Return what follows for those who have not got what others have: at once for whoever has not been refused."""
    if not pending:
        return Outcome(State.SENT)  # of those who do not get it each is told why
    refused = [each for each in pending if each.is_put_off]
    if len(refused) < len(pending):
        return Outcome(State.QUEUED)
    told = Told(Fate.REFUSED.value, refused[0].key, str(Stage.RCPT_TO), later=True)
    return judge_delivery(told, tries=claimed.tries + 1, age_s=claimed.age_s, chance=chance)


def count_taken(delivery: Delivery) -> int:
    """Return for how many recipients a server has taken a message, or may have."""
    return sum(each.fate in (Fate.ACCEPTED, Fate.UNKNOWN) for each in delivery.recipients)


def learn_most(delivery: Delivery) -> int:
    """Return how many recipients a server takes at once, 0 where it has not said that there are too many.

    It has taken so many before it said so (RFC 5321 §4.5.3.1.10); where it said so of the whole, half may pass.
    """
    asked = [each for each in delivery.recipients if each.code]
    if delivery.fate is Fate.ACCEPTED and any(each.key == "too_many_recipients" for each in asked):
        return count_taken(delivery)
    if delivery.step.key == "too_many_recipients" and delivery.step.stage in (Stage.DATA, Stage.FINAL):
        return len(asked) // 2
    return 0
