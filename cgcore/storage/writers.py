"""One writer after the other, in the order in which they came, each with a time limit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from cgcore.errors import StorageBusy

__all__ = ["WriterQueue"]


class WriterQueue:
    """A fair lock: SQLite takes one writer at a time, and lets whoever asks at the right moment in, for ever.

    A thread that writes already and asks again would wait for itself; it is told so at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._owner: int | None = None

    @contextmanager
    def turn(self, patience_s: float) -> Generator[float]:
        """Hold the lock, and yield the seconds that are left; :class:`StorageBusy` when the turn does not come."""
        began = time.monotonic()
        self._enter(patience_s)
        try:
            yield max(0.0, patience_s - (time.monotonic() - began))
        finally:
            self._leave()

    def _enter(self, patience_s: float) -> None:
        mine = threading.Event()
        with self._lock:
            if self._owner == threading.get_ident():
                raise RuntimeError("a transaction that writes is open in this thread")
            if self._owner is None and not self._waiting:
                self._owner = threading.get_ident()
                return
            self._waiting.append(mine)
        if not mine.wait(patience_s):
            with self._lock:
                if not mine.is_set():
                    self._waiting.remove(mine)
                    raise StorageBusy("other changes are being stored")
        with self._lock:
            self._owner = threading.get_ident()

    def _leave(self) -> None:
        with self._lock:
            # A thread that is waited for is named by its event; it writes its own name once it wakes.
            self._owner = -1 if self._waiting else None
            if self._waiting:
                self._waiting.popleft().set()
