"""Runs of cells: each probe or sending is driven by a worker thread that stores what it yields.

What is handed out only reads. A reload, an edit or a closed tab neither stops a run nor loses its result, and a
second start for the same user and cell joins the run that is under way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Run, Step, Verdict
from cgcore.storage.runs import ProbeRunStore

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.core import Workbench

__all__ = ["Cell", "Job", "Run", "RunSection"]

_log = logging.getLogger(__name__)

_STORE_EVERY_S = 0.25
# A row without an end that is older than this belongs to a process that died.
_ABANDONED_AFTER = timedelta(minutes=3)
_CLOSE_WAIT_S = 2.0
_IDLE_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """What a run does.

    ``steps`` yields them as they happen; ``judge`` turns them and the total time (ms) into the verdict; ``conclude``
    is told both at the end, writes what belongs to it (the trail) in the transaction that stores them, and returns
    what only this cell knows.
    """

    steps: Callable[[], Iterator[Step]]
    judge: Callable[[Sequence[Step], int], Verdict]
    conclude: Callable[[Sequence[Step], Verdict, Session], dict[str, Any] | None] = lambda _steps, _verdict, _session: (
        None
    )


class RunSection:
    """Starts, follows and remembers runs."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._store = ProbeRunStore(workbench.database)
        self._changed = threading.Condition()
        self._live: dict[tuple[int, str], Run] = {}
        self._threads: set[threading.Thread] = set()

    def start(self, actor: Actor, cell: Cell, fingerprint: str, job: Job) -> Run:
        """Start ``job`` in a worker thread, or join the run of this user and cell that is under way."""
        key = (actor.user_id, cell.value)
        with self._changed:
            running = self._live.get(key)
            if running is not None:
                return running
            run = self._store.create(actor.user_id, cell.value, fingerprint, self._workbench.clock())
            self._live[key] = run
            # A daemon: a process that is told to stop does not wait for a silent server.
            thread = threading.Thread(target=self._drive, args=(key, run, job), name=f"run-{cell.value}", daemon=True)
            self._threads.add(thread)
        thread.start()
        return run

    def find_last(self, actor: Actor, cell: Cell) -> Run | None:
        """Return the run under way, else the last stored one, else ``None``."""
        with self._changed:
            live = self._live.get((actor.user_id, cell.value))
        if live is not None:
            return live
        stored = self._store.find_last(actor.user_id, cell.value)
        if stored is not None and stored.is_running and self._workbench.clock() - stored.started > _ABANDONED_AFTER:
            return replace(stored, finished=stored.started)
        return stored

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
        while waiting and time.monotonic() < deadline:
            with self._changed:
                is_new = self._changed.wait_for(
                    lambda: any(self._is_news(actor, run, seen) for run in waiting.values()),
                    timeout=max(0.0, min(_IDLE_EVERY_S, deadline - time.monotonic())),
                )
                if is_new and gather:
                    self._changed.wait_for(
                        lambda: any(self._find_live(actor, run) is None for run in waiting.values()), timeout=gather
                    )
                news = [run for run in waiting.values() if self._is_news(actor, run, seen)]
                live = {run.id: self._find_live(actor, run) for run in news}
            if not news:
                idle()
            for run in news:
                now = live[run.id]
                if now is None:
                    del waiting[run.id]
                    yield self._store.get(actor.user_id, run.id)
                else:
                    seen[run.id] = len(now.steps)
                    yield now

    def close(self) -> None:
        """Give the workers a moment to store what they have."""
        deadline = time.monotonic() + _CLOSE_WAIT_S
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _find_live(self, actor: Actor, run: Run) -> Run | None:
        live = self._live.get((actor.user_id, run.cell))
        return live if live is not None and live.id == run.id else None

    def _is_news(self, actor: Actor, run: Run, seen: Mapping[int, int]) -> bool:
        live = self._find_live(actor, run)
        return live is None or len(live.steps) > seen[run.id]

    def _drive(self, key: tuple[int, str], run: Run, job: Job) -> None:
        try:
            self._advance(key, run, job)
        except Exception:
            # Ours, not the server's: the run ends without a verdict, and the page says so.
            _log.exception("a run of cell %s broke", run.cell)
            self._store.finish(replace(self._live[key], finished=self._workbench.clock()))
        finally:
            with self._changed:
                self._live.pop(key, None)
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()

    def _advance(self, key: tuple[int, str], run: Run, job: Job) -> None:
        began = stored_at = time.monotonic()
        for step in job.steps():
            run = replace(run, steps=(*run.steps, step))
            with self._changed:
                self._live[key] = run
                self._changed.notify_all()
            if time.monotonic() - stored_at > _STORE_EVERY_S:
                self._store.keep_steps(run)
                stored_at = time.monotonic()
        total_ms = round((time.monotonic() - began) * 1000)
        verdict = job.judge(run.steps, total_ms)
        run = replace(run, verdict=verdict, duration_ms=total_ms, finished=self._workbench.clock())
        # One transaction: a person waits for its end, and each has to reach the disk.
        with self._workbench.database.session() as session:
            self._store.finish(replace(run, result=job.conclude(run.steps, verdict, session)), session)
