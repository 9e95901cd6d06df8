"""A demonstration starts anew each night, and when it is told to (SIGHUP).

Apart from :mod:`cgcore.web.assembly`: only a demonstration loads it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from cgcore.workbench.demo_host import find_next_reset

__all__ = ["Nightly"]

_LOOK_EVERY_S = 60.0


class Nightly:
    """Tells this process to stop when the night has come; ``is_over`` then says that it is to start anew."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.is_over = False

    @asynccontextmanager
    async def followed(self) -> AsyncGenerator[None, None]:
        """For the block: follow the hour, and SIGHUP where there is such a signal."""
        hup = getattr(signal, "SIGHUP", None)
        can_be_told = hup is not None and threading.current_thread() is threading.main_thread()
        before = signal.signal(hup, self._told) if can_be_told and hup is not None else None
        task = asyncio.create_task(self._wait(), name="nightly")
        try:
            yield
        finally:
            task.cancel()
            if can_be_told and hup is not None:
                signal.signal(hup, before)

    def _told(self, _number: int, _frame: object) -> None:
        self.end()

    def end(self) -> None:
        """Begin to stop, as whoever stops it would."""
        self.is_over = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def _wait(self) -> None:
        night = find_next_reset(self._clock())
        while self._clock() < night:
            await asyncio.sleep(_LOOK_EVERY_S)
        self.end()
