"""«Series por defecto» as its users meet it, without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.documents import DOCUMENT_TYPES, DocumentType, SeriesGroup
from cgcore.identity.actor import Actor, Role
from cgcore.series.series import SeriesDraft, SeriesKind
from cgcore.series.starters import StarterLayout
from cgcore.workbench import Workbench
from cgcore.workbench.activity import detail_words
from cgcore.workbench.users import Particulars
from pages.ui.series.target import ANSWER, Whose
from pages.ui.texts import identity as identity_texts
from pages.ui.texts import series_defaults as texts
from tests.servers.house import add_series
from tests.servers.pages import PASSWORD, open_page, sign_in

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


def open_tab(page: AppTest) -> str:
    """The tab that the page opens with."""
    tabs = next(block for block in page.main.children.values() if block.type == "tab_container")
    return page.tabs[tabs.proto.tab_container.default_tab_index].label


def next_numbers(workbench: Workbench, actor: Actor) -> dict[str, dict[str, int]]:
    """The next number of every type in every series."""
    return {series.code: series.as_json()["document_types"] for series in workbench.series.list(actor)["items"]}


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
    assert [group.value for group in page.header] == [group.label for group in SeriesGroup]
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


@pytest.mark.parametrize("whose", Whose)
def test_changing_a_default_renumbers_nothing_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor, whose: Whose
) -> None:
    """For whomever it is chosen: every counter of every series stays as it was."""
    del luis
    before = next_numbers(workbench, admin)
    page = open_page(monkeypatch, workbench, admin, SCRIPT)
    page.segmented_control("series_defaults_target").set_value(whose).run()
    told = words(page)
    prefix = str(page.selectbox[-1].key).removesuffix("_work_report")
    save(choose(page, T.QUOTE, "P2", prefix))

    assert not page.exception
    assert "no renumera nada" in told
    assert "P2" in words(page)
    assert detail_words(workbench.activity.list(admin)["items"][0]).endswith("→ P2")
    assert next_numbers(workbench, admin) == before


def test_the_companys_takes_the_own_choice_away(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """The first option says what applies then; nothing of one's own is stored after Guardar, for that type only."""
    workbench.series.defaults.save(luis, {T.QUOTE: "P2", T.SALES_ORDER: "PV"}, None)
    page = open_page(monkeypatch, workbench, luis, SCRIPT)
    first = page.selectbox("series_defaults_me__quote").options[0]
    save(choose(page, T.QUOTE, ""))
    row = workbench.series.defaults.get(luis).row(T.QUOTE)

    assert first == "(la de la empresa: P)"
    assert "**P** · la de la empresa · próximo número **P 1**" in words(page)
    assert (row.own, row.effective) == (None, "P")
    assert workbench.series.defaults.get(luis).choices == {T.SALES_ORDER: "PV"}


def test_why_a_series_applies_stands_beside_it(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """One series: the only one. Two: none, until one is chosen. What the company has none of says so."""
    admin = sign_in(workbench, "ana", Role.ADMIN)
    add_series(workbench, admin, "P", T.QUOTE, number=7)
    alone = open_page(monkeypatch, workbench, admin, SCRIPT)
    option, only = alone.selectbox("series_defaults_me__quote").options[0], words(alone)
    add_series(workbench, admin, "Q", T.QUOTE)
    both = words(alone.run())
    chosen = words(choose(alone, T.QUOTE, "Q"))

    assert option == "(la de la empresa: ninguna)"
    assert "**P** · la única disponible · próximo número **P 7**" in only
    assert "la única" not in both
    assert "hay varias" in both
    assert "**Q** · elegida por ti · próximo número **Q 1**" in chosen


def test_each_type_with_a_template_has_a_link_to_its_own(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, luis: Actor
) -> None:
    """In the order of the page, as many as there are subjects; what the link carries opens the tab of that type."""
    page = open_page(monkeypatch, workbench, luis, SCRIPT)
    links = [link.proto.query_string for link in page.get("page_link") if link.proto.label == texts.TO_TEMPLATE]
    entries = [entry for group in SeriesGroup for entry in DOCUMENT_TYPES if entry.group is group]
    kinds = [entry.code.value for entry in entries if entry.has_template]
    target = open_page(monkeypatch, workbench, luis, "sending_defaults.py")
    opened = [open_tab(target)]
    for kind in ("sales_invoice", "purchase_invoice"):
        target.query_params["tipo"] = kind
        opened.append(open_tab(target.run()))

    assert links == [f"tipo={kind}" for kind in kinds]
    assert words(page).count("Asunto: ") == len(kinds)
    assert opened == ["Presupuestos", "Facturas ventas", "Presupuestos"]


def test_a_warning_stands_beside_its_row_and_does_not_block(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Each in the row of its type, as soon as it is chosen; and all the choices are saved."""
    admin = sign_in(workbench, "ana", Role.ADMIN)
    add_series(workbench, admin, "P2019", T.QUOTE)
    add_series(workbench, admin, "ñ", T.SALES_ORDER)
    add_series(workbench, admin, "M", T.DELIVERY_NOTE, T.PURCHASE_DELIVERY_NOTE)
    add_series(workbench, admin, "S", T.SALES_INVOICE, kind=SeriesKind.SIMPLIFIED)
    choices = {T.QUOTE: "P2019", T.SALES_ORDER: "ñ", T.DELIVERY_NOTE: "M", T.SALES_INVOICE: "S"}
    add_series(workbench, admin, "X", *choices)
    page = open_page(monkeypatch, workbench, admin, SCRIPT)
    for kind, code in choices.items():
        choose(page, kind, code)
    told = [line for line in words(page).splitlines() if ":orange[" in line and "Ninguna serie activa" not in line]
    save(page)

    # The last one: the series of Albaranes is the only one of purchases too.
    said = ("un año pasado", "Hacienda aconseja", "ventas y compras", "simplificada", "ventas y compras")
    assert [text in line for line, text in zip(told, said, strict=True)] == [True] * len(said)
    assert all(line.startswith(":orange[:material/warning:") for line in told)
    assert ":material/error:" not in words(page)
    assert workbench.series.defaults.get(admin).choices == choices


def test_an_error_blocks_and_stands_beside_its_row(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """A series that was switched off after it was chosen: said in its row, no row is saved, nothing chosen is lost."""
    page = choose(open_page(monkeypatch, workbench, luis, SCRIPT), T.QUOTE, "P2")
    choose(page, T.SALES_ORDER, "PV")
    workbench.series.save(admin, SeriesDraft("P2", active=False, next_numbers={T.QUOTE: 21043}), 1)
    refused = save(page)
    told, kept = words(refused), refused.selectbox("series_defaults_me__quote").value
    mended = words(save(choose(page, T.QUOTE, "P")))

    assert not refused.exception
    assert "No se ha guardado nada" in told
    assert any(
        line.startswith(":red[:material/error:") and "«P2» está desactivada" in line for line in told.splitlines()
    )
    assert kept == "P2"
    assert "No se ha guardado nada" not in mended
    assert workbench.series.defaults.get(luis).choices == {T.QUOTE: "P", T.SALES_ORDER: "PV"}


def test_resumen_flags_a_default_whose_series_was_switched_off(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, luis: Actor
) -> None:
    """There as here, for its owner; it stays what it was, and who chose another series sees nothing of it."""
    workbench.series.defaults.save(luis, {T.QUOTE: "P2"}, None)
    page = open_page(monkeypatch, workbench, luis, "overview.py")
    before = words(page)
    workbench.series.save(admin, SeriesDraft("P2", active=False, next_numbers={T.QUOTE: 21043}), 1)
    flagged = words(page.run())
    others = words(open_page(monkeypatch, workbench, admin, "overview.py"))
    here = words(page.switch_page(SCRIPT).run())

    for text in (flagged, here):
        assert "«P2» está desactivada" in text
        assert "badge[:material/error: Error]" in text
    assert "badge[:material/error: Error]" not in before
    assert "está desactivada" not in others
    assert "**P2** · elegida por ti" in here
    assert workbench.series.defaults.get(luis).choices == {T.QUOTE: "P2"}


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


def test_without_another_user_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Whole sentences, no field, and one's own defaults do not pass for somebody else's."""
    page = open_page(monkeypatch, workbench, admin, SCRIPT)
    page.segmented_control("series_defaults_target").set_value(Whose.OTHER).run()

    assert "Las series por defecto de otro usuario." in words(page)
    assert "No hay más usuarios" in words(page)
    assert not page.selectbox


def test_who_loses_the_role_chooses_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """«para todos» was in sight: the log-in has ended with the role, and the company's defaults stay."""
    eva = sign_in(workbench, "eva", Role.ADMIN)
    page = open_page(monkeypatch, workbench, eva, SCRIPT)
    page.segmented_control("series_defaults_target").set_value(Whose.ALL).run()
    choose(page, T.QUOTE, "P2", "series_defaults_all_")
    before = workbench.series.defaults.get_company(admin).choices
    workbench.users.save(admin, "eva", Particulars(role=Role.USER), 1)
    save(page)
    again = workbench.identity.sessions.log_in("eva", PASSWORD).actor
    anew = open_page(monkeypatch, workbench, again, SCRIPT)

    assert not page.exception
    assert identity_texts.SESSION_ENDED in words(page)
    assert not page.segmented_control
    assert not anew.segmented_control
    assert anew.selectbox("series_defaults_me__quote").value == ""
    assert workbench.series.defaults.get_company(admin).choices == before


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
    passed, shown = words(page), [str(element.value) for element in page.markdown]
    (steps,) = [value.splitlines() for value in shown if value.count("check_circle: ") > 1]
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
