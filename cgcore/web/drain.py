"""A process that is told to stop drains first: nobody new comes in, and what is under way gets time to end.

Apart from :mod:`cgcore.web.assembly`: gate and health ask it too.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["REPLICA_DRAIN_S", "Drain"]

REPLICA_DRAIN_S = 5.0
"""How long one process of several drains at least: a proxy that asks for its health every few seconds has to see it."""

# With what the server and the workbench take to close, a process that is told to stop has ended within 20 seconds.
_MOST_S = 13.0
_LOOK_EVERY_S = 0.2


class Drain:
    """Whether this process is about to stop. SIGTERM begins it; a second one, or SIGINT, ends the process at once."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most_s: float = _MOST_S) -> None:
        self._clock, self._most_s = clock, most_s
        self._began: float | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether nobody new may come in."""
        return self._began is not None

    def begin(self) -> None:
        """From now on nobody new may come in."""
        self._began = self._clock() if self._began is None else self._began

    @contextmanager
    def on_sigterm(
        self, is_working: Callable[[], bool], *, retire: Callable[[], object], least_s: float = 0.0
    ) -> Generator[None]:
        """For the block: SIGTERM calls ``retire``, and reaches the server once ``is_working`` says no, or time is up.

        It lasts ``least_s`` at least. Needs a running event loop; outside the main thread nothing is changed.
        """
        before = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return
        loop = asyncio.get_running_loop()

        async def wait() -> None:
            await asyncio.to_thread(retire)
            while not self._is_over(least_s, is_working):
                await asyncio.sleep(_LOOK_EVERY_S)
            before(signal.SIGTERM, None)

        def start() -> None:
            self._waiting = asyncio.ensure_future(wait())

        def told(number: int, frame: Any) -> None:
            if self.is_under_way:
                before(number, frame)
                return
            self.begin()
            loop.call_soon_threadsafe(start)

        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            if self._waiting is not None:
                self._waiting.cancel()

    def _is_over(self, least_s: float, is_working: Callable[[], bool]) -> bool:
        passed = self._clock() - (self._began or 0.0)
        return passed >= self._most_s or (passed >= least_s and not is_working())
