"""Series as administrators keep them: concurrent edits, codes, switching off, deleting, starting."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from cgcore.activity import ActivityFilters
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, NotAllowed, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.series.series import SeriesDraft, SeriesKind, check_draft
from cgcore.series.starters import STARTER_SETS, StarterLayout
from cgcore.storage.series import raise_last_used
from cgcore.workbench import Workbench
from cgcore.workbench.activity import detail_words
from tests.servers.house import add_series, add_user
from tests.servers.identity import set_clock

T = DocumentType


@pytest.fixture
def admin(workbench_on_each: Workbench) -> Actor:
    """The administrator of the house."""
    return add_user(workbench_on_each, "ana", Role.ADMIN)


def draft(code: str = "F", number: int = 1, *types: DocumentType) -> SeriesDraft:
    """A draft that serves ``types``, Facturas where none is named."""
    return SeriesDraft(code, "Facturas", next_numbers=dict.fromkeys(types or (T.SALES_INVOICE,), number))


def refusal(error: pytest.ExceptionInfo[InvalidInput]) -> list[tuple[str, str]]:
    """Field and code of each problem."""
    return [(problem.field, problem.code) for problem in error.value.problems]


def test_a_series_comes_back_as_it_was_saved(workbench_on_each: Workbench, admin: Actor) -> None:
    """Name, kind, types and counters."""
    workbench_on_each.series.add(admin, draft("F", 21043, T.SALES_INVOICE, T.QUOTE))
    stored = workbench_on_each.series.get(admin, "f")

    assert stored.as_json() == {
        "code": "F",
        "name": "Facturas",
        "kind": "ordinaria",
        "active": True,
        "document_types": {"quote": 21043, "sales_invoice": 21043},
        "version": 1,
    }
    assert workbench_on_each.series.preview(admin, "F", T.SALES_INVOICE) == ("F 21043", "F 21044", "F 21045")


def test_the_second_of_two_editors_is_told_and_no_number_is_lost(workbench_on_each: Workbench, admin: Actor) -> None:
    """A stale save is refused with what stands there now; the first save stays."""
    section = workbench_on_each.series
    read = section.add(admin, draft("F", 10))
    section.save(admin, draft("F", 20), read.version)
    with pytest.raises(StaleVersion) as caught:
        section.save(admin, draft("F", 11), read.version)

    assert caught.value.stored["document_types"] == {"sales_invoice": 20}
    assert section.get(admin, "F").counters[T.SALES_INVOICE].next_number == 20


def test_numbers_taken_by_many_editors_at_once_are_all_different(workbench_on_each: Workbench, admin: Actor) -> None:
    """Four editors read the counter and save the next one, ten times each: stale saves are told and tried again."""
    section = workbench_on_each.series
    section.add(admin, draft("F", 1))
    taken: list[int] = []
    faults: list[Exception] = []
    start = threading.Barrier(4)

    def take_ten() -> None:
        start.wait()
        for _ in range(10):
            while True:
                read = section.get(admin, "F")
                number = read.counters[T.SALES_INVOICE].next_number
                try:
                    section.save(admin, draft("F", number + 1), read.version)
                except StaleVersion:
                    continue
                except Exception as fault:
                    faults.append(fault)
                    return
                taken.append(number)
                break

    threads = [threading.Thread(target=take_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert sorted(taken) == list(range(1, 41))
    assert section.get(admin, "F").counters[T.SALES_INVOICE].next_number == 41


def test_a_counter_is_kept_while_its_type_is_taken_away(workbench_on_each: Workbench, admin: Actor) -> None:
    """Type off, type on: the number offered again is the one that was reached, and what was used is remembered."""
    section = workbench_on_each.series
    section.add(admin, draft("F", 500, T.SALES_INVOICE, T.QUOTE))
    with workbench_on_each.database.session() as session:
        raise_last_used(session, "F", T.SALES_INVOICE, 499, workbench_on_each.clock().year)
    without = section.save(admin, draft("F", 1, T.QUOTE), 1)
    with pytest.raises(InvalidInput) as caught:
        section.save(admin, draft("F", 499, T.SALES_INVOICE, T.QUOTE), without.version)

    assert not without.serves(T.SALES_INVOICE)
    assert refusal(caught) == [("next_number.sales_invoice", "number_repeats")]


def test_a_new_year_restart_is_allowed(workbench_on_each: Workbench, admin: Actor) -> None:
    """Numbers of an earlier year may come again; the warning is there to be shown before."""
    section = workbench_on_each.series
    read = section.add(admin, draft("F", 500))
    with workbench_on_each.database.session() as session:
        raise_last_used(session, "F", T.SALES_INVOICE, 499, workbench_on_each.clock().year)
    now = workbench_on_each.clock()
    set_clock(workbench_on_each, lambda: now.replace(year=now.year + 1, day=1))
    problems = section.check(admin, draft("F", 1))

    assert [(problem.code, problem.blocking) for problem in problems] == [("counter_restarts", False)]
    assert section.save(admin, draft("F", 1), read.version).counters[T.SALES_INVOICE].next_number == 1


@pytest.mark.parametrize(
    ("code", "problem"),
    [("", "code_empty"), ("   ", "code_empty"), (" F", "code_outer_space"), ("F ", "code_outer_space"),
     ("\u00a0F", "code_outer_space"), ("12345678901", "code_too_long"), ("F\nG", "code_unprintable"),
     ("F\u202eG", "code_unprintable"), ("F\x00", "code_unprintable"), ("F\u200bG", "code_unprintable")],
)  # fmt: skip
def test_a_code_that_misleads_is_refused(workbench: Workbench, code: str, problem: str) -> None:
    """Empty, blank at an end, too long, or with a sign that nobody sees; nothing is stored."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    with pytest.raises(InvalidInput) as caught:
        workbench.series.add(admin, draft(code))

    assert refusal(caught) == [("code", problem)]
    assert workbench.series.count(admin) == 0


@pytest.mark.parametrize("code", ["Ñ", "f", "A  B", "📄", "+1+1", "&amp;", "\\;--", "1234567890"])
def test_an_odd_code_is_kept_as_it_is(workbench: Workbench, code: str) -> None:
    """Warned of, stored letter by letter, found again."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    workbench.series.add(admin, draft(code))

    assert workbench.series.get(admin, code).code == code
    assert [series.code for series in workbench.series.list(admin, text=code)["items"]] == [code]


@pytest.mark.parametrize(("first", "second"), [("a", "A"), ("Straße", "STRASSE"), ("Ñ", "ñ")])
def test_case_makes_no_second_series(workbench_on_each: Workbench, admin: Actor, first: str, second: str) -> None:
    """«a» and «A» are one series."""
    workbench_on_each.series.add(admin, draft(first))
    with pytest.raises(InvalidInput) as caught:
        workbench_on_each.series.add(admin, draft(second))

    assert refusal(caught) == [("code", "code_taken")]
    assert workbench_on_each.series.count(admin) == 1


@pytest.mark.parametrize("number", [0, -1, 10**9, 10**30])
def test_an_impossible_number_is_refused(workbench: Workbench, number: int) -> None:
    """A next number is 1 to 999 999 999."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    with pytest.raises(InvalidInput) as caught:
        workbench.series.add(admin, draft("F", number))

    assert refusal(caught) == [("next_number.sales_invoice", "number_invalid")]


def test_all_problems_are_told_at_once(workbench: Workbench) -> None:
    """Nobody corrects one field only to hear of the next."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    with pytest.raises(InvalidInput) as caught:
        workbench.series.add(admin, SeriesDraft("F", "x" * 61, next_numbers={T.QUOTE: 0}))

    assert [field for field, _code in refusal(caught)] == ["name", "next_number.quote"]


def test_a_used_series_is_switched_off_instead_of_deleted(workbench_on_each: Workbench, admin: Actor) -> None:
    """Deleting is refused once a sent document bears a number of it; an unused one goes."""
    section = workbench_on_each.series
    used, unused = section.add(admin, draft("F")), section.add(admin, draft("G"))
    with workbench_on_each.database.session() as session:
        raise_last_used(session, "F", T.SALES_INVOICE, 1, workbench_on_each.clock().year)
    section.delete(admin, "G", unused.version)
    with pytest.raises(InvalidInput) as caught:
        section.delete(admin, "F", used.version)
    off = section.save(admin, replace(draft("F", 2), active=False), used.version)

    assert refusal(caught) == [("code", "series_in_use")]
    assert not off.active
    with pytest.raises(NotFound):
        section.get(admin, "G")


def test_a_used_series_that_changes_its_kind_of_invoice_is_warned_of(
    workbench_on_each: Workbench, admin: Actor
) -> None:
    """Complete and simplified invoices in one series: said, and not forbidden; an unused one may still be either."""
    section = workbench_on_each.series
    for code in ("F", "G"):
        section.add(admin, draft(code))
    with workbench_on_each.database.session() as session:
        raise_last_used(session, "F", T.SALES_INVOICE, 1, workbench_on_each.clock().year)
    used, unused = (section.check(admin, replace(draft(code, 2), kind=SeriesKind.SIMPLIFIED)) for code in ("F", "G"))

    assert [(problem.field, problem.code, problem.blocking) for problem in used] == [("kind", "kinds_mixed", False)]
    assert unused == ()


def test_what_a_change_leaves_behind_is_listed_before_and_recorded_after(
    workbench_on_each: Workbench, admin: Actor
) -> None:
    """The company's and the users' defaults that would become forbidden; nothing is replaced by another series."""
    section, luis = workbench_on_each.series, add_user(workbench_on_each, "luis")
    read = add_series(workbench_on_each, admin, "F", T.SALES_INVOICE, T.QUOTE)
    add_series(workbench_on_each, admin, "G", T.SALES_INVOICE)
    section.defaults.save(luis, {T.SALES_INVOICE: "F", T.QUOTE: "F"}, None)
    section.defaults.save_company(admin, {T.SALES_INVOICE: "F"}, None)
    less = SeriesDraft("F", next_numbers={T.QUOTE: 1})
    listed = section.list_orphans(admin, "F", less)
    section.save(admin, less, read.version)
    row = section.defaults.get(luis).row(T.SALES_INVOICE)

    assert [(choice.username, choice.document_type) for choice in listed] == [
        ("", T.SALES_INVOICE),
        ("luis", T.SALES_INVOICE),
    ]
    assert (row.own, row.effective, row.has_error) == ("F", "F", True)
    assert not section.defaults.get(luis).row(T.QUOTE).has_error
    trail = workbench_on_each.activity.list(admin, filters=ActivityFilters(action="series_defaults_orphaned"))["items"]
    assert [detail_words(entry) for entry in trail] == ["*: Facturas y luis: Facturas"]


@pytest.mark.parametrize("layout", StarterLayout)
def test_a_starter_set_is_created_whole(workbench_on_each: Workbench, admin: Actor, layout: StarterLayout) -> None:
    """Series and company defaults in one go; afterwards no default is wrong."""
    made = workbench_on_each.series.create_starter_set(admin, layout)
    expected = next(starter for starter in STARTER_SETS if starter.layout is layout)

    assert [series.code for series in made] == [entry.code for entry in expected.series]
    assert workbench_on_each.series.defaults.get(admin).findings == ()
    assert workbench_on_each.series.defaults.get_company(admin).choices == dict(expected.defaults)


def test_a_starter_set_meets_a_taken_code_and_creates_nothing(workbench_on_each: Workbench, admin: Actor) -> None:
    """Half a layout is never left behind."""
    add_series(workbench_on_each, admin, "r", T.SALES_INVOICE, kind=SeriesKind.CORRECTIVE)
    with pytest.raises(InvalidInput) as caught:
        workbench_on_each.series.create_starter_set(admin, StarterLayout.SINGLE)

    assert refusal(caught) == [("code", "starter_code_taken")]
    assert workbench_on_each.series.count(admin) == 1


def test_pages_of_series_join(workbench_on_each: Workbench) -> None:
    """By code, each once; text narrows and a wildcard is plain text."""
    admin = add_user(workbench_on_each, "ana", Role.ADMIN)
    for number in range(7):
        add_series(workbench_on_each, admin, f"S{number}", T.QUOTE, active=number != 3)
    first = workbench_on_each.series.list(admin, limit=4)
    second = workbench_on_each.series.list(admin, cursor=first["next"], limit=4)

    assert [series.code for page in (first, second) for series in page["items"]] == [f"S{n}" for n in range(7)]
    assert second["next"] is None
    assert [series.code for series in workbench_on_each.series.list(admin, active=False)["items"]] == ["S3"]
    assert [series.code for series in workbench_on_each.series.list(admin, text="s5")["items"]] == ["S5"]
    assert workbench_on_each.series.list(admin, text="%")["items"] == []


def test_a_user_reads_series_and_changes_none(workbench: Workbench) -> None:
    """Every changing use case is the administrators'."""
    admin, luis = add_user(workbench, "ana", Role.ADMIN), add_user(workbench, "luis")
    read = add_series(workbench, admin, "F", T.QUOTE)
    section = workbench.series
    refused = (
        lambda: section.add(luis, draft("G")),
        lambda: section.save(luis, draft("F", 9, T.QUOTE), read.version),
        lambda: section.delete(luis, "F", read.version),
        lambda: section.check(luis, draft("G")),
        lambda: section.list_orphans(luis, "F", None),
        lambda: section.create_starter_set(luis, StarterLayout.SINGLE),
        lambda: section.defaults.get_company(luis),
        lambda: section.defaults.save_company(luis, {}, None),
        lambda: section.defaults.list_overridden(luis, [T.QUOTE]),
    )
    for use_case in refused:
        with pytest.raises(NotAllowed):
            use_case()

    assert section.get(luis, "F") == read


@pytest.mark.parametrize("sign", ["<", ">", '"', "'", "=", "’", "“", "＜", "＝", "‹"])
def test_what_no_invoice_number_may_hold_is_an_error(sign: str) -> None:
    """The agency refuses the sign, and what looks like it is no better; what it only advises against stays advice."""
    problems = check_draft(draft(f"A{sign}1"), {}, year=2026)
    advised = check_draft(draft("añ"), {}, year=2026)

    assert [(p.field, p.code, p.blocking) for p in problems] == [("code", "forbidden_characters", True)]
    assert [(p.code, p.blocking) for p in advised] == [("foreign_characters", False)]


def test_a_code_from_before_the_rule_is_kept() -> None:
    """Its series can still be changed and switched off; another series cannot take such a code."""
    kept = check_draft(draft("A'1"), {}, year=2026, stored_code="A'1")

    assert [p for p in kept if p.blocking] == []
    assert any(p.blocking for p in check_draft(draft("B'1"), {}, year=2026, stored_code="A'1"))


def test_a_letter_composed_or_not_is_the_same_series(workbench_on_each: Workbench, admin: Actor) -> None:
    """«AÑ» with one letter, or with a combining tilde: one series, in one form, found by either."""
    section = workbench_on_each.series
    section.add(admin, draft("AN\u0303"))
    with pytest.raises(InvalidInput) as refused:
        section.add(admin, draft("A\u00d1"))

    assert [p.code for p in refused.value.problems if p.blocking] == ["code_taken"]
    assert section.get(admin, "an\u0303").code == "A\u00d1"
