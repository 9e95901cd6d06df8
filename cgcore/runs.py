"""A run of a cell: the steps it made and the verdict over them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cgcore.mail.steps import Status, Step, Verdict

__all__ = ["Cell", "Run"]


class Cell(StrEnum):
    """The cells that can be run."""

    SMTP = "smtp"
    IMAP = "imap"
    TEST_MAIL = "test_mail"
    TEMPLATE_MAIL = "template_mail"
    SERIES_CHECK = "series_check"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands: its steps so far, and its verdict once it has ended.

    ``fingerprint`` stands for the settings that were tested, ``result`` for what only this cell knows (the queue id,
    where the copy went). ``number`` counts the runs of this user and cell. A run whose process died has an end and
    no verdict.
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

    @property
    def is_running(self) -> bool:
        """Whether more steps may come."""
        return self.finished is None

    @property
    def failed(self) -> bool:
        """Whether it ended badly: no verdict, a step that is an error, or without steps a verdict that is not ok."""
        if self.verdict is None:
            return True
        if not self.steps:
            return self.verdict.verdict != "ok"
        return any(step.status is Status.ERROR for step in self.steps)
