"""Series as administrators keep them: list, add, change, switch off, delete, start from a usual layout.

Apart from :mod:`cgcore.workbench.core`, as each section: loaded at its first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TypedDict

from sqlmodel import Session

from cgcore.activity import Action, Change
from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.once import once
from cgcore.series.defaults import OwnChoice
from cgcore.series.guards import change_action, forbids_anew, list_changes
from cgcore.series.series import Series, SeriesDraft, check_draft, check_kind, preview_numbers, series_problem
from cgcore.series.starters import STARTER_SETS, StarterLayout
from cgcore.storage import series as defaults_store
from cgcore.storage import series as store

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.overview import OverviewLine
    from cgcore.workbench.runs import RunSection
    from cgcore.workbench.series_defaults import SeriesChecks, SeriesDefaultsSection

__all__ = ["SeriesPage", "SeriesSection", "create_starter_set"]


def create_starter_set(context: Context, actor: Actor, layout: StarterLayout) -> Sequence[Series]:
    """Create every series of ``layout`` and the company defaults that are not set yet, or nothing at all.

    Raises :class:`InvalidInput` when one of its codes is taken.
    """
    actor.require_admin()
    chosen = next(entry for entry in STARTER_SETS if entry.layout is layout)
    with context.write_as(actor, admin=True, exclusive=True) as (session, actor):
        for draft in chosen.series:
            if taken := store.find_series(session, draft.code):
                raise InvalidInput(series_problem("code", "starter_code_taken", serie=taken.code))
            store.add_series(session, draft)
            context.activity.record(actor, Action.SERIES_ADDED, draft.code, session=session)
        present = defaults_store.load_company_defaults(session)
        missing = {kind: code for kind, code in chosen.defaults.items() if kind not in present}
        defaults_store.save_company_defaults(session, missing)
        created = store.load_series(session, [draft.code for draft in chosen.series])
        return [created[draft.code] for draft in chosen.series]


_MAX_LIMIT = 200


class SeriesPage(TypedDict):
    """One page of series by code; ``next`` is the cursor of the following page, None on the last."""

    items: list[Series]
    next: str | None


class SeriesSection:
    """Use cases of series. Everybody reads them; only administrators change them."""

    def __init__(self, context: Context, *, runs: RunSection) -> None:
        self._context, self._runs = context, runs

    @once
    def defaults(self) -> SeriesDefaultsSection:
        """Default series of users and of the company."""
        from cgcore.workbench.series_defaults import SeriesDefaultsSection

        return SeriesDefaultsSection(self._context)

    @once
    def checks(self) -> SeriesChecks:
        """The cell «Comprobar» and the line of Resumen."""
        from cgcore.workbench.series_defaults import SeriesChecks

        return SeriesChecks(self._context, defaults=self.defaults, runs=self._runs)

    def list(
        self, actor: Actor, *, text: str = "", active: bool | None = None, cursor: str | None = None, limit: int = 50
    ) -> SeriesPage:
        """Return one page of series by code; ``text`` is looked for in code and name, ``limit`` is 1 to 200."""
        limit = max(1, min(limit, _MAX_LIMIT))
        with self._context.read_as(actor) as (session, _):
            found = store.list_series(session, text=text.strip(), active=active, after=cursor or "", limit=limit + 1)
        items = found[:limit]
        return {"items": items, "next": items[-1].code if len(found) > limit else None}

    def get(self, actor: Actor, code: str) -> Series:
        """Return one series, or raise :class:`NotFound`."""
        with self._context.read_as(actor) as (session, _):
            return _found(session, code)

    def count(self, actor: Actor) -> int:
        """Return how many series there are."""
        return self._context.recall(actor, "series_count", lambda session, _: store.count_series(session))

    def preview(self, actor: Actor, code: str, document_type: DocumentType, count: int = 3) -> tuple[str, ...]:
        """Return the next numbers as they would look; nothing is consumed."""
        return preview_numbers(self.get(actor, code), document_type, count)

    def check(self, actor: Actor, draft: SeriesDraft) -> tuple[FieldProblem, ...]:
        """Return what is wrong with ``draft``, blocking or not, without storing anything."""
        actor.require_admin()
        with self._context.read_as(actor, admin=True) as (session, actor):
            return self._problems(session, draft)

    def add(self, actor: Actor, draft: SeriesDraft) -> Series:
        """Store a new series. Raises :class:`InvalidInput`, also when its code is taken (case does not count)."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            if taken := store.find_series(session, draft.code):
                raise InvalidInput(series_problem("code", "code_taken", serie=taken.code))
            self._refuse(self._problems(session, draft))
            store.add_series(session, draft)
            self._context.activity.record(actor, Action.SERIES_ADDED, draft.code, session=session)
            return _found(session, draft.code)

    def save(self, actor: Actor, draft: SeriesDraft, version: int) -> Series:
        """Replace the series read at ``version``.

        Raises :class:`NotFound`, :class:`InvalidInput`, or :class:`StaleVersion` with what stands there now: of two
        who edit one counter the second is told, and no number is lost.
        """
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            before = _found(session, draft.code)
            draft = replace(draft, code=before.code)
            self._refuse(self._problems(session, draft))
            orphans = _orphaned(session, before, draft)
            if not store.save_series(session, draft, version):
                _refuse_stale(before)
            after = _found(session, draft.code)
            self._context.activity.record(
                actor, change_action(before, after), draft.code, changes=list_changes(before, after), session=session
            )
            self._record_orphans(actor, session, draft.code, orphans)
            return after

    def delete(self, actor: Actor, code: str, version: int) -> None:
        """Delete a series that no sent document bears; else :class:`InvalidInput` says to switch it off instead."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            stored = _found(session, code)
            if stored.used:
                raise InvalidInput(series_problem("code", "series_in_use", serie=stored.code))
            orphans = defaults_store.list_choices_of_series(session, stored.code)
            if not store.delete_series(session, stored.code, version):
                _refuse_stale(stored)
            self._context.activity.record(actor, Action.SERIES_DELETED, stored.code, session=session)
            self._record_orphans(actor, session, stored.code, orphans)

    def list_orphans(self, actor: Actor, code: str, draft: SeriesDraft | None) -> Sequence[OwnChoice]:
        """Return the defaults that saving ``draft`` (None: deleting) would leave pointing at a forbidden series."""
        actor.require_admin()
        with self._context.read_as(actor, admin=True) as (session, actor):
            return _orphaned(session, _found(session, code), draft)

    def create_starter_set(self, actor: Actor, layout: StarterLayout) -> Sequence[Series]:
        """Create every series of a layout and the company's defaults that go with it, or nothing at all.

        Raises :class:`InvalidInput` when one of its codes is taken. A company default that is set already stays.
        """
        return create_starter_set(self._context, actor, layout)

    def overview(self, actor: Actor) -> OverviewLine:
        """Return what Resumen says of the series."""
        return self.checks.overview(actor)

    def _problems(self, session: Session, draft: SeriesDraft) -> tuple[FieldProblem, ...]:
        counters, stored = store.load_counters(session, draft.code), store.find_series(session, draft.code)
        mixed = check_kind(draft, stored) if stored else ()
        kept = stored.code if stored else ""
        return (*check_draft(draft, counters, year=self._context.clock().year, stored_code=kept), *mixed)

    def _refuse(self, problems: Sequence[FieldProblem]) -> None:
        if blocking := [problem for problem in problems if problem.blocking]:
            raise InvalidInput(*blocking)

    def _record_orphans(self, actor: Actor, session: Session, code: str, orphans: Sequence[OwnChoice]) -> None:
        if orphans:
            changes = [Change(f"type.{choice.document_type}", whose=choice.username or "*") for choice in orphans]
            self._context.activity.record(
                actor, Action.DEFAULTS_ORPHANED, code, result="warning", changes=changes, session=session
            )


def _found(session: Session, code: str) -> Series:
    found = store.find_series(session, code)
    if found is None:
        raise NotFound("no such series")
    return found


def _orphaned(session: Session, before: Series, draft: SeriesDraft | None) -> list[OwnChoice]:
    choices = defaults_store.list_choices_of_series(session, before.code)
    return [choice for choice in choices if draft is None or forbids_anew(before, draft, choice.document_type)]


def _refuse_stale(stored: Series) -> NoReturn:
    raise StaleVersion(stored.version, stored.as_json())
