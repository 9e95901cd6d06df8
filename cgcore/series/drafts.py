"""A series as somebody typed it, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem
from cgcore.series.codes import MAX_CODE, code_problem, foreign_characters, past_year, sign_words
from cgcore.series.counters import MAX_NUMBER, check_counter
from cgcore.series.kinds import Counter, Series, SeriesKind, type_label
from cgcore.texts import sentence

__all__ = ["MAX_NAME", "SeriesDraft", "check_draft", "check_kind", "series_problem"]

MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class SeriesDraft:
    """What is asked to be stored; ``next_numbers`` holds exactly the document types that the series shall serve."""

    code: str
    name: str = ""
    kind: SeriesKind = SeriesKind.ORDINARY
    active: bool = True
    next_numbers: Mapping[DocumentType, int] = field(default_factory=dict[DocumentType, int])


def series_problem(name: str, code: str, *, blocking: bool = True, **values: object) -> FieldProblem:
    """Return the problem ``code`` of one field with its Spanish sentence."""
    return FieldProblem(name, code, sentence("cgcore.series", code, **values), blocking)


def check_draft(draft: SeriesDraft, counters: Mapping[DocumentType, Counter], *, year: int) -> tuple[FieldProblem, ...]:
    """Return every problem of ``draft``, blocking or not; ``counters`` is what is stored for it so far.

    Fields are ``code``, ``name``, ``document_types`` and ``next_number.<type>``.
    """
    return (*_check_names(draft, year), *_check_types(draft), *_check_numbers(draft, counters, year))


def check_kind(draft: SeriesDraft, stored: Series) -> Iterator[FieldProblem]:
    """Yield a warning where a series that documents bear turns from complete to simplified invoices, or back.

    Rule 5: one series for complete and simplified invoices alike.
    """
    if stored.used and {stored.kind, draft.kind} == {SeriesKind.ORDINARY, SeriesKind.SIMPLIFIED}:
        yield series_problem("kind", "kinds_mixed", blocking=False, serie=stored.code)


def _check_names(draft: SeriesDraft, year: int) -> Iterator[FieldProblem]:
    if problem := code_problem(draft.code):
        yield series_problem("code", problem, maximo=MAX_CODE)
        return
    if len(draft.name) > MAX_NAME:
        yield series_problem("name", "name_too_long", maximo=MAX_NAME)
    if not draft.name.isprintable():
        yield series_problem("name", "name_unprintable")
    if signs := foreign_characters(draft.code):
        yield series_problem("code", "foreign_characters", blocking=False, serie=draft.code, signos=sign_words(signs))
    if found := past_year(draft.code, draft.name, year=year):
        yield series_problem("code", "past_year", blocking=False, serie=draft.code, ano=found)


def _check_types(draft: SeriesDraft) -> Iterator[FieldProblem]:
    if not draft.next_numbers:
        yield series_problem("document_types", "no_types")
    if {DocumentType.SALES_INVOICE, DocumentType.PROFORMA_INVOICE} <= set(draft.next_numbers):
        yield series_problem("document_types", "proforma_and_invoices", blocking=False, serie=draft.code)
    if Series(draft.code, counters=dict.fromkeys(draft.next_numbers, Counter())).mixes_sales_and_purchases:
        yield series_problem("document_types", "sales_and_purchases", blocking=False, serie=draft.code)


def _check_numbers(draft: SeriesDraft, counters: Mapping[DocumentType, Counter], year: int) -> Iterator[FieldProblem]:
    for document_type, number in draft.next_numbers.items():
        place = f"next_number.{document_type.value}"
        if not 1 <= number <= MAX_NUMBER:
            yield series_problem(place, "number_invalid", tipo=type_label(document_type), maximo=MAX_NUMBER)
            continue
        finding = check_counter(draft.code, document_type, number, counters.get(document_type, Counter()), year=year)
        if finding:
            yield FieldProblem(place, finding.code, finding.message, finding.blocks)
