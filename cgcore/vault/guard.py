"""Calls that may never return: a deadline round each, and a breaker after several that missed it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TypeVar

from cgcore.errors import VaultError

__all__ = ["Guard", "GuardLimits", "VaultLimits"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Seconds a call may take, misses in a row that open the breaker, seconds it stays open, threads that may hang."""

    call_s: float = 5.0
    misses: int = 2
    open_s: float = 60.0
    stuck: int = 4


@dataclass(frozen=True, slots=True)
class VaultLimits:
    """Seconds for the self-test of a keyring, seconds before a failed opening is tried again, limits of every call."""

    self_test_s: float = 3.0
    retry_s: float = 60.0
    calls: GuardLimits = field(default_factory=GuardLimits)


class Guard:
    """Runs calls in worker threads and stops waiting for them in time.

    A thread that hangs cannot be ended, so the breaker keeps later calls from hanging too: after ``misses`` in a row
    every call is refused at once for ``open_s`` seconds; then a single one is let through, and closes or reopens it.
    """

    def __init__(self, limits: GuardLimits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or GuardLimits()
        self._clock = clock
        self._lock = threading.Lock()
        self._misses = 0
        self._opened_at: float | None = None
        self._trying = False
        self._stuck = 0

    @property
    def is_open(self) -> bool:
        """Whether the next call would be refused."""
        with self._lock:
            return self._refuses()

    def call(self, function: Callable[[], _Result], *, timeout: float | None = None) -> _Result:
        """Return what ``function`` returns, or raise what it raises.

        Raises :class:`VaultError` ``keyring_timeout`` when it takes longer than ``timeout`` seconds (default: the
        limit), and ``keyring_suspended`` when the breaker is open.
        """
        self._enter()
        answer: Future[_Result] = Future()
        threading.Thread(target=_run, args=(answer, function), name="keyring-call", daemon=True).start()
        in_time = bool(wait([answer], self._limits.call_s if timeout is None else timeout).done)
        self._leave(in_time=in_time)
        if not in_time:
            answer.add_done_callback(self._unstick)
            raise VaultError("the keyring did not answer in time", code="keyring_timeout")
        return answer.result()

    def _enter(self) -> None:
        with self._lock:
            if self._refuses():
                raise VaultError("the keyring has not answered lately", code="keyring_suspended")
            self._trying = self._opened_at is not None

    def _refuses(self) -> bool:
        if self._stuck >= self._limits.stuck:
            return True
        if self._opened_at is None:
            return False
        return self._trying or self._clock() - self._opened_at < self._limits.open_s

    def _leave(self, *, in_time: bool) -> None:
        with self._lock:
            self._trying = False
            if in_time:
                self._misses, self._opened_at = 0, None
                return
            self._stuck += 1
            self._misses += 1
            # Not counted anew while open: a trial that misses opens it again at once.
            if self._misses >= self._limits.misses:
                self._opened_at = self._clock()

    def _unstick(self, _answer: object) -> None:
        with self._lock:
            self._stuck -= 1


def _run(answer: Future[_Result], function: Callable[[], _Result]) -> None:
    try:
        answer.set_result(function())
    except BaseException as error:
        answer.set_exception(error)
