"""Default series: what applies and why, independence of users, guards behind every door, stale saves."""

from __future__ import annotations

from itertools import count, product

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.errors import InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.series.defaults import EffectiveDefault, Reason, effective_default
from cgcore.series.guards import allows
from cgcore.series.series import Finding, SeriesDraft, SeriesKind
from cgcore.series.starters import StarterLayout
from cgcore.storage.series import list_allowed
from cgcore.storage.tables import SeriesDefaultRow, UserRow
from cgcore.workbench import Workbench
from cgcore.workbench.overview import SectionState
from cgcore.workbench.verdicts import verdict_texts
from tests.servers.house import add_series, add_user

T = DocumentType


@pytest.fixture
def admin(workbench_on_each: Workbench) -> Actor:
    """The administrator of the house."""
    return add_user(workbench_on_each, "ana", Role.ADMIN)


@pytest.mark.parametrize(
    ("own", "company", "available", "code", "reason"),
    [
        ("F", "G", ["H"], "F", Reason.USER),
        (None, "G", ["H"], "G", Reason.COMPANY),
        (None, None, ["H"], "H", Reason.ONLY_ONE),
        (None, None, ["H", "I"], "", Reason.NONE),
        (None, None, [], "", Reason.NONE),
        ("gone", "G", ["G"], "gone", Reason.USER),
    ],
)
def test_own_before_company_before_the_only_one(
    own: str | None, company: str | None, available: list[str], code: str, reason: Reason
) -> None:
    """Nothing else guesses, and a stored choice is never replaced."""
    assert effective_default(own, company, available) == EffectiveDefault(code, reason)


def test_a_new_user_has_none_and_sees_why(workbench_on_each: Workbench, admin: Actor) -> None:
    """One series: the only one, not stored. Two: none, and the row says so; a search narrows them."""
    luis = add_user(workbench_on_each, "luis")
    add_series(workbench_on_each, admin, "P", T.QUOTE)
    only = workbench_on_each.series.defaults.get(luis).row(T.QUOTE)
    add_series(workbench_on_each, admin, "Q", T.QUOTE)
    both = workbench_on_each.series.defaults.get(luis)
    found = workbench_on_each.series.defaults.get(luis, search="q").row(T.QUOTE)

    assert (only.own, only.effective, only.reason, only.next_number) == (None, "P", Reason.ONLY_ONE, "P 1")
    assert (both.row(T.QUOTE).effective, both.row(T.QUOTE).reason) == ("", Reason.NONE)
    assert [finding.code for finding in both.row(T.QUOTE).findings] == ["no_default"]
    assert [code for code, _name in found.options] == ["Q"]
    assert [row.document_type for row in both.rows] == [entry.code for entry in DOCUMENT_TYPES]
    assert both.as_json()["quote"] == {"series": None, "effective": None, "reason": "none"}


def test_two_users_are_independent(workbench_on_each: Workbench, admin: Actor) -> None:
    """What one chooses, the other does not get; a deleted user leaves nothing."""
    section = workbench_on_each.series.defaults
    luis, eva = add_user(workbench_on_each, "luis"), add_user(workbench_on_each, "eva")
    add_series(workbench_on_each, admin, "P", T.QUOTE)
    add_series(workbench_on_each, admin, "Q", T.QUOTE)
    section.save(luis, {T.QUOTE: "P"}, None)
    section.save(eva, {T.QUOTE: "Q"}, None)
    with workbench_on_each.database.session() as session:
        session.delete(session.get(UserRow, eva.user_id))
    with workbench_on_each.database.session() as session:
        left = session.get(SeriesDefaultRow, (eva.user_id, "quote"))

    assert section.get(luis).row(T.QUOTE).effective == "P"
    assert left is None


def test_anothers_defaults_look_like_nobodys(workbench_on_each: Workbench, admin: Actor) -> None:
    """A user gets the same answer for another user and for one who does not exist; an administrator reaches them."""
    section = workbench_on_each.series.defaults
    luis, eva = add_user(workbench_on_each, "luis"), add_user(workbench_on_each, "eva")
    add_series(workbench_on_each, admin, "P", T.QUOTE)
    for user_id in (eva.user_id, admin.user_id, 10**6):
        with pytest.raises(NotFound):
            section.get(luis, user_id)
        with pytest.raises(NotFound):
            section.save(luis, {T.QUOTE: "P"}, None, user_id)
    with pytest.raises(NotFound):
        section.get(admin, 10**6)
    section.save(admin, {T.QUOTE: "P"}, None, eva.user_id)

    assert section.get(eva).row(T.QUOTE).own == "P"
    assert section.get(luis).row(T.QUOTE).own is None


@pytest.mark.parametrize(
    ("document_type", "code", "problem"),
    [
        (T.SALES_INVOICE, "R", "corrective_series"),
        (T.PROFORMA_INVOICE, "FP", "proforma_on_invoice_series"),
        (T.QUOTE, "OFF", "series_disabled"),
        (T.QUOTE, "FP", "type_not_enabled"),
        (T.QUOTE, "nope", "series_unknown"),
        (T.QUOTE, "", "series_unknown"),
    ],
)
def test_a_forbidden_series_sent_by_hand_is_refused(
    workbench: Workbench, document_type: DocumentType, code: str, problem: str
) -> None:
    """The lists of the page are no boundary: own, other's and company's defaults are judged alike, all or nothing."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    add_series(workbench, admin, "R", *DocumentType, kind=SeriesKind.CORRECTIVE)
    add_series(workbench, admin, "FP", T.SALES_INVOICE, T.PROFORMA_INVOICE)
    add_series(workbench, admin, "OFF", T.QUOTE, active=False)
    add_series(workbench, admin, "O", T.SALES_ORDER)
    section, choices = workbench.series.defaults, {T.SALES_ORDER: "O", document_type: code}
    for save in (section.save, section.save_company):
        with pytest.raises(InvalidInput) as caught:
            save(admin, choices, None)

        assert [(found.field, found.code) for found in caught.value.problems] == [(document_type.value, problem)]
    assert section.get(admin).choices == {} == section.get_company(admin).choices
    assert code not in [option for option, _name in section.get(admin).row(document_type).options]


def test_for_everybody_sets_the_company_and_removes_own_choices(workbench_on_each: Workbench, admin: Actor) -> None:
    """Only of the types named, after a list of whose; without «para todos» own choices stay."""
    section, luis = workbench_on_each.series.defaults, add_user(workbench_on_each, "luis")
    add_series(workbench_on_each, admin, "P", T.QUOTE, T.SALES_ORDER)
    add_series(workbench_on_each, admin, "Q", T.QUOTE, T.SALES_ORDER)
    section.save(luis, {T.QUOTE: "P", T.SALES_ORDER: "P"}, None)
    section.save_company(admin, {T.QUOTE: "Q"}, None)
    warned = section.get(luis).row(T.QUOTE)
    listed = section.list_overridden(admin, [T.QUOTE])
    section.save_company(admin, {T.QUOTE: "Q"}, None, clear_own=True)
    after = section.get(luis)
    section.save_company(admin, {T.QUOTE: None}, None)
    removed = section.get(luis)

    assert (warned.effective, [finding.code for finding in warned.findings]) == ("P", ["differs_from_company"])
    assert [(choice.username, choice.series_code) for choice in listed] == [("luis", "P")]
    assert (after.row(T.QUOTE).effective, after.row(T.QUOTE).reason) == ("Q", Reason.COMPANY)
    assert after.row(T.SALES_ORDER).own == "P"
    assert (removed.row(T.QUOTE).effective, removed.row(T.QUOTE).reason) == ("", Reason.NONE)


def test_a_stale_save_is_refused_with_what_stands_there(workbench_on_each: Workbench, admin: Actor) -> None:
    """Two tabs: the second is told, the first save stays; the same choice again is no conflict."""
    section = workbench_on_each.series.defaults
    add_series(workbench_on_each, admin, "P", T.QUOTE)
    add_series(workbench_on_each, admin, "Q", T.QUOTE)
    read = section.get(admin).version
    section.save(admin, {T.QUOTE: "P"}, read)
    with pytest.raises(StaleVersion) as caught:
        section.save(admin, {T.QUOTE: "Q"}, read)
    back = section.save(admin, {T.QUOTE: None}, caught.value.version)

    assert caught.value.stored == {"quote": "P"}
    assert back.version == read


def test_an_orphan_does_not_block_the_other_rows(workbench_on_each: Workbench, admin: Actor) -> None:
    """A stored choice that became forbidden is flagged; saving another type goes on, and the orphan stays."""
    section = workbench_on_each.series.defaults
    read = add_series(workbench_on_each, admin, "P", T.QUOTE)
    add_series(workbench_on_each, admin, "O", T.SALES_ORDER)
    section.save(admin, {T.QUOTE: "P"}, None)
    workbench_on_each.series.delete(admin, "P", read.version)
    after = section.save(admin, {T.QUOTE: "P", T.SALES_ORDER: "O"}, None)

    assert after.choices == {T.QUOTE: "P", T.SALES_ORDER: "O"}
    assert [finding.code for finding in after.row(T.QUOTE).findings if finding.blocks] == ["series_unknown"]


def test_the_list_offered_and_the_guards_agree(workbench_on_each: Workbench, admin: Actor) -> None:
    """For every kind, state and set of types the database offers exactly what no guard forbids."""
    sets = [(entry,) for entry in DocumentType] + [(T.SALES_INVOICE, T.PROFORMA_INVOICE, T.PURCHASE_INVOICE)]
    made = [
        add_series(workbench_on_each, admin, f"S{number}", *types, kind=kind, active=active)
        for number, (types, kind, active) in enumerate(product(sets, SeriesKind, (True, False)))
    ]
    for entry in DocumentType:
        with workbench_on_each.database.session() as session:
            offered = [code for code, _name in list_allowed(session, limit=1000)[entry]]

        assert sorted(offered) == sorted(series.code for series in made if allows(entry, series))


def test_thousands_of_series_are_searched_not_listed(workbench: Workbench) -> None:
    """A select offers fifty; the search narrows them in the database."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    for number in range(130):
        add_series(workbench, admin, f"S{number:03}", T.QUOTE)
    row = workbench.series.defaults.get(admin).row(T.QUOTE)
    found = workbench.series.defaults.get(admin, search="s12").row(T.QUOTE)

    assert (len(row.options), row.more, row.reason) == (50, True, Reason.NONE)
    assert ([code for code, _name in found.options], found.more) == ([f"S12{n}" for n in range(10)], False)


def test_resumen_says_how_the_series_stand(workbench_on_each: Workbench, admin: Actor) -> None:
    """None at all, ready, a warning, and an orphan before everything else."""
    section = workbench_on_each.series
    empty = section.overview(admin)
    section.create_starter_set(admin, StarterLayout.SINGLE)
    ready = section.overview(admin)
    add_series(workbench_on_each, admin, "f", T.QUOTE)
    section.defaults.save(admin, {T.QUOTE: "f"}, None)
    warned = section.overview(admin)
    section.save(admin, SeriesDraft("f", active=False, next_numbers={T.QUOTE: 1}), 1)
    broken = section.overview(admin)

    assert [(line.state, line.code) for line in (empty, ready, warned, broken)] == [
        (SectionState.IDLE, "series_empty"),
        (SectionState.OK, "series_ready"),
        (SectionState.WARNING, "series_finding"),
        (SectionState.ERROR, "series_finding"),
    ]
    assert isinstance(broken.about, Finding)
    assert "«f» está desactivada" in broken.about.message


def test_resumen_names_a_broken_default_of_the_company_to_administrators(
    workbench_on_each: Workbench, admin: Actor
) -> None:
    """Also where an own choice stands before it; who does not keep it sees what counts for them."""
    section, luis = workbench_on_each.series, add_user(workbench_on_each, "luis")
    for code in ("P", "Q"):
        add_series(workbench_on_each, admin, code, T.QUOTE)
    section.defaults.save_company(admin, {T.QUOTE: "P"}, None)
    for actor in (admin, luis):
        section.defaults.save(actor, {T.QUOTE: "Q"}, None)
    section.save(admin, SeriesDraft("P", active=False, next_numbers={T.QUOTE: 1}), 1)

    line = section.overview(admin)
    assert line.state is SectionState.ERROR
    assert isinstance(line.about, Finding)
    assert "«P» está desactivada" in line.about.message
    assert section.overview(luis).state is not SectionState.ERROR


def test_a_check_is_stored_like_any_run(workbench: Workbench) -> None:
    """One entry per type with its findings, a verdict in words, a line in the activity log."""
    actor = add_user(workbench, "ana", Role.ADMIN)
    read = add_series(workbench, actor, "P", T.QUOTE)
    workbench.series.defaults.save(actor, {T.QUOTE: "P"}, None)
    workbench.series.save(actor, SeriesDraft("P", active=False, next_numbers={T.QUOTE: 1}), read.version)
    for _news in workbench.runs.follow(actor, workbench.series.checks.start(actor)):
        pass
    run = workbench.series.checks.find_last(actor)

    assert run is not None
    assert run.verdict is not None
    assert (run.verdict.key, verdict_texts(run.cell, run.verdict)[0]) == (
        "check_errors",
        "Hay series por defecto que no se pueden usar: 1.",
    )
    assert [entry["type"] for entry in (run.result or {})["types"]] == [entry.code for entry in DOCUMENT_TYPES]
    assert workbench.activity.list(actor)["items"][0].result == "check_errors"


_NUMBERS = count()
_STEP = st.one_of(
    st.tuples(st.just("toggle"), st.sampled_from("ABC")),
    st.tuples(st.just("retype"), st.sampled_from("ABC"), st.sets(st.sampled_from(list(T)[:6]), min_size=1)),
    st.tuples(st.just("kind"), st.sampled_from("ABC"), st.sampled_from(list(SeriesKind))),
    st.tuples(st.just("delete"), st.sampled_from("ABC")),
    st.tuples(st.just("choose"), st.sampled_from("ABC"), st.sampled_from(list(T)[:6])),
    st.tuples(st.just("company"), st.sampled_from("ABC"), st.sampled_from(list(T)[:6])),
)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, max_size=12))
def test_no_default_ever_points_at_a_forbidden_series_unreported(workbench: Workbench, steps: list[tuple]) -> None:
    """Whatever is enabled, disabled, retyped, deleted and chosen, in whatever order."""
    admin = add_user(workbench, f"ana{next(_NUMBERS)}", Role.ADMIN)
    section = workbench.series
    for code in "ABC":
        add_series(workbench, admin, code, *list(T)[:6])
    for step in steps:
        try:
            _apply(workbench, admin, *step)
        except (InvalidInput, NotFound):
            continue
    present = {series.code: series for series in section.list(admin)["items"]}
    for defaults in (section.defaults.get(admin), section.defaults.get_company(admin)):
        for row in defaults.rows:
            chosen = present.get(row.effective)
            forbidden = bool(row.effective) and (chosen is None or not allows(row.document_type, chosen))

            assert row.has_error is forbidden
    for series in present.values():
        section.delete(admin, series.code, series.version)
    section.defaults.save_company(admin, dict.fromkeys(T), None, clear_own=True)


def _apply(workbench: Workbench, admin: Actor, act: str, code: str, extra: object = None) -> None:
    section = workbench.series
    if act == "choose":
        section.defaults.save(admin, {extra: code}, None)  # type: ignore[dict-item]
        return
    if act == "company":
        section.defaults.save_company(admin, {extra: code}, None)  # type: ignore[dict-item]
        return
    stored = section.get(admin, code)
    if act == "delete":
        section.delete(admin, code, stored.version)
        return
    types = extra if act == "retype" else stored.counters
    kind = extra if act == "kind" else stored.kind
    active = not stored.active if act == "toggle" else stored.active
    draft = SeriesDraft(code, "", kind, active, dict.fromkeys(types, 1))  # type: ignore[arg-type]
    section.save(admin, draft, stored.version)
