"""Runs of cells: the steps one makes and the verdict over them. Codes and values: the words are made where shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = ["BROKEN", "INTERRUPTED", "Cell", "Run", "Status", "Step", "Verdict", "deciding_step"]


#: The verdict of a run whose process ended before it.
INTERRUPTED = "interrupted"
#: The verdict of a run that we failed in.
BROKEN = "broken"


class Cell(StrEnum):
    """The cells that can be run."""

    SMTP = "smtp"
    IMAP = "imap"
    TEST_MAIL = "test_mail"
    TEMPLATE_MAIL = "template_mail"
    SERIES_CHECK = "series_check"
    API_KEY = "api_key"
    SETUP = "setup"
    DELIVERABILITY = "deliverability"
    ARRIVAL = "arrival"


class Status(StrEnum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


def _no_values() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run. What is absent is ``""`` or ``{}``, never ``None``.

    ``leg`` and ``stage`` are codes of what was run (:mod:`cgcore.mail.steps` has those of the mail account). ``ms`` is
    the time the step took in milliseconds. ``reply`` holds the other side's words, already scrubbed of secrets but not
    escaped. ``key`` says what is wrong, empty when nothing is. ``patch`` holds only values that a live try has just
    proven. ``details`` holds facts for the page (addresses, TLS version, certificate card): data and codes.
    """

    leg: str
    stage: str
    status: Status
    ms: int = 0
    reply: str = ""
    key: str = ""
    field: str = "none"
    fault: str = ""
    retry: str = ""
    patch: Mapping[str, Any] = dataclasses.field(default_factory=_no_values)
    details: Mapping[str, Any] = dataclasses.field(default_factory=_no_values)

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain JSON values."""
        return {
            "leg": str(self.leg),
            "stage": str(self.stage),
            "status": self.status.value,
            "ms": self.ms,
            "reply": self.reply,
            "key": self.key,
            "field": self.field,
            "fault": self.fault,
            "retry": self.retry,
            "patch": dict(self.patch),
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Step:
        """Return the step that :meth:`to_json` wrote."""
        values: dict[str, Any] = dict(value)
        values["status"] = Status(values["status"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to: ``ok`` or what was wrong, the stage that decided it, and the total time.

    ``values`` are what its sentences may name in this very case: plain JSON values and codes.
    """

    key: str
    stage: str = ""
    ms: int = 0
    values: Mapping[str, Any] = dataclasses.field(default_factory=_no_values)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as it is stored: plain JSON values."""
        return {"key": self.key, "stage": str(self.stage), "ms": self.ms, "values": dict(self.values)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        """Return the verdict that :meth:`to_json` wrote."""
        return cls(**value)

    def as_line(self, title: str, fix: str) -> dict[str, Any]:
        """Return the last line of a probe as API and command line write it, with its two sentences."""
        return {"verdict": self.key, "stage": str(self.stage), "ms": self.ms, "title": title, "fix": fix}


def deciding_step(steps: Iterable[Step]) -> Step | None:
    """Return the first error, else the first warning, else ``None`` (then the verdict is ``ok``)."""
    kept = list(steps)
    for status in (Status.ERROR, Status.WARNING):
        for step in kept:
            if step.status is status and step.key:
                return step
    return None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands: its steps so far, and its verdict once it has ended.

    ``fingerprint`` stands for the settings that were tested, ``result`` for what only this cell knows (the queue id,
    where the copy went). ``number`` counts the runs of this user and cell. ``owner`` is the process that drives it,
    ``beats`` how often that one was heard of.
    """

    id: int
    cell: str
    fingerprint: str
    number: int
    started: datetime
    steps: tuple[Step, ...] = ()
    verdict: Verdict | None = None
    result: dict[str, Any] | None = None
    finished: datetime | None = None
    duration_ms: int = 0
    owner: str = ""
    beats: int = dataclasses.field(default=0, compare=False)

    @property
    def is_running(self) -> bool:
        """Whether more steps may come."""
        return self.finished is None

    @property
    def proves_nothing(self) -> bool:
        """Whether it has come to no verdict of its own: it goes on, its process ended first, or we failed."""
        return self.verdict is None or self.verdict.key in (INTERRUPTED, BROKEN)

    @property
    def failed(self) -> bool:
        """Whether it ended badly: no verdict, a step that is an error, or without steps a verdict that is not ok."""
        if self.verdict is None or self.proves_nothing:
            return True
        if not self.steps:
            return self.verdict.key != "ok"
        return any(step.status is Status.ERROR for step in self.steps)
