"""Calls made with a key: the last ones one by one, the others counted by day."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from cgcore.api_keys.record import KEPT_CALLS

__all__ = ["CallBuffer", "CallRecord", "DayCount", "KeyCalls", "PendingCalls", "fill_days"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One answered call; ``path`` is without its query, ``ms`` the time to answer in milliseconds."""

    at: datetime
    method: str
    path: str
    status: int
    ms: int
    ip: str = ""


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many calls one (UTC) day saw."""

    day: date
    calls: int


def _last_calls() -> deque[CallRecord]:
    return deque(maxlen=KEPT_CALLS)


def _no_days() -> Counter[date]:
    return Counter()


@dataclass(slots=True)
class PendingCalls:
    """The calls of one key that are not stored yet."""

    last: deque[CallRecord] = field(default_factory=_last_calls)
    days: Counter[date] = field(default_factory=_no_days)


class CallBuffer:
    """Collects calls from any thread until somebody stores them; holds at most the kept ones of each key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: defaultdict[str, PendingCalls] = defaultdict(PendingCalls)

    def add(self, key_id: str, call: CallRecord) -> None:
        """Keep ``call`` of the key ``key_id``."""
        with self._lock:
            pending = self._pending[key_id]
            pending.last.append(call)
            pending.days[call.at.date()] += 1

    def take(self) -> dict[str, PendingCalls]:
        """Return what was collected, and forget it."""
        with self._lock:
            taken, self._pending = self._pending, defaultdict(PendingCalls)
        return dict(taken)


@dataclass(frozen=True, slots=True)
class KeyCalls:
    """The last calls of a key, the latest first, and the number of calls a day, the oldest first."""

    last: tuple[CallRecord, ...]
    days: tuple[DayCount, ...]


def fill_days(counts: dict[date, int], *, today: date, days: int) -> tuple[DayCount, ...]:
    """Return one count for each of the last ``days`` days up to ``today``, days without calls as zero."""
    first = today - timedelta(days=days - 1)
    return tuple(
        DayCount(day, counts.get(day, 0)) for day in (first + timedelta(days=offset) for offset in range(days))
    )
