"""How much one caller may ask for: a bucket that refills, one for each key."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cgcore.identity.actor import Scope

__all__ = ["COSTS", "PAIRING_COST", "Allowance"]

# A read is one; a probe opens connections to other servers, and must not become a port scanner.
COSTS = {Scope.READ: 1, Scope.WRITE: 5, Scope.SEND: 50}

# Counted by source address, for there is no key yet.
PAIRING_COST = 50

_MOST_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    filled: float


class Allowance:
    """Token buckets: ``capacity`` at once, ``per_second`` afterwards. Used by the event loop only."""

    def __init__(
        self, *, capacity: int = 1000, per_second: float = 100.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity, self._per_second, self._now = capacity, per_second, now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, cost: int) -> float:
        """Take ``cost`` from the caller's bucket; return 0, or the seconds to wait when it does not hold that much."""
        now = self._now()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self._capacity, now)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        bucket.level = min(self._capacity, bucket.level + (now - bucket.filled) * self._per_second)
        bucket.filled = now
        if bucket.level < cost:
            return (cost - bucket.level) / self._per_second
        bucket.level -= cost
        return 0.0
