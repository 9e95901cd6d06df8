"""What time it is; whoever needs the hour takes a clock as a parameter, and this one where none is given.

The hour may be set back or forth at any moment: what has passed is measured with a monotonic clock, and a stored moment
that lies ahead counts as never.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["CLOCK_SKEW", "has_happened", "utc_now"]

CLOCK_SKEW = timedelta(minutes=1)
"""How far the clocks of two processes may differ. What lies further ahead was written before the clock was set back."""


def utc_now() -> datetime:
    """Return the present moment, with its zone."""
    return datetime.now(UTC)


def has_happened(moment: datetime, now: datetime) -> bool:
    """Return whether a noted moment is past. One that lies ahead says nothing: it counts as never."""
    return moment <= now + CLOCK_SKEW
