"""Resumen: one line per section, made of what each section says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from cgcore.api_keys.record import KeyState
from cgcore.identity.actor import Actor
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from cgcore.series.series import Finding

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["OverviewLine", "OverviewSection", "SectionName", "SectionState"]


class SectionName(StrEnum):
    """The sections of Resumen, in its order."""

    MAIL_ACCOUNT = "mail_account"
    TEMPLATES = "templates"
    SERIES = "series"
    API_KEY = "api_key"


class SectionState(StrEnum):
    """How a section stands: not set up, never tested, good, good but look at it, broken, being tested now."""

    IDLE = "idle"
    UNTESTED = "untested"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    RUNNING = "running"


# Long enough to give the app a new key before the old one stops.
_EXPIRY_NOTICE = timedelta(days=14)


def _no_values() -> dict[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class OverviewLine:
    """One line: the state, the ``code`` of its one fact with the ``values`` to fill in, and when it was proven.

    ``about`` is what the fact is told of: a run that failed, a finding of the series.
    """

    section: SectionName
    state: SectionState
    code: str = ""
    values: Mapping[str, object] = field(default_factory=_no_values)
    about: Run | Finding | None = None
    at: datetime | None = None


class OverviewSection:
    """Collects the lines; a section that fails says so and leaves the others alone."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def lines(self, actor: Actor) -> list[OverviewLine]:
        """Return one line for each section."""
        makers: Sequence[Callable[[Actor], OverviewLine]] = (
            self._mail_account,
            self._templates,
            self._series,
            self._api_key,
        )
        return [make(actor) for make in makers]

    def start_all(self, actor: Actor) -> list[Run]:
        """Start every test of the stored configuration at once. Raises :class:`cgcore.errors.InvalidInput`."""
        section = self._workbench.mail_account
        draft = section.get(actor).draft
        return [section.runs.start_probe(actor, leg, draft) for leg in (Leg.SMTP, Leg.IMAP)]

    def _mail_account(self, actor: Actor) -> OverviewLine:
        section, name = self._workbench.mail_account, SectionName.MAIL_ACCOUNT
        stored = section.get(actor)
        if not stored.draft.smtp.host:
            return OverviewLine(name, SectionState.IDLE, "mail_empty")
        if stored.password_lost:
            return OverviewLine(name, SectionState.WARNING, "mail_password_lost", {"host": stored.draft.smtp.host})
        if not stored.password_set:
            return OverviewLine(name, SectionState.WARNING, "mail_no_password", {"host": stored.draft.smtp.host})
        runs = {cell: section.runs.find_last(actor, cell) for cell in (Cell.SMTP, Cell.IMAP)}
        if any(run is not None and run.is_running for run in runs.values()):
            return OverviewLine(name, SectionState.RUNNING, "mail_running")
        outdated = [
            run.started
            for cell, run in runs.items()
            if run is not None and run.fingerprint != section.runs.fingerprint(actor, cell, stored.draft)
        ]
        if outdated:
            # Good or bad, it was another account that was tested.
            values = {"host": stored.draft.smtp.host}
            return OverviewLine(name, SectionState.WARNING, "mail_changed", values, at=max(outdated))
        for cell, run in runs.items():
            if run is not None and not run.proves_nothing and run.failed:
                code = "mail_smtp_failed" if cell is Cell.SMTP else "mail_imap_failed"
                return OverviewLine(name, SectionState.ERROR, code, about=run, at=run.started)
        smtp, imap = runs[Cell.SMTP], runs[Cell.IMAP]
        if smtp is None or smtp.proves_nothing:
            return OverviewLine(name, SectionState.UNTESTED, "mail_unproven", {"host": stored.draft.smtp.host})
        code = "mail_smtp_proven"
        if imap is not None and not imap.proves_nothing:
            code = "mail_proven" if stored.draft.sent_folder else "mail_without_copy"
        values = {"smtp": stored.draft.smtp.host, "folder": stored.draft.sent_folder}
        return OverviewLine(name, SectionState.OK, code, values, at=smtp.started)

    def _templates(self, actor: Actor) -> OverviewLine:
        return self._workbench.templates.overview(actor)

    def _series(self, actor: Actor) -> OverviewLine:
        return self._workbench.series.overview(actor)

    def _api_key(self, actor: Actor) -> OverviewLine:
        now, name = self._workbench.clock(), SectionName.API_KEY
        keys = self._workbench.keys.list_keys(actor)
        alive = [key for key in keys if key.state(now).is_heard]
        if not alive:
            expired = any(key.state(now) is KeyState.EXPIRED for key in keys)
            state = SectionState.WARNING if expired else SectionState.IDLE
            return OverviewLine(name, state, "key_expired" if expired else "key_none")
        # A replaced key is not announced: it ends anyway, and its successor is there.
        lasting = [key for key in alive if key.state(now) is KeyState.ACTIVE]
        ending = min((key.expires for key in lasting if key.expires), default=None)
        if ending is not None and ending - now < _EXPIRY_NOTICE:
            values = {"days": max(0, (ending - now).days)}
            return OverviewLine(name, SectionState.WARNING, "key_expires", values)
        used = max((key.last_used for key in alive if key.last_used), default=None)
        code, at = ("key_used", used) if used else ("key_unused", max(key.created for key in alive))
        return OverviewLine(name, SectionState.OK, code, {"count": len(alive)}, at=at)
