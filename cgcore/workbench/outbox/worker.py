"""The threads that send: one looks for what is due, a few hand it over, one keeps the claims alive.

One files copies, and one looks into inboxes for what came back.

Whatever fails here fails on the safe side: before the mark of the dot a claim runs out and the message is tried again;
after it nobody tries again by himself.

Apart from :mod:`cgcore.workbench.outbox.section`: a process without pages runs it alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from cgcore.errors import CloudGestionError
from cgcore.outbox.message import Slot
from cgcore.process import has_ended, new_owner
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_batches import give_up_old
from cgcore.storage.outbox_left import ATTEND_EVERY, attend, hold_old
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_retention import OutboxRetention
from cgcore.workbench.outbox.bounces import BounceClerk
from cgcore.workbench.outbox.copies import CopyClerk
from cgcore.workbench.outbox.sender import Sender

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRequests

__all__ = ["OutboxWorker"]

_log = logging.getLogger(__name__)

_SENDERS = 4  # connections at once, of one account or of several
_LOOK_EVERY_S = 2.0  # also where another process has stored something
_RENEW_EVERY_S = 20.0
_COPIES_EVERY_S = 2.0
_RETENTION_EVERY_S = 3600.0
_BOUNCES_EVERY_S = 15.0
_CLOSE_S = 6.0
_TOLD_EVERY_S = 60.0
_STEP_S = 60.0  # a clock that is corrected by less makes nobody wait for long


class OutboxWorker:
    """The workers of one process. ``start`` begins, ``close`` lets what is under way end, for some seconds."""

    def __init__(self, context: Context, *, mail_account: MailAccountSection, requests: MailRequests) -> None:
        self._context = context
        self._owner = new_owner()
        self._queue = OutboxQueue(context.database, self._owner)
        self._sender = Sender(
            context,
            self._queue,
            mail_account=mail_account,
            requests=requests,
            stopping=lambda: self._stopping,
            wake=self.wake,
        )
        self._copies = CopyClerk(context, self._owner, mail_account=mail_account, requests=requests)
        self._retention = OutboxRetention(context.database)
        self._bounces = BounceClerk(context, self._owner, mail_account=mail_account, requests=requests)
        self._changed = threading.Condition()
        self._woken = False
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._serving: dict[Slot, threading.Thread] = {}
        self._told_until = 0.0
        self._attended = time.monotonic()
        self._hour_ahead = self._find_hour()

    def start(self) -> None:
        """Begin, once; what the gone have left is taken back first, and what is old is held."""
        if self._threads or self._stopping:
            return
        for name, work in (
            ("outbox", self._dispatch),
            ("outbox-leases", lambda: self._repeat(_RENEW_EVERY_S, self._renew)),
            ("outbox-retention", lambda: self._repeat(_RETENTION_EVERY_S, self._let_go)),
            ("outbox-copies", lambda: self._repeat(_COPIES_EVERY_S, self._copies.work)),
            ("outbox-bounces", lambda: self._repeat(_BOUNCES_EVERY_S, self._bounces.work)),
        ):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Look at once: something may be due."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def retire(self) -> None:
        """Take on nothing more, and wait for nothing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def is_working(self) -> bool:
        """Return whether an account is being served, or a copy filed."""
        return any(thread.is_alive() for thread in (*self._threads, *list(self._serving.values())))

    def close(self) -> None:
        """Take on nothing more, and wait a moment for what is under way.

        What waits for its answer beyond that is found «in flight» at the next start, and becomes unknown.
        """
        self.retire()
        deadline = time.monotonic() + _CLOSE_S
        for thread in [*self._threads, *list(self._serving.values())]:
            thread.join(max(0.0, deadline - time.monotonic()))

    def work_once(self) -> None:
        """Do what is due now, in this thread: for tests, and for whoever has no thread to spare."""
        self._sender.settle_left()
        self._follow_clock()
        self._attend()
        self._queue.expire(has_ended=lambda owner: has_ended(owner, here=False))
        self._queue.tend_accounts()
        while not self._stopping and (slot := self._queue.claim_slot()) is not None:
            self._sender.serve(slot)
        self._copies.work()
        self._bounces.work()

    # ---- The threads

    def _dispatch(self) -> None:
        begun = False
        while not self._stopping:
            if not begun:
                begun = self._guarded(self._begin)
            else:
                self._guarded(self._look)
            with self._changed:
                if not self._woken and not self._stopping:
                    self._changed.wait(_LOOK_EVERY_S)
                self._woken = False

    def _begin(self) -> None:
        self._queue.expire(has_ended=lambda owner: has_ended(owner, here=self._context.database.is_sqlite))
        self._queue.cap_waits()
        hold_old(self._context.database)

    def _look(self) -> None:
        self._sender.settle_left()
        self._follow_clock()
        self._attend()
        if not self._queue.has_work():
            return
        self._queue.expire(has_ended=lambda owner: has_ended(owner, here=self._context.database.is_sqlite))
        self._queue.tend_accounts()
        while not self._stopping and self._count_serving() < _SENDERS:
            slot = self._queue.claim_slot(served=list(self._serving))
            if slot is None:
                return
            thread = threading.Thread(target=self._serve, args=(slot,), name="outbox-sender", daemon=True)
            self._serving[slot] = thread
            thread.start()

    def _follow_clock(self) -> None:
        """Where the clock has been set back, let nothing wait for what it had noted before."""
        before, self._hour_ahead = self._hour_ahead, self._find_hour()
        if self._hour_ahead < before - _STEP_S:
            self._queue.cap_waits()

    def _attend(self) -> None:
        if time.monotonic() >= self._attended + ATTEND_EVERY / timedelta(seconds=1):
            attend(self._context.database)
            self._attended = time.monotonic()

    def _find_hour(self) -> float:
        return self._context.clock().timestamp() - time.monotonic()

    def _count_serving(self) -> int:
        self._serving = {slot: thread for slot, thread in self._serving.items() if thread.is_alive()}
        return len(self._serving)

    def _serve(self, slot: Slot) -> None:
        served: list[bool] = []
        self._guarded(lambda: served.append(self._sender.serve(slot)))
        if any(served):
            self.wake()  # where nothing was to be had the next look is soon enough

    def _renew(self) -> None:
        names, slots = self._sender.list_working()
        if names or slots:
            self._queue.renew(names, slots)

    def _let_go(self) -> None:
        """Let go of bytes whose time is over, and of what a storing that came to nothing has left: else its key, and
        the page of a batch, would wait for it for ever."""
        OutboxStore(self._context.database).sweep()
        with self._context.database.session() as session:
            give_up_old(session)
        self._retention.release(timedelta(days=self._context.settings.outbox_keep_days))
        self._retention.sweep()

    def _repeat(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stopping:
            self._guarded(work)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, timeout=seconds)

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Do ``work``; what fails is told to the log once a minute, and tried again at the next look."""
        try:
            work()
        except CloudGestionError as failure:
            if time.monotonic() >= self._told_until:
                self._told_until = time.monotonic() + _TOLD_EVERY_S
                _log.warning("the outbox waits: %s", failure.code)
            return False
        except Exception:
            if self._stopping:  # the database is closed under a thread that ends
                return False
            _log.exception("the outbox failed in something of its own")
            return False
        return True
