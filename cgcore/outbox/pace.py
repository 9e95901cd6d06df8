"""How fast an account may send: windows that move along, what has left within them, and when there is room again.

Data and arithmetic only; what has left is counted by the storage, what a provider allows stands in a table of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["DAY", "HOUR", "MINUTE", "Forecast", "Limit", "Pace", "Room", "build_pace", "find_room", "forecast"]

MINUTE, HOUR, DAY = 60, 3600, 86_400
_LEAST = 10  # however often a provider has said «too much»: a pace of nothing would never find out that it has ended


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` within any ``seconds``; ``own``: the house has set it, not the provider.

    ``by_recipient``: each recipient of a message counts, not the message.
    """

    seconds: int
    count: int
    own: bool = False
    by_recipient: bool = False

    def weigh(self, recipients: int) -> int:
        """Return what a message counts here."""
        return max(1, recipients) if self.by_recipient else 1


@dataclass(frozen=True, slots=True)
class Pace:
    """All limits of an account; none at all: nobody waits. ``connections`` is how many it may have at once,
    ``recipients`` to how many one message may go (0: nobody knows)."""

    limits: Sequence[Limit] = ()
    connections: int = 1
    recipients: int = 0

    def lowered(self, halvings: int, ceiling: int) -> Pace:
        """Return the pace after so many replies that said «too much»: halved by each, never above what it was.

        Where no limit is known ``ceiling``, what had left within the hour before the first such reply, is taken.
        """
        if not halvings:
            return self
        given = [limit for limit in self.limits if not limit.own] or [Limit(HOUR, max(_LEAST, ceiling))]
        own = [limit for limit in self.limits if limit.own]
        halved = [
            replace(limit, count=max(min(_LEAST, limit.count), limit.count >> min(halvings, 20))) for limit in given
        ]
        return replace(self, limits=(*halved, *own))


def build_pace(
    per_minute: int = 0,
    per_hour: int = 0,
    per_day: int = 0,
    *,
    by_recipient: bool = False,
    own_per_hour: int = 0,
    connections: int = 1,
    recipients: int = 0,
) -> Pace:
    """Return the pace of a provider's limits and the house's own; 0 is none."""
    given = (
        Limit(MINUTE, per_minute),  # of providers that tell one, it is of messages
        Limit(HOUR, per_hour, by_recipient=by_recipient),
        Limit(DAY, per_day, by_recipient=by_recipient),
        Limit(HOUR, own_per_hour, own=True),
    )
    return Pace(tuple(limit for limit in given if limit.count), connections, recipients)


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages may leave now; where not all, ``limit`` is why, and for the next one ``wait_s`` seconds."""

    count: int
    limit: Limit | None = None
    wait_s: float = 0.0


def find_room(limits: Iterable[Limit], sent: Sequence[tuple[float, int]], messages: Sequence[int]) -> Room:
    """Return how many of ``messages``, each told by its number of recipients, may leave now, in their order.

    ``sent`` are the age in seconds and the recipients of what has left.
    """
    windows = [_Window(limit, sent) for limit in limits]
    for count, recipients in enumerate(messages):
        waits = [(window.free(0.0, recipients), window.limit) for window in windows]
        wait, limit = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        if wait > 0:
            return Room(count, limit, wait)
        for window in windows:
            window.add(0.0, recipients)
    return Room(len(messages))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What becomes of a number of messages: how many leave at once or within the hour, how many on another day, and
    in how many seconds the last one does. ``limit`` is the narrowest, ``used`` what has left within it."""

    today: int
    later: int
    ends_s: float
    limit: Limit | None = None
    used: int = 0


def forecast(limits: Sequence[Limit], sent: Sequence[tuple[float, int]], messages: Sequence[int]) -> Forecast:
    """Return when messages of so many recipients leave, one after the other, beside what has left already.

    ``later`` are those that only the end of a window of 24 hours lets go.
    """
    windows = [_Window(limit, sent) for limit in limits]
    moment, later = 0.0, 0
    for recipients in messages:
        by_day = later > 0
        for window in windows:
            freed = window.free(moment, recipients)
            by_day = by_day or (window.limit.seconds == DAY and freed > moment)
            moment = freed
        for window in windows:
            window.add(moment, recipients)
        later += by_day
    day = next((limit for limit in limits if limit.seconds == DAY and not limit.own), None)
    narrow = day or min(limits, key=lambda limit: limit.count / limit.seconds, default=None)
    used = sum(narrow.weigh(count) for age, count in sent if age < narrow.seconds) if narrow is not None else 0
    return Forecast(len(messages) - later, later, math.ceil(moment), narrow, used)


class _Window:
    """What has left within one limit, looked at from moments that only go forward."""

    def __init__(self, limit: Limit, sent: Sequence[tuple[float, int]]) -> None:
        self.limit = limit
        self._inside = deque(sorted((-age, limit.weigh(count)) for age, count in sent if age < limit.seconds))
        self._total = sum(weight for _, weight in self._inside)

    def free(self, moment: float, recipients: int) -> float:
        """Return when a message fits in, at ``moment`` or later; one that is more than the limit goes alone."""
        weight = self.limit.weigh(recipients)
        while self._inside and (
            self._inside[0][0] <= moment - self.limit.seconds or self._total + weight > self.limit.count
        ):
            at, gone = self._inside.popleft()
            self._total -= gone
            moment = max(moment, at + self.limit.seconds)
        return moment

    def add(self, moment: float, recipients: int) -> None:
        """Note what leaves."""
        weight = self.limit.weigh(recipients)
        self._inside.append((moment, weight))
        self._total += weight
