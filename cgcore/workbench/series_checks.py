"""The cell «Comprobar» of «Series por defecto»: every rule over the stored defaults; and the line of Resumen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Run, Step, Verdict
from cgcore.series.overview import Defaults, defaults_fingerprint, judge_defaults
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.runs import Job

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.core import Workbench

__all__ = ["SeriesChecks"]


class SeriesChecks:
    """Runs the guards over what is stored, and remembers the last run like any cell."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def start(self, actor: Actor) -> Run:
        """Start a run over the stored defaults of ``actor``; its ``result`` holds one entry per document type."""
        defaults = self._workbench.series.defaults.get(actor)
        job = Job(
            steps=_no_steps,
            judge=lambda _steps, ms: judge_defaults(defaults, ms),
            conclude=lambda _steps, verdict, session: self._conclude(actor, defaults, verdict, session),
        )
        return self._workbench.runs.start(actor, Cell.SERIES_CHECK, defaults_fingerprint(defaults), job)

    def find_last(self, actor: Actor) -> Run | None:
        """Return the last run, None before the first."""
        return self._workbench.runs.find_last(actor, Cell.SERIES_CHECK)

    def overview(self, actor: Actor) -> OverviewLine:
        """Return how the stored defaults stand: errors before warnings before «ready»; none at all is «empty»."""
        section = self._workbench.series.defaults
        defaults = section.get(actor)
        # Whoever keeps the company's defaults is told of a broken one, also where an own choice stands before it.
        company = section.get_company(actor).findings if actor.is_admin else ()
        findings = [*(finding for finding in company if finding.blocks), *defaults.findings]
        if not any(row.options or row.effective for row in defaults.rows):
            return OverviewLine(SectionName.SERIES, SectionState.IDLE, "series_empty")
        at = self._checked(actor, defaults)
        if findings:
            state = SectionState.ERROR if findings[0].blocks else SectionState.WARNING
            return OverviewLine(SectionName.SERIES, state, "series_finding", about=findings[0], at=at)
        values = {"count": sum(bool(row.effective) for row in defaults.rows)}
        return OverviewLine(SectionName.SERIES, SectionState.OK, "series_ready", values, at=at)

    def _checked(self, actor: Actor, defaults: Defaults) -> datetime | None:
        """Return when these very defaults were last checked; None where something has changed since."""
        run = self.find_last(actor)
        if run is None or run.is_running or run.fingerprint != defaults_fingerprint(defaults):
            return None
        return run.started

    def _conclude(self, actor: Actor, defaults: Defaults, verdict: Verdict, session: Session) -> dict[str, Any]:
        self._workbench.activity.record(actor, Action.DEFAULTS_CHECKED, result=verdict.key, session=session)
        return {
            "types": [
                {
                    "type": row.document_type.value,
                    "series": row.effective,
                    "reason": row.reason.value,
                    "findings": [finding.to_json() for finding in row.findings],
                }
                for row in defaults.rows
            ]
        }


def _no_steps() -> Iterator[Step]:
    return iter(())
