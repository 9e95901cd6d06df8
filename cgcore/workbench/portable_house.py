"""Company and series of a configuration file: written from the database, and into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from cgcore.company.company import Company, CompanyDraft, check_company
from cgcore.documents import DOCUMENT_TYPES
from cgcore.errors import InvalidInput
from cgcore.portable.content import Content
from cgcore.portable.problems import refuse, refuse_with
from cgcore.series.drafts import SeriesDraft, check_draft
from cgcore.storage import company as company_store
from cgcore.storage import series as series_store
from cgcore.storage import series_defaults as defaults_store
from cgcore.workbench.company import prepare_logo
from cgcore.workbench.portable_defaults import list_changes, note_orphans

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["export_company", "export_series", "import_company", "import_company_series", "import_series"]

_BATCH = 1000


def export_company(session: Session) -> dict[str, Any]:
    """Return the company with its default series."""
    company = company_store.load_company(session).as_json()
    company.pop("version")
    defaults = defaults_store.load_company_defaults(session)
    company["series"] = {entry.code.value: defaults[entry.code] for entry in DOCUMENT_TYPES if entry.code in defaults}
    return company


def export_series(session: Session) -> list[dict[str, Any]]:
    """Return every series by code."""
    found: list[dict[str, Any]] = []
    after = ""
    while batch := series_store.list_series(session, text="", active=None, after=after, limit=_BATCH):
        for series in batch:
            value = series.as_json()
            value.pop("version")
            found.append(value)
        after = batch[-1].code
    return found


def import_series(workbench: Workbench, session: Session, drafts: tuple[SeriesDraft, ...]) -> None:
    """Add the series that are missing and replace those that differ; others stay."""
    year = workbench.clock().year
    for index, draft in enumerate(drafts):
        stored = series_store.find_series(session, draft.code)
        if stored is not None and stored.code != draft.code:
            raise refuse(f"series[{index}].code", "other_case", nombre=stored.code)
        for problem in check_draft(draft, series_store.load_counters(session, draft.code), year=year):
            # A series without types can be stored (all taken away), so it can be brought back as well.
            if problem.blocking and problem.code != "no_types":
                raise refuse_with(f"series[{index}].{problem.field}", problem.message)
        if stored is None:
            series_store.add_series(session, draft)
        elif _differs(draft, stored.as_json()):
            series_store.save_series(session, draft, stored.version)
            session.expire_all()


def import_company(session: Session, value: Mapping[str, Any]) -> None:
    """Replace the company's particulars and logo, unless they are the same."""
    before = company_store.load_company(session)
    draft = CompanyDraft(value["name"], value["tax_id"], value["address"]).normalised()
    if not _same_company(before, draft, value["logo"]):
        # An installation whose company has no name yet exports it so, and takes it back.
        problems = check_company(draft) if any((draft.name, draft.tax_id, draft.address, value["logo"])) else ()
        if problems:
            raise refuse_with(f"company.{problems[0].field}", problems[0].message)
        company_store.save_company(session, draft, _logo(value["logo"]), keep_logo=False)


def import_company_series(workbench: Workbench, session: Session, content: Content) -> list[str]:
    """Replace the company's default series; each new one is judged by the guards. Return what to know about them."""
    if content.company_series is None:
        return []
    changed = list_changes(defaults_store.load_company_defaults(session), content.company_series)
    notes = list(note_orphans(session, changed, "company.series", year=workbench.clock().year))
    defaults_store.save_company_defaults(session, changed)
    return notes


def _differs(draft: SeriesDraft, stored: Mapping[str, Any]) -> bool:
    numbers = {kind.value: number for kind, number in draft.next_numbers.items()}
    wanted = (draft.name, draft.kind.value, draft.active, numbers)
    return wanted != (stored["name"], stored["kind"], stored["active"], stored["document_types"])


def _same_company(stored: Company, draft: CompanyDraft, logo: str) -> bool:
    uri = stored.logo.as_data_uri() if stored.logo else ""
    return (stored.name, stored.tax_id, stored.address, uri) == (draft.name, draft.tax_id, draft.address, logo)


def _logo(uri: str) -> Any:
    from cgcore.templates.images import decode

    if not uri:
        return None
    data = decode(uri)
    if data is None:
        raise refuse("company.logo", "wrong_value", valor=uri)
    try:
        return prepare_logo(data)
    except InvalidInput as refused:
        raise refuse_with("company.logo", refused.problems[0].message) from None
