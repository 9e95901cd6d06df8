"""«Series por defecto» as its users meet it, without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.documents import DOCUMENT_TYPES, DocumentType, SeriesGroup
from cgcore.identity.actor import Actor, Role
from cgcore.series.drafts import SeriesDraft
from cgcore.series.kinds import SeriesKind
from cgcore.series.starters import StarterLayout
from cgcore.workbench import Workbench
from pages.ui.series.everybody import ANSWER
from pages.ui.series.target import Whose
from tests.servers.house import add_series
from tests.servers.pages import open_page, sign_in

T = DocumentType
SCRIPT = "series_defaults.py"


@pytest.fixture
def admin(workbench: Workbench) -> Actor:
    """An administrator who is logged in, over one series per document type and two more."""
    actor = sign_in(workbench, "ana", Role.ADMIN)
    workbench.series.create_starter_set(actor, StarterLayout.PER_DOCUMENT)
    add_series(workbench, actor, "P2", T.QUOTE, number=21043)
    return actor


@pytest.fixture
def luis(workbench: Workbench, admin: Actor) -> Actor:
    """A user who is logged in."""
    del admin
    return sign_in(workbench, "luis")


def words(page: AppTest) -> str:
    """Every text in sight."""
    elements = (*page.markdown, *page.caption, *page.error, *page.warning, *page.info)
    return "\n".join(str(element.value) for element in elements)


def choose(page: AppTest, kind: DocumentType, code: str, prefix: str = "series_defaults_me_") -> AppTest:
    """Choose a series for a type."""
    return page.selectbox(f"{prefix}_{kind}").set_value(code).run()


def save(page: AppTest) -> AppTest:
    """Press Guardar."""
    return page.button("series_defaults_save").click().run()


def test_nobody_without_a_log_in_sees_it(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """Whom the gate does not vouch for gets a sentence and no field."""
    page = open_page(monkeypatch, workbench, None, SCRIPT)

    assert not page.exception
    assert page.error
    assert not page.selectbox


def test_every_type_has_one_row_in_its_group(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """Guardar first, three groups with exactly these names, each type once, and why its series applies."""
    page = open_page(monkeypatch, workbench, luis, SCRIPT)

    assert not page.exception
    assert page.button[0].label == "Guardar"
    assert [group.value for group in page.subheader] == [group.value for group in SeriesGroup]
    assert [box.label for box in page.selectbox] == [
        entry.series_label for group in SeriesGroup for entry in DOCUMENT_TYPES if entry.group is group
    ]
    assert "**F** · la de la empresa · próximo número **F 1**" in words(page)
    assert "Asunto: Adjunto Factura F 1 de" in words(page)
    assert not page.segmented_control


def test_a_choice_is_marked_saved_and_still_there(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """The mark appears with the change, goes with Guardar, and a new session shows the same."""
    page = open_page(monkeypatch, workbench, luis, SCRIPT)
    marked = choose(page, T.QUOTE, "P2")
    before = words(marked)
    stored_before = workbench.series.defaults.get(luis).choices
    saved = save(marked)
    again = open_page(monkeypatch, workbench, luis, SCRIPT)

    assert "Hay cambios sin guardar" in before
    assert "**P2** · elegida por ti · próximo número **P2 21043**" in before
    assert stored_before == {}
    assert "Hay cambios sin guardar" not in words(saved)
    assert workbench.series.defaults.get(luis).choices == {T.QUOTE: "P2"}
    assert again.selectbox("series_defaults_me__quote").value == "P2"
    assert workbench.series.get(luis, "P2").counters[T.QUOTE].next_number == 21043


def test_what_is_forbidden_is_not_offered_and_a_stored_one_is_shown_with_its_error(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """Rectificativas never; a series that was switched off stays in sight, and nothing replaces it."""
    workbench.series.defaults.save(luis, {T.QUOTE: "P2"}, None)
    workbench.series.save(admin, SeriesDraft("P2", active=False, next_numbers={T.QUOTE: 21043}), 1)
    page = open_page(monkeypatch, workbench, luis, SCRIPT)
    invoices = page.selectbox("series_defaults_me__sales_invoice").options

    assert not any(option.startswith("R") for option in invoices)
    assert page.selectbox("series_defaults_me__quote").value == "P2"
    assert "está desactivada" in words(page)
    assert "badge[:material/error: Error]" in words(page)


def test_a_stale_save_shows_both_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """Two tabs: the second sees what stands there, keeps its own choice, and may save it."""
    second = open_page(monkeypatch, workbench, luis, SCRIPT)
    choose(second, T.QUOTE, "P2")
    workbench.series.defaults.save(luis, {T.QUOTE: "P"}, None)
    refused = save(second)
    texts = [text.value for text in refused.text]
    kept = refused.selectbox("series_defaults_me__quote").value
    mine = refused.button("series_defaults_stale_mine").click().run()

    assert "Presupuestos" in texts
    assert {"P2", "P"} <= set(texts)
    assert kept == "P2"
    assert not mine.exception
    assert workbench.series.defaults.get(luis).choices == {T.QUOTE: "P2"}


def test_an_administrator_chooses_for_another_user(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """The other one's defaults change, the administrator's own do not."""
    page = open_page(monkeypatch, workbench, admin, SCRIPT)
    page.segmented_control("series_defaults_target").set_value(Whose.OTHER).run()
    prefix = f"series_defaults_other_{luis.user_id}"
    choose(page, T.QUOTE, "P2", prefix)
    save(page)

    assert not page.exception
    assert workbench.series.defaults.get(luis).choices == {T.QUOTE: "P2"}
    assert workbench.series.defaults.get(admin).choices == {}


def test_for_everybody_asks_before_own_choices_go(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """Guardar lists whose choice goes and stores nothing; the answer stores and removes."""
    workbench.series.defaults.save(luis, {T.QUOTE: "P"}, None)
    page = open_page(monkeypatch, workbench, admin, SCRIPT)
    page.segmented_control("series_defaults_target").set_value(Whose.ALL).run()
    choose(page, T.QUOTE, "P2", "series_defaults_all_")
    save(page)
    asked = [text.value for text in page.text]
    between = workbench.series.defaults.get_company(admin).choices[T.QUOTE]
    # AppTest does not reach buttons inside a dialog; this is what «Poner para todos» leaves behind.
    page.session_state[ANSWER] = True
    page.run()
    row = workbench.series.defaults.get(luis).row(T.QUOTE)

    assert "luis: Presupuestos usa P" in asked
    assert between == "P"
    assert (row.own, row.effective) == (None, "P2")


def test_the_check_runs_and_its_output_stays(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """A step a type; a new session shows the stored output, and a change makes it «Modificado»."""
    page = open_page(monkeypatch, workbench, luis, SCRIPT)
    page.button("series_defaults_check").click().run()
    passed = words(page)
    steps = [step.label for step in page.expander]
    workbench.series.defaults.save(luis, {T.QUOTE: "P2"}, None)
    later = open_page(monkeypatch, workbench, luis, SCRIPT)

    assert "Todas las series por defecto son correctas" in passed
    assert len(steps) == len(DOCUMENT_TYPES)
    assert "Modificado" in words(later)


def test_an_empty_house_says_what_to_do(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """No series at all: a sentence, and no fault."""
    actor = sign_in(workbench, "ana", Role.ADMIN)
    page = open_page(monkeypatch, workbench, actor, SCRIPT)

    assert not page.exception
    assert any("Administración" in info.value for info in page.info)


def test_odd_codes_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor) -> None:
    """Markup in a code or a name is text: no link, no image, no colour."""
    name = "![x](http://malo.example/x.png)"
    workbench.series.add(admin, SeriesDraft(":red[x]", name, SeriesKind.ORDINARY, True, {T.WORK_REPORT: 1}))
    workbench.series.defaults.save(admin, {T.WORK_REPORT: ":red[x]"}, None)
    page = open_page(monkeypatch, workbench, admin, SCRIPT)

    assert not page.exception
    assert r"\:red\[x\]" in words(page)
    assert ":red[x]" not in words(page)
    assert "](http" not in words(page)
