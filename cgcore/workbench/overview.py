"""Resumen: one line per section, made of what each section says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cgcore.identity.actor import Actor
from cgcore.mail.watch import Trouble
from cgcore.runs import Run
from cgcore.series.series import Finding

__all__ = ["OverviewLine", "OverviewSection", "SectionName", "SectionState"]


class SectionName(StrEnum):
    """The sections of Resumen, in its order; that of the outbox is there while something in it has not ended."""

    MAIL_ACCOUNT = "mail_account"
    TEMPLATES = "templates"
    SERIES = "series"
    API_KEY = "api_key"
    OUTBOX = "outbox"


class SectionState(StrEnum):
    """How a section stands: not set up, never tested, good, good but look at it, broken, being tested now."""

    IDLE = "idle"
    UNTESTED = "untested"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    RUNNING = "running"


def _no_values() -> dict[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class OverviewLine:
    """One line: the state, the ``code`` of its one fact with the ``values`` to fill in, and when it was proven.

    ``about`` is what the fact is told of: a run that failed, a finding of the series, what the watch has seen.
    """

    section: SectionName
    state: SectionState
    code: str = ""
    values: Mapping[str, object] = field(default_factory=_no_values)
    about: Run | Finding | Trouble | None = None
    at: datetime | None = None


class OverviewSection:
    """Collects the lines, each of which its own section makes."""

    def __init__(self, *makers: Callable[[Actor], OverviewLine | None]) -> None:
        self._makers = makers

    def lines(self, actor: Actor) -> list[OverviewLine]:
        """Return one line for each section that has something to say."""
        return [line for make in self._makers if (line := make(actor)) is not None]
