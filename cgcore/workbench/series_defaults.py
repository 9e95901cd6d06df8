"""Default series: a user's own, the company's, and what applies of both.

Apart from :mod:`cgcore.workbench.series`: series are the company's, defaults a person's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from cgcore.activity import Action, Change
from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Run, Step, Verdict
from cgcore.series.defaults import (
    DefaultRow,
    Defaults,
    OwnChoice,
    build_row,
    choices_version,
    defaults_fingerprint,
    judge_defaults,
)
from cgcore.series.guards import check_default
from cgcore.series.series import Finding, series_problem
from cgcore.storage import series as series_store
from cgcore.storage import series as store
from cgcore.storage.tables import UserRow
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.runs import Job, RunSection

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["Choices", "SeriesChecks", "SeriesDefaultsSection", "parse_document_type"]

Choices = Mapping[DocumentType, str | None]

_OPTIONS = 50  # how many series a select offers; beyond, the page searches


class SeriesDefaultsSection:
    """Use cases of default series. A user sees and changes their own; an administrator everybody's."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(
        self, actor: Actor, user_id: int | None = None, *, search: str = "", choices: Choices | None = None
    ) -> Defaults:
        """Return the defaults of ``actor``, or of another user for an administrator.

        ``search`` narrows the series offered; with ``choices`` the table shows what storing them would make of it.
        Raises :class:`NotFound` for a user that is unknown or not theirs.
        """
        return self._context.recall(
            actor,
            self._name("defaults", user_id, search, choices),
            lambda session, who: self._read(session, _user(session, who, user_id), search, choices),
        )

    def get_company(self, actor: Actor, *, search: str = "", choices: Choices | None = None) -> Defaults:
        """Return the company's defaults in the same shape, with the company's choice as ``own``."""
        actor.require_admin()
        return self._context.recall(
            actor,
            self._name("company_defaults", None, search, choices),
            lambda session, _: self._read(session, None, search, choices),
            admin=True,
        )

    def save(self, actor: Actor, choices: Choices, version: int | None, user_id: int | None = None) -> Defaults:
        """Store the choices of the types named (None: the company's applies again); the other types stay.

        ``version`` is the one that :meth:`get` returned; None overwrites. Raises :class:`StaleVersion`,
        :class:`NotFound`, or :class:`InvalidInput` with one problem per forbidden type, and stores nothing then.
        A choice that stays as it was is not judged again: an orphan does not block the other rows.
        """
        with self._context.write_as(actor, exclusive=True) as (session, actor):
            user = _user(session, actor, user_id)
            stored = store.load_own_defaults(session, _id(user))
            _refuse_stale(stored, version)
            changed = self._judged(session, choices, stored)
            store.save_own_defaults(session, _id(user), changed)
            if changed:
                self._record(actor, session, user.username, stored, changed)
            return self._read(session, user, "")

    def save_company(self, actor: Actor, choices: Choices, version: int | None, *, clear_own: bool = False) -> Defaults:
        """Store the company's defaults as :meth:`save`; ``clear_own`` («para todos») removes users' own choices."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            stored = store.load_company_defaults(session)
            _refuse_stale(stored, version)
            changed = self._judged(session, choices, stored)
            store.save_company_defaults(session, changed)
            if changed:
                self._record(actor, session, "*", stored, changed, action=Action.COMPANY_SERIES_SAVED)
            if clear_own:
                self._clear_own(actor, session, list(choices))
            return self._read(session, None, "")

    def list_overridden(self, actor: Actor, types: Sequence[DocumentType]) -> Sequence[OwnChoice]:
        """Return whose own choice of ``types`` «para todos» would remove, by user name."""
        actor.require_admin()
        return self._context.recall(
            actor,
            ("overridden", tuple(types)),
            lambda session, _: store.list_choices_of_types(session, types),
            admin=True,
        )

    def _name(self, what: str, user_id: int | None, search: str, choices: Choices | None) -> Hashable:
        # The findings speak of this year's numbers.
        return what, user_id, search, frozenset((choices or {}).items()), self._context.clock().year

    def _read(self, session: Session, user: UserRow | None, search: str, choices: Choices | None = None) -> Defaults:
        company = store.load_company_defaults(session)
        stored = store.load_own_defaults(session, _id(user)) if user else company
        own = {kind: code for kind, code in {**stored, **(choices or {})}.items() if code is not None}
        options = series_store.list_allowed(session, limit=_OPTIONS + 1)
        codes = {*own.values(), *company.values(), *(found[0][0] for found in options.values() if len(found) == 1)}
        series = series_store.load_series(session, codes)
        rows = tuple(
            build_row(
                kind,
                own=own.get(kind),
                company=company.get(kind) if user else None,
                options=found,
                option_limit=_OPTIONS,
                series=series,
                year=self._context.clock().year,
            )
            for kind, found in options.items()
        )
        if search.strip():
            fitting = series_store.list_allowed(session, text=search.strip(), limit=_OPTIONS + 1)
            rows = tuple(_narrowed(row, fitting[row.document_type]) for row in rows)
        return Defaults(user.username if user else "", rows, choices_version(stored))

    def _judged(self, session: Session, choices: Choices, stored: Mapping[DocumentType, str]) -> Choices:
        changed = {kind: code for kind, code in choices.items() if code != stored.get(kind)}
        problems = [
            FieldProblem(kind.value, finding.code, finding.text)
            for kind, code in changed.items()
            if code is not None
            for finding in self._findings(session, kind, code)
            if finding.blocks
        ]
        if problems:
            raise InvalidInput(*problems)
        return changed

    def _findings(self, session: Session, document_type: DocumentType, code: str) -> tuple[Finding, ...]:
        series = series_store.load_series(session, [code]).get(code)
        return check_default(document_type, code, series, year=self._context.clock().year)

    def _clear_own(self, actor: Actor, session: Session, types: Sequence[DocumentType]) -> None:
        for choice in store.list_choices_of_types(session, types):
            changes = [Change(f"type.{choice.document_type}", choice.series_code, "")]
            self._context.activity.record(
                actor, Action.DEFAULTS_SAVED, choice.username, changes=changes, session=session
            )
        store.delete_own_defaults(session, types)

    def _record(
        self,
        actor: Actor,
        session: Session,
        whose: str,
        stored: Mapping[DocumentType, str],
        changed: Choices,
        *,
        action: Action = Action.DEFAULTS_SAVED,
    ) -> None:
        changes = [Change(f"type.{kind}", stored.get(kind, ""), code or "") for kind, code in changed.items()]
        self._context.activity.record(actor, action, whose, changes=changes, session=session)


def parse_document_type(code: str) -> DocumentType:
    """Return the type with code ``code``, or raise :class:`InvalidInput` (rule 4)."""
    try:
        return DocumentType(code)
    except ValueError:
        raise InvalidInput(series_problem(code, "unknown_document_type", tipo=code)) from None


def _narrowed(row: DefaultRow, found: Sequence[tuple[str, str]]) -> DefaultRow:
    return replace(row, options=tuple(found[:_OPTIONS]), more=len(found) > _OPTIONS)


def _user(session: Session, actor: Actor, user_id: int | None) -> UserRow:
    wanted = actor.user_id if user_id is None else user_id
    user = session.get(UserRow, wanted) if wanted == actor.user_id or actor.is_admin else None
    if user is None:
        raise NotFound("no such user")
    return user


def _id(user: UserRow) -> int:
    return user.id or 0


def _refuse_stale(stored: Mapping[DocumentType, str], version: int | None) -> None:
    present = choices_version(stored)
    if version is not None and version != present:
        raise StaleVersion(present, {kind.value: code for kind, code in stored.items()})


class SeriesChecks:
    """Runs the guards over what is stored, and remembers the last run like any cell."""

    def __init__(self, context: Context, *, defaults: SeriesDefaultsSection, runs: RunSection) -> None:
        self._context, self._defaults, self._runs = context, defaults, runs

    def start(self, actor: Actor) -> Run:
        """Start a run over the stored defaults of ``actor``; its ``result`` holds one entry per document type."""
        defaults = self._defaults.get(actor)
        job = Job(
            steps=_no_steps,
            judge=lambda _steps, ms: judge_defaults(defaults, ms),
            conclude=lambda _steps, verdict, session: self._conclude(actor, defaults, verdict, session),
        )
        return self._runs.start(actor, Cell.SERIES_CHECK, defaults_fingerprint(defaults), job)

    def find_last(self, actor: Actor) -> Run | None:
        """Return the last run, None before the first."""
        return self._runs.find_last(actor, Cell.SERIES_CHECK)

    def overview(self, actor: Actor) -> OverviewLine:
        """Return how the stored defaults stand: errors before warnings before «ready»; none at all is «empty»."""
        section = self._defaults
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
        self._context.activity.record(actor, Action.DEFAULTS_CHECKED, result=verdict.key, session=session)
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
