"""The record of one probe step, and the verdict over a whole probe (facts: stages and step record)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Leg", "Stage", "Status", "Step", "Verdict", "deciding_step"]


class Leg(StrEnum):
    """Which half of the mail account a step belongs to."""

    SMTP = "smtp"
    IMAP = "imap"


class Stage(StrEnum):
    """The stages of a probe, both legs, in the order in which each leg passes them."""

    INPUT = "input"
    DNS = "dns"
    TCP = "tcp"
    GREETING = "greeting"
    EHLO = "ehlo"
    CAPABILITY = "capability"
    STARTTLS = "starttls"
    TLS = "tls"
    EHLO_TLS = "ehlo_tls"
    CAPABILITY_TLS = "capability_tls"
    AUTH = "auth"
    MAIL_FROM = "mail_from"
    RCPT_TO = "rcpt_to"
    DATA = "data"
    FINAL = "final"
    QUIT = "quit"
    NAMESPACE = "namespace"
    LIST = "list"
    SELECT = "select"
    CREATE = "create"
    APPEND = "append"
    CLEANUP = "cleanup"
    LOGOUT = "logout"


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
    """One step of a probe. What is absent is ``""`` or ``{}``, never ``None``.

    ``ms`` is the time the step took in milliseconds. ``reply`` holds the server's words, already scrubbed of
    secrets but not escaped. ``key`` is a diagnosis key, empty when nothing is wrong. ``patch`` holds only values
    that a live try has just proven. ``details`` holds facts for the page (addresses, TLS version, certificate card).
    """

    leg: Leg
    stage: Stage
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
            "leg": self.leg.value,
            "stage": self.stage.value,
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
        for name, enum in (("leg", Leg), ("stage", Stage), ("status", Status)):
            values[name] = enum(values[name])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last line of a probe: ``ok`` or a diagnosis key, its stage, the total time and the two screen texts."""

    verdict: str
    stage: str
    ms: int
    title: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON values."""
        return {
            "verdict": self.verdict,
            "stage": self.stage,
            "ms": self.ms,
            "title": self.title,
            "fix": self.fix,
        }


def deciding_step(steps: Iterable[Step]) -> Step | None:
    """Return the first error, else the first warning, else ``None`` (then the verdict is ``ok``)."""
    kept = list(steps)
    for status in (Status.ERROR, Status.WARNING):
        for step in kept:
            if step.status is status and step.key:
                return step
    return None
