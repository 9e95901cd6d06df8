"""The guards of a default series, as one table: rules 1 to 3 refuse, rules 5 to 9 warn.

The same table serves the page, the API and the import. Rule 4 (no such type or user) is met before a series is
looked at, rules 10 and 11 are in :mod:`cgcore.series.guards` and :mod:`cgcore.series.series`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cgcore.activity import Action, Change
from cgcore.documents import DocumentType
from cgcore.series.series import (
    Counter,
    Finding,
    Series,
    SeriesDraft,
    SeriesKind,
    Severity,
    find,
    foreign_characters,
    past_year,
)

__all__ = [
    "GUARDS",
    "Candidate",
    "Guard",
    "allows",
    "change_action",
    "check_coverage",
    "check_default",
    "forbids_anew",
    "list_changes",
]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series about to be, or stored as, the default of one type.

    ``company_code`` is the company's default for the type where it counts (``""``: it has none, or this is it);
    ``year`` the present one.
    """

    document_type: DocumentType
    series: Series
    company_code: str
    year: int


@dataclass(frozen=True, slots=True)
class Guard:
    """One rule: its number in the specification, its code (which names its sentence), and when it speaks."""

    rule: int
    code: str
    severity: Severity
    speaks: Callable[[Candidate], bool]


def _is_disabled(candidate: Candidate) -> bool:
    return not candidate.series.active


def _lacks_the_type(candidate: Candidate) -> bool:
    return not candidate.series.serves(candidate.document_type)


def _is_corrective(candidate: Candidate) -> bool:
    # No type of this suite is a rectificativa, so such a series is the default of none.
    return candidate.series.kind is SeriesKind.CORRECTIVE


def _shares_with_invoices(candidate: Candidate) -> bool:
    return candidate.document_type is DocumentType.PROFORMA_INVOICE and candidate.series.serves(
        DocumentType.SALES_INVOICE
    )


def _is_simplified(candidate: Candidate) -> bool:
    return candidate.document_type is DocumentType.SALES_INVOICE and candidate.series.kind is SeriesKind.SIMPLIFIED


def _differs_from_company(candidate: Candidate) -> bool:
    return candidate.company_code not in ("", candidate.series.code)


def _has_foreign_characters(candidate: Candidate) -> bool:
    return bool(foreign_characters(candidate.series.code))


def _names_a_past_year(candidate: Candidate) -> bool:
    return past_year(candidate.series.code, candidate.series.name, year=candidate.year) != ""


def _mixes_sales_and_purchases(candidate: Candidate) -> bool:
    return candidate.series.mixes_sales_and_purchases


GUARDS: tuple[Guard, ...] = (
    Guard(1, "series_disabled", Severity.ERROR, _is_disabled),
    Guard(1, "type_not_enabled", Severity.ERROR, _lacks_the_type),
    Guard(2, "corrective_series", Severity.ERROR, _is_corrective),
    Guard(3, "proforma_on_invoice_series", Severity.ERROR, _shares_with_invoices),
    Guard(5, "simplified_series", Severity.WARNING, _is_simplified),
    Guard(6, "differs_from_company", Severity.WARNING, _differs_from_company),
    Guard(7, "foreign_characters", Severity.WARNING, _has_foreign_characters),
    Guard(8, "past_year", Severity.WARNING, _names_a_past_year),
    Guard(9, "sales_and_purchases", Severity.WARNING, _mixes_sales_and_purchases),
)


def check_default(
    document_type: DocumentType, code: str, series: Series | None, *, company_code: str = "", year: int
) -> tuple[Finding, ...]:
    """Return every finding on ``series`` as the default of ``document_type``, errors first.

    ``series`` is None where no series has ``code``: unknown, or deleted since.
    """
    if series is None:
        return (find(1, "series_unknown", Severity.ERROR, document_type, serie=code),)
    candidate = Candidate(document_type, series, company_code, year)
    values = {
        "serie": series.code,
        "empresa": company_code,
        "signos": foreign_characters(series.code),
        "ano": past_year(series.code, series.name, year=year),
    }
    return tuple(
        find(guard.rule, guard.code, guard.severity, document_type, **values)
        for guard in GUARDS
        if guard.speaks(candidate)
    )


def allows(document_type: DocumentType, series: Series) -> bool:
    """Whether no error forbids ``series`` as the default of ``document_type``."""
    candidate = Candidate(document_type, series, "", 0)
    return not any(guard.speaks(candidate) for guard in GUARDS if guard.severity is Severity.ERROR)


def check_coverage(document_type: DocumentType, effective_code: str, available: int) -> tuple[Finding, ...]:
    """Return what rule 10 says of a type with this effective series (``""``: none) and ``available`` series allowed."""
    if available == 0:
        return (find(10, "no_series", Severity.WARNING, document_type),)
    if not effective_code:
        return (find(10, "no_default", Severity.WARNING, document_type),)
    return ()


_SHOWN = ("name", "kind", "document_types")  # as the API calls them


def change_action(before: Series, after: Series) -> Action:
    """Return the activity log's word for the change."""
    if before.active == after.active:
        return Action.SERIES_SAVED
    return Action.SERIES_ENABLED if after.active else Action.SERIES_DISABLED


def list_changes(before: Series, after: Series) -> tuple[Change, ...]:
    """Return each changed field with its old and new value."""
    old, new = before.as_json(), after.as_json()
    return tuple(Change(f"series.{name}", old[name], new[name]) for name in _SHOWN if old[name] != new[name])


def forbids_anew(before: Series, draft: SeriesDraft, document_type: DocumentType) -> bool:
    """Whether ``draft`` takes away what ``before`` allowed: a default of this type would be left an orphan."""
    counters = {kind: before.counters.get(kind, Counter()) for kind in draft.next_numbers}
    after = replace(before, kind=draft.kind, active=draft.active, counters=counters)
    return allows(document_type, before) and not allows(document_type, after)
