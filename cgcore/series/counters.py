"""The numbers of a series: how they look, the next ones, and rule 11 on a counter that would repeat one."""

from __future__ import annotations

from cgcore.documents import DocumentType
from cgcore.series.findings import Finding, Severity, find
from cgcore.series.kinds import Counter, Series

__all__ = ["MAX_NUMBER", "check_counter", "format_number", "preview_numbers"]

MAX_NUMBER = 999_999_999


def format_number(code: str, number: int) -> str:
    """Return a number as it looks on a document: ``F 21043``."""
    return f"{code} {number}"


def preview_numbers(series: Series, document_type: DocumentType, count: int = 3) -> tuple[str, ...]:
    """Return the next numbers as they would look, consuming nothing; none where the type is not served.

    A preview promises nothing: somebody else may issue first.
    """
    counter = series.counters.get(document_type)
    if counter is None:
        return ()
    return tuple(format_number(series.code, counter.next_number + step) for step in range(count))


def check_counter(
    code: str, document_type: DocumentType, next_number: int, stored: Counter, *, year: int
) -> Finding | None:
    """Return what rule 11 says of a next number, given what was sent so far.

    At or below the last number of this year it would repeat one: an error, unless it stands like that already (the
    suite moves it, not the sending), then a warning. Below one of an earlier year it is the usual New Year restart:
    a warning, since «F 1» then exists twice in a mailbox.
    """
    if next_number > stored.last_used:
        return None
    this_year = stored.last_used_year >= year
    return find(
        11,
        "number_repeats" if this_year else "counter_restarts",
        Severity.ERROR if this_year and next_number != stored.next_number else Severity.WARNING,
        document_type,
        serie=code,
        numero=format_number(code, next_number),
        ultimo=format_number(code, stored.last_used),
        siguiente=stored.last_used + 1,
        ano=stored.last_used_year,
    )
