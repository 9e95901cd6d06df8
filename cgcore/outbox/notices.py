"""What came back for a message that was sent, as it is kept; and when the inbox is looked into for it.

It stands alone because storage, facade, API and pages hand it on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["FORGETS", "BounceSearch", "Notice", "NoticeKind", "plan_look"]

FORGETS = timedelta(days=30)
"""For how long after a sending a report on it is believed."""
_POINTS = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=60))
_HOURLY = timedelta(hours=1)
_ENDS = timedelta(days=5)  # servers give up after four or five (RFC 5321 §4.5.4.1)
_APART = timedelta(minutes=1)


class NoticeKind(StrEnum):
    """What a report says: it came back, a server still tries, it was shown to the recipient."""

    FAILED = "failed"
    DELAYED = "delayed"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a report says of one recipient of a message; ``message`` is empty where it names none that is known.

    ``key`` is a diagnosis or a reason of the outbox, ``reply`` the words of the server that gave up.
    """

    kind: NoticeKind
    address: str
    at: datetime
    message: str = ""
    status: str = ""
    key: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True)
class BounceSearch:
    """Whether a user's inbox is searched, when that was last done well, and why it was not since (``key``)."""

    active: bool = False
    looked: datetime | None = None
    key: str = ""


def plan_look(last: datetime, first_behind: Callable[[datetime], datetime | None]) -> datetime | None:
    """Return when to look next, after a look at ``last``; ``None``: nothing that was sent can still come back.

    ``first_behind`` returns when the first message behind a moment was accepted. Each is looked for after 2, 10 and 60
    minutes, then hourly for five days, many of them together: never more often than once a minute.
    """
    points = [first + after for after in _POINTS if (first := first_behind(last - after)) is not None]
    if first_behind(last - _ENDS) is not None:
        points.append(last + _HOURLY)
    return max(min(points), last + _APART) if points else None
