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
from cgcore.mail.smtp.session import Delivery, Fate
from cgcore.mail.steps import Stage
from cgcore.outbox.judgement import Told
from cgcore.outbox.message import Claimed, Recipient, Result, Turn
from cgcore.outbox.states import Kind, RecipientState
from cgcore.runs import Step
from cgcore.storage.outbox_bytes import OutboxBytes
from cgcore.storage.outbox_queue import OutboxQueue

if TYPE_CHECKING:
    from sqlmodel import Session

__all__ = [
    "SMALL",
    "Bodies",
    "Body",
    "Ended",
    "Permit",
    "awake_clock",
    "merge_recipients",
    "run_through",
    "split_addresses",
    "summarise",
    "was_idle",
]

_log = logging.getLogger(__name__)

SMALL = 512 * 1024
"""Up to this a message is read at once, and marked while it is on its way: of a larger one the mark would stand long
before the dot."""

_FROZEN_S = 5.0  # from the mark to the dot: longer, and the machine has slept in between
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

    def ask(self) -> bool:
        """Return whether the dot may leave now."""
        self._end_turn()
        if not self._marks:
            self._asked = self._awake()
            self.is_marked = self._queue.mark_in_flight(self._claimed)
        elif self.is_marked and self._awake() - self._asked > _FROZEN_S:
            self._asked = self._awake()
            self.is_marked = self._queue.confirm_mark(self._claimed)
        self.was_refused = not self.is_marked
        return self.is_marked and self._awake() - self._asked <= _FROZEN_S

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


def split_addresses(claimed: Claimed) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the addresses that must be taken, and those that may be refused alone."""
    to = tuple(each.address for each in claimed.recipients if each.kind is Kind.TO)
    return to, tuple(each.address for each in claimed.recipients if each.kind is not Kind.TO)


def merge_recipients(claimed: Claimed, delivery: Delivery) -> Sequence[Recipient]:
    """Return the recipients of a message, in their order, with what was said of each."""
    said = {result.address: result for result in delivery.recipients}
    merged: list[Recipient] = []
    for each in claimed.recipients:
        told = said.get(each.address)
        state = _STATES.get(told.fate, RecipientState.PENDING) if told else each.state
        code, key, reply = (told.code, told.key, told.reply) if told else (0, "", "")
        merged.append(Recipient(each.address, each.kind, each.name, state, code, key, reply))
    return merged
