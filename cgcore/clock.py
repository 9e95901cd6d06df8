"""What time it is; whoever needs the hour takes a clock as a parameter, and this one where none is given."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["utc_now"]


def utc_now() -> datetime:
    """Return the present moment, with its zone."""
    return datetime.now(UTC)
