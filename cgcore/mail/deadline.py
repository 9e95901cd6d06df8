"""One monotonic deadline over everything that a probe does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Deadline"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock. Socket timeouts are per operation: ask :meth:`timeout` before each one."""

    ends: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline ``seconds`` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.ends - self.clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def timeout(self, cap: float | None = None) -> float:
        """Return the seconds that the next operation may take, at most ``cap``; raise ``TimeoutError`` when none are.

        Never zero, which would make a socket non-blocking.
        """
        left = self.remaining
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left if cap is None else min(left, cap)

    def shorter(self, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now, or this one if it is sooner."""
        return Deadline(min(self.ends, self.clock() + seconds), self.clock)
