"""A figure of a benchmark, and fair ways to take one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Figure", "as_figure", "median_ratio", "timed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: a value, the limit it must keep, and whether it must stay below or above it."""

    name: str
    value: float
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the limit is kept; without one always."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def as_figure(row: Figure | tuple[str, float, float]) -> Figure:
    """Return a row of a benchmark module as a figure."""
    return row if isinstance(row, Figure) else Figure(*row)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that ``action`` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median_ratio(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> tuple[float, str]:
    """Run both in turn ``rounds`` times after one warm-up; return the ratio of the medians, and both medians in ms.

    In turn, so that a machine that slows down slows both.
    """
    ours()
    theirs()
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds):
        mine.append(timed(ours))
        other.append(timed(theirs))
    a, b = statistics.median(mine), statistics.median(other)
    return a / b, f"{a * 1000:.1f} ms / {b * 1000:.1f} ms"
