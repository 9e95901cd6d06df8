"""The guards of a default series: every kind × every document type × enabled × active, and each rule by its number."""

from __future__ import annotations

from itertools import product

import pytest

from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.errors import InvalidInput
from cgcore.series.guards import GUARDS, allows, check_coverage, check_default
from cgcore.series.series import Counter, Series, SeriesKind, Severity, check_counter, preview_numbers
from cgcore.texts import lookup
from cgcore.workbench.series_defaults import parse_document_type

YEAR = 2026
T = DocumentType


def series(code: str = "F", *types: DocumentType, kind: SeriesKind = SeriesKind.ORDINARY, **values: object) -> Series:
    """A series that serves ``types``."""
    return Series(code, kind=kind, counters={entry: Counter() for entry in types}, **values)  # type: ignore[arg-type]


def codes(document_type: DocumentType, found: Series | None, **values: str) -> list[str]:
    """The codes of what the guards say."""
    return [finding.code for finding in check_default(document_type, "F", found, year=YEAR, **values)]


@pytest.mark.parametrize(
    ("kind", "document_type", "enabled", "active"),
    list(product(SeriesKind, DocumentType, (True, False), (True, False))),
)
def test_the_matrix(kind: SeriesKind, document_type: DocumentType, enabled: bool, active: bool) -> None:
    """Rules 1, 2 and 5 alone decide a series that serves one type: refused, warned, or nothing at all."""
    expected = []
    if not active:
        expected.append("series_disabled")
    if not enabled:
        expected.append("type_not_enabled")
    if kind is SeriesKind.CORRECTIVE:
        expected.append("corrective_series")
    if kind is SeriesKind.SIMPLIFIED and document_type is T.SALES_INVOICE:
        expected.append("simplified_series")
    candidate = series("F", *([document_type] if enabled else []), kind=kind, active=active)

    assert codes(document_type, candidate) == expected
    assert allows(document_type, candidate) is (enabled and active and kind is not SeriesKind.CORRECTIVE)


def test_rule_1_an_unknown_series_is_refused() -> None:
    """No series, no other finding."""
    (finding,) = check_default(T.QUOTE, "ZZ", None, year=YEAR)

    assert (finding.rule, finding.code, finding.severity) == (1, "series_unknown", Severity.ERROR)
    assert "«ZZ»" in finding.message


def test_rule_3_a_proforma_never_shares_the_series_of_invoices() -> None:
    """Refused for the proforma, and for it alone."""
    shared = series("F", T.PROFORMA_INVOICE, T.SALES_INVOICE, T.QUOTE)

    assert codes(T.PROFORMA_INVOICE, shared) == ["proforma_on_invoice_series"]
    assert codes(T.SALES_INVOICE, shared) == []
    assert codes(T.QUOTE, shared) == []


def test_rule_3_allows_a_series_that_only_purchase_invoices_use() -> None:
    """Purchase invoices bear the supplier's number: no name is met twice."""
    shared = series("F", T.PROFORMA_INVOICE, T.PURCHASE_INVOICE)

    assert codes(T.PROFORMA_INVOICE, shared) == ["sales_and_purchases"]


@pytest.mark.parametrize("text", ["", "invoice", "SALES_INVOICE", "sales_invoice ", "rectificativa", "<b>"])
def test_rule_4_an_unknown_type_is_refused(text: str) -> None:
    """The type is named in the problem, nothing is guessed."""
    with pytest.raises(InvalidInput) as caught:
        parse_document_type(text)

    assert caught.value.problems[0].code == "unknown_document_type"


def test_rule_6_warns_of_a_choice_unlike_the_companys() -> None:
    """Only where the company has one, and another."""
    mine = series("F", T.QUOTE)

    assert codes(T.QUOTE, mine, company_code="P") == ["differs_from_company"]
    assert codes(T.QUOTE, mine, company_code="F") == []
    assert codes(T.QUOTE, mine) == []


@pytest.mark.parametrize(
    ("code", "warned"),
    [("F", False), ("F-1/_. 2", False), ("f", True), ("Ñ", True), ("FÁ", True), ("A  B", True), ("A B C", True),
     ("📄", True), ("=1+1", True), ("<b>", True)],
)  # fmt: skip
def test_rule_7_warns_of_characters_outside_the_advice(code: str, warned: bool) -> None:
    """Capitals, digits, ``- _ / .`` and one space are advised; the rest is named in the sentence."""
    found = check_default(T.QUOTE, code, series(code, T.QUOTE), year=YEAR)

    assert [finding.rule for finding in found] == ([7] if warned else [])
    assert not any(finding.blocks for finding in found)


@pytest.mark.parametrize(
    ("code", "name", "year"),
    [("F2025", "", "2025"), ("F25", "", "25"), ("F", "Facturas 2024", "2024"), ("21-F", "", "21"), ("F2026", "", ""),
     ("F26", "", ""), ("F27", "", ""), ("A16", "", ""), ("F", "Calle 25", ""), ("20251", "", ""), ("F2125", "", "")],
)  # fmt: skip
def test_rule_8_warns_of_a_past_year(code: str, name: str, year: str) -> None:
    """Four digits anywhere, two digits in the code for the last five years; the present year and others are quiet."""
    found = check_default(T.QUOTE, code, series(code, T.QUOTE, name=name), year=YEAR)

    assert [finding.code for finding in found] == (["past_year"] if year else [])
    assert all(year in finding.message for finding in found)


def test_rule_9_warns_of_one_series_for_sales_and_purchases() -> None:
    """Whichever of its types is looked at; work reports belong to neither side."""
    both = series("F", T.QUOTE, T.PURCHASE_ORDER)

    assert codes(T.QUOTE, both) == ["sales_and_purchases"] == codes(T.PURCHASE_ORDER, both)
    assert codes(T.QUOTE, series("F", T.QUOTE, T.WORK_REPORT)) == []


@pytest.mark.parametrize(
    ("effective", "available", "code"), [("", 0, "no_series"), ("", 2, "no_default"), ("F", 1, None), ("F", 3, None)]
)
def test_rule_10_warns_of_a_type_left_alone(effective: str, available: int, code: str | None) -> None:
    """No series at all, or several and none chosen."""
    assert [finding.code for finding in check_coverage(T.QUOTE, effective, available)] == ([code] if code else [])


@pytest.mark.parametrize(
    ("number", "stored", "code", "blocks"),
    [
        (43, Counter(43, 42, YEAR), None, False),
        (42, Counter(43, 42, YEAR), "number_repeats", True),
        (1, Counter(43, 42, YEAR), "number_repeats", True),
        (42, Counter(42, 42, YEAR), "number_repeats", False),
        (1, Counter(43, 42, YEAR - 1), "counter_restarts", False),
        (1, Counter(), None, False),
    ],
)
def test_rule_11_a_counter_repeats_no_number(number: int, stored: Counter, code: str | None, blocks: bool) -> None:
    """This year's numbers are refused; a New Year restart is only warned of, with what to do about it."""
    finding = check_counter("F", T.SALES_INVOICE, number, stored, year=YEAR)

    assert (finding.code if finding else None) == code
    assert (finding.blocks if finding else False) is blocks
    assert code != "counter_restarts" or (finding and "{fecha}" in finding.message)


def test_previews_show_three_numbers_and_consume_none() -> None:
    """A hundred previews leave the counter where it was."""
    found = Series("F", counters={T.SALES_INVOICE: Counter(21043)})
    shown = {preview_numbers(found, T.SALES_INVOICE) for _ in range(100)}

    assert shown == {("F 21043", "F 21044", "F 21045")}
    assert preview_numbers(found, T.QUOTE) == ()


def test_every_guard_has_one_sentence_that_says_what_and_why() -> None:
    """A sentence a guard, filled in whole, ended by one full stop, and longer than a slogan."""
    texts = lookup("cgcore.series", "")
    for guard in GUARDS:
        assert texts[guard.code].endswith("."), guard.code
        assert len(texts[guard.code]) > 60, guard.code
    for entry in DOCUMENT_TYPES:
        wrong = series("f25", entry.code, T.SALES_INVOICE, T.PURCHASE_ORDER, kind=SeriesKind.CORRECTIVE, active=False)
        for finding in check_default(entry.code, "f25", wrong, company_code="G", year=YEAR):
            assert "{" not in finding.message
