"""Runs of cells: each probe or sending is driven by a worker thread that stores what it yields.

What is handed out only reads. A reload, an edit or a closed tab neither stops a run nor loses its result, and a
second start for the same user and cell joins the run that is under way, also one of another process on the same
database. Each run has an owner that is heard of while it goes on; what nobody drives any more is closed as interrupted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cgcore.errors import StorageBusy, StorageError
from cgcore.identity.actor import Actor
from cgcore.language import current_language, speak
from cgcore.process import has_ended, new_owner
from cgcore.runs import BROKEN, INTERRUPTED, Cell, Run, Step, Verdict
from cgcore.storage.runs import ProbeRunStore

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["Cell", "Job", "Run", "RunSection"]

_log = logging.getLogger(__name__)

_STORE_EVERY_S = 0.25
_BEAT_EVERY_S = 5.0
# An owner that has not been heard of for so long is gone: six beats, by our own clock, whatever moments are stored.
_SILENT_AFTER_S = 30.0
# How often a run of another process is looked up in the database.
_LOOK_EVERY_S = 1.0
_CLOSE_WAIT_S = 2.0
_CLAIMS = 3
_IDLE_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """What a run does.

    ``steps`` yields them as they happen; ``judge`` turns them and the total time (ms) into the verdict; ``conclude``
    is told both at the end, writes what belongs to it (the activity log) in the transaction that stores them, and
    returns what only this cell knows.
    """

    steps: Callable[[], Iterator[Step]]
    judge: Callable[[Sequence[Step], int], Verdict]
    conclude: Callable[[Sequence[Step], Verdict, Session], dict[str, Any] | None] = lambda _steps, _verdict, _session: (
        None
    )


class RunSection:
    """Starts, follows and remembers runs. ``monotonic`` is a clock for what has to pass, in seconds."""

    def __init__(self, context: Context, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._store = ProbeRunStore(context.database)
        self._owner = new_owner()
        self._monotonic = monotonic
        self._starting = threading.RLock()
        self._changed = threading.Condition()
        self._live: dict[tuple[int, str], Run] = {}
        self._threads: set[threading.Thread] = set()
        # Ended, but the database did not take the end: it is kept here, and offered again.
        self._unstored: dict[int, tuple[Run, Job]] = {}
        # Runs of other processes: how often they had been heard of, and since when that has not changed.
        self._heard: dict[int, tuple[int, float]] = {}
        self._closed = threading.Event()
        self._beating: threading.Thread | None = None
        self.close_orphans()

    def start(self, actor: Actor, cell: Cell, fingerprint: str, job: Job) -> Run:
        """Start ``job`` in a worker thread, or join the run of this user and cell that is under way anywhere."""
        self._context.require_present(actor)
        key = (actor.user_id, cell.value)
        with self._starting:
            with self._changed:
                running = self._live.get(key)
            if running is None:
                running, claimed = self._claim(actor, cell, fingerprint)
                if not claimed:
                    return running
                self._begin(key, running, job)
        self._keep_beating()
        return running

    def find_last(self, actor: Actor, cell: Cell) -> Run | None:
        """Return the run under way, else the last stored one, else ``None``."""
        stored = self._context.recall(
            actor, ("run", cell.value), lambda session, who: self._store.find_last(who.user_id, cell.value, session)
        )
        with self._changed:
            live = self._live.get((actor.user_id, cell.value))
        if live is not None:
            return live
        return self._settled(actor, stored) if stored is not None else None

    def list_last(self, actor: Actor, cell: Cell, limit: int) -> Sequence[Run]:
        """Return the newest stored runs, newest first; one under way is among them, with the steps that are stored."""
        return self._context.recall(
            actor,
            ("runs", cell.value, limit),
            lambda session, who: self._store.list_last(who.user_id, cell.value, limit, session),
        )

    def follow(
        self,
        actor: Actor,
        *runs: Run,
        timeout: float = 60.0,
        gather: float = 0.0,
        idle: Callable[[], object] = lambda: None,
    ) -> Iterator[Run]:
        """Yield each of ``runs`` whenever it has changed, its finished state last; ends when all have ended.

        News is held back for ``gather`` seconds, or until a run ends, so that a fast one arrives in one piece. Also
        ends after ``timeout`` seconds, with whatever has been seen by then. While nothing is new, ``idle`` is called
        five times a second; what it raises ends the following, not the runs.
        """
        deadline = time.monotonic() + timeout
        seen = {run.id: -1 for run in runs}
        waiting = {run.id: run for run in runs}
        looks: dict[int, float] = {}
        while waiting and time.monotonic() < deadline:
            here = [run for run in waiting.values() if run.id not in looks]
            with self._changed:
                is_new = self._changed.wait_for(
                    lambda here=here: any(self._is_news(actor, run, seen) for run in here),
                    timeout=max(0.0, min(_IDLE_EVERY_S, deadline - time.monotonic())),
                )
                if is_new and gather:
                    self._changed.wait_for(
                        lambda here=here: any(self._find_live(actor, run) is None for run in here), timeout=gather
                    )
            news = [now for run in waiting.values() if (now := self._news(actor, run, seen, looks)) is not None]
            if not news:
                idle()
            for now in news:
                seen[now.id] = len(now.steps)
                if not now.is_running:
                    del waiting[now.id]
                yield now

    def is_working(self) -> bool:
        """Return whether a run of this process is under way."""
        with self._changed:
            return bool(self._live)

    def close_orphans(self) -> None:
        """Close every run whose process is gone for sure; the others are watched until they end or fall silent."""
        try:
            for run in self._store.list_unfinished(besides=self._owner):
                if self._is_gone(run):
                    self._interrupt(run)
        except StorageError:
            # The pages say it; a run that cannot be closed is shown as interrupted all the same.
            _log.warning("the runs of ended processes could not be closed")
        self._keep_beating()

    def beat(self) -> None:
        """Tell that the own runs go on, store what could not be stored, and close what nobody drives any more."""
        if self._live or self._unstored:
            self._store.beat(self._owner)
        self._store_left()
        if self._heard or not self._context.database.is_sqlite:
            self._watch()

    def close(self) -> None:
        """Give the workers a moment to store what they have, and close as interrupted what has not ended by then."""
        self._closed.set()
        deadline = time.monotonic() + _CLOSE_WAIT_S
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            left = list(self._live.values())
        for run in left:
            try:
                self._store.interrupt(self._cut(run, INTERRUPTED), heard=True)
            except StorageError:
                _log.warning("the end of a run of cell %s could not be stored", run.cell)

    # ---- Whose runs they are

    def _claim(self, actor: Actor, cell: Cell, fingerprint: str) -> tuple[Run, bool]:
        """Return the new run of this cell and True, or the one of somebody else that goes on and False."""
        for _ in range(_CLAIMS):
            self._store_left()
            now = self._context.clock()
            run = self._store.create(actor.user_id, cell.value, fingerprint, now, self._owner)
            if run is not None:
                return run, True
            other = self._store.find_last(actor.user_id, cell.value)
            if other is not None and (other := self._settled(actor, other)).is_running:
                return other, False
        raise StorageBusy("the run before has no end yet")

    def _settled(self, actor: Actor, stored: Run) -> Run:
        """Return a stored run as it stands: one without an end may go on here, elsewhere, or nowhere any more."""
        if not stored.is_running:
            return stored
        if stored.owner == self._owner:
            return self._own(actor, stored)
        if self._is_gone(stored):
            return self._interrupt(stored)
        self._keep_beating()
        return stored

    def _own(self, actor: Actor, stored: Run) -> Run:
        with self._starting, self._changed:
            live = self._find_live(actor, stored)
            unstored = self._unstored.get(stored.id)
        if live is not None or unstored is not None:
            return live or (unstored[0] if unstored else stored)
        # It ended between the two looks; else its end was lost.
        again = self._store.get(actor.user_id, stored.id)
        return self._interrupt(again, heard=True) if again.is_running else again

    def _is_gone(self, run: Run) -> bool:
        """Return whether the owner has ended for sure, or has been silent for too long as we have seen it."""
        if has_ended(run.owner, here=self._context.database.is_sqlite):
            return True
        now = self._monotonic()
        with self._changed:
            beats, since = self._heard.get(run.id, (-1, now))
            if beats != run.beats:
                self._heard[run.id] = run.beats, now
                return False
        return now - since >= _SILENT_AFTER_S

    def _watch(self) -> None:
        others = self._store.list_unfinished(besides=self._owner)
        for run in others:
            if self._is_gone(run):
                self._interrupt(run)
        with self._changed:
            for run_id in set(self._heard) - {run.id for run in others}:
                del self._heard[run_id]

    def _interrupt(self, run: Run, *, heard: bool = False) -> Run:
        ended = self._cut(run, INTERRUPTED)
        try:
            stored = self._store.interrupt(ended, heard=heard)
        except StorageError:
            # A full disk, say: it is over whether or not that can be stored.
            return ended
        with self._changed:
            self._heard.pop(run.id, None)
        return ended if stored else self._reread(run)

    def _reread(self, run: Run) -> Run:
        found = [now for now in self._store.list_unfinished(besides=self._owner) if now.id == run.id]
        return found[0] if found else self._cut(run, INTERRUPTED)

    def _cut(self, run: Run, key: str) -> Run:
        stage = str(run.steps[-1].stage) if run.steps else ""
        return replace(run, verdict=Verdict(key, stage, run.duration_ms), finished=self._context.clock())

    # ---- The heart beat

    def _keep_beating(self) -> None:
        if self._closed.is_set() or not self._has_to_beat():
            return
        with self._changed:
            if self._beating is None:
                self._beating = threading.Thread(target=self._beat_regularly, name="runs-beat", daemon=True)
                self._beating.start()

    def _has_to_beat(self) -> bool:
        return bool(self._live or self._unstored or self._heard or not self._context.database.is_sqlite)

    def _beat_regularly(self) -> None:
        while not self._closed.wait(_BEAT_EVERY_S):
            try:
                self.beat()
            except StorageError as failure:
                # It is away for a while; the next beat comes.
                _log.warning("a beat of the runs was not stored (%s)", failure.code)
            except Exception:
                # Whatever it is, the next beat comes: without it others would take our runs for dead.
                _log.warning("a beat of the runs failed", exc_info=True)
            with self._changed:
                if not self._has_to_beat():
                    self._beating = None
                    return

    # ---- News

    def _find_live(self, actor: Actor, run: Run) -> Run | None:
        live = self._live.get((actor.user_id, run.cell))
        return live if live is not None and live.id == run.id else None

    def _is_news(self, actor: Actor, run: Run, seen: Mapping[int, int]) -> bool:
        live = self._find_live(actor, run)
        return live is None or len(live.steps) > seen[run.id]

    def _news(self, actor: Actor, run: Run, seen: Mapping[int, int], looks: dict[int, float]) -> Run | None:
        """Return ``run`` as it stands where it has changed; one of another process is looked up now and then."""
        with self._changed:
            now = self._find_live(actor, run)
        if now is None:
            if looks.get(run.id, 0.0) > time.monotonic():
                return None
            now = self._settled(actor, self._store.get(actor.user_id, run.id))
            if now.is_running:
                looks[run.id] = time.monotonic() + _LOOK_EVERY_S
        return None if now.is_running and len(now.steps) <= seen[run.id] else now

    # ---- The worker

    def _begin(self, key: tuple[int, str], run: Run, job: Job) -> None:
        # A daemon: a process that is told to stop does not wait for a silent server.
        thread = threading.Thread(
            target=self._drive, args=(key, run, job, current_language()), name=f"run-{run.cell}", daemon=True
        )
        with self._changed:
            self._live[key] = run
            self._threads.add(thread)
        thread.start()

    def _drive(self, key: tuple[int, str], run: Run, job: Job, language: str) -> None:
        # What a run writes, like a mail of ours, is in the language of whoever started it.
        speak(language)
        try:
            self._store_end(self._advance(key, run, job), job)
        except Exception:
            # Ours, not the server's: the page says so.
            _log.exception("a run of cell %s broke", run.cell)
            self._store_end(self._cut(self._live[key], BROKEN), Job(job.steps, job.judge))
        finally:
            with self._changed:
                self._live.pop(key, None)
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _advance(self, key: tuple[int, str], run: Run, job: Job) -> Run:
        began = stored_at = time.monotonic()
        for step in job.steps():
            run = replace(run, steps=(*run.steps, step))
            with self._changed:
                self._live[key] = run
                self._changed.notify_all()
            if time.monotonic() - stored_at > _STORE_EVERY_S:
                self._keep_steps(run)
                stored_at = time.monotonic()
        total_ms = round((time.monotonic() - began) * 1000)
        verdict = job.judge(run.steps, total_ms)
        return replace(run, verdict=verdict, duration_ms=total_ms, finished=self._context.clock())

    def _keep_steps(self, run: Run) -> None:
        try:
            self._store.keep_steps(run)
        except StorageError:
            # They are shown from here; the end stores them all.
            _log.warning("the steps of a run of cell %s could not be stored", run.cell)

    def _store_left(self) -> None:
        for run, job in list(self._unstored.values()):
            self._store_end(run, job)

    def _store_end(self, run: Run, job: Job) -> None:
        verdict = run.verdict or Verdict(BROKEN)
        try:
            # One transaction: a person waits for its end, and each has to reach the disk.
            with self._context.database.session() as session:
                run = replace(run, result=job.conclude(run.steps, verdict, session))
                self._store.finish(run, session)
        except StorageError:
            _log.warning("the end of a run of cell %s could not be stored", run.cell)
            with self._changed:
                self._unstored[run.id] = run, job
            return
        self._context.metrics.count("cg_runs_total", cell=run.cell, verdict=verdict.key)
        with self._changed:
            self._unstored.pop(run.id, None)
