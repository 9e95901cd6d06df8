"""How much memory the process spends at once on what people send in; whoever comes later waits for their turn.

Stands alone since decoding of images and compiling of texts both keep to it, whichever thread they run in.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["COMPILING", "DECODING", "MemoryBudget"]


class MemoryBudget:
    """``total`` bytes for all threads together, given out in the order in which they were asked for."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def hold(self, size: int) -> Generator[None]:
        """Have ``size`` bytes inside the ``with``; more than the total counts as all of it, and runs alone."""
        size = min(max(size, 0), self.total)
        turn = object()
        with self._changed:
            self._queue.append(turn)
            self._changed.wait_for(lambda: self._queue[0] is turn and self._free >= size)
            self._queue.popleft()
            self._free -= size
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()

    @property
    def free(self) -> int:
        """Bytes that nobody holds."""
        with self._changed:
            return self._free


DECODING = MemoryBudget(96 * 2**20)  # pixels of images
COMPILING = MemoryBudget(256 * 2**20)  # trees and blocks of texts
