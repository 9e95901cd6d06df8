"""«Administración», «Mi usuario» and «Actividad» as their users meet them, without a browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from cgcore.activity import Action
from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.series.series import SeriesDraft, SeriesKind
from cgcore.series.starters import STARTER_SETS, StarterLayout, StarterSet
from cgcore.storage.series import raise_last_used
from cgcore.texts import join
from cgcore.workbench import Workbench
from cgcore.workbench.users import Particulars
from pages.ui.admin.series import OPEN as OPEN_SERIES
from pages.ui.admin.users import OPEN as OPEN_USER
from pages.ui.texts import administration as texts
from tests.servers.house import add_series
from tests.servers.pages import open_page, panel, save, sign_in, words

T = DocumentType


@pytest.fixture
def admin(workbench: Workbench) -> Actor:
    """An administrator who is logged in."""
    return sign_in(workbench, "ana", Role.ADMIN)


def set_filter(page: AppTest, key: str, value: str) -> AppTest:
    """Set one filter of Actividad, and take the others back."""
    page.text_input("activity_search").set_value(value if key == "search" else "")
    page.selectbox("activity_action").set_value(value if key == "action" else "")
    page.text_input("activity_user").set_value(value if key == "user" else "")
    page.segmented_control("activity_result").set_value(value if key == "result" else "")
    page.segmented_control("activity_days").set_value(value if key == "days" else "always")
    return page.run()


def in_sight_and_in_file(page: AppTest, files: list[Callable[[], bytes]]) -> tuple[list[str], list[str]]:
    """Which lines the table shows, and which the file holds that is offered below it."""
    things = ("hoy", "mes", "smtp", "vieja")
    shown = [thing for thing in things if any(f"**{thing}**" in what for what in page.table[0].value["Quién y qué"])]
    rows = csv.reader(io.StringIO(files[-1]().decode("utf-8-sig")), delimiter=";")
    written = {row[3] for row in rows}
    return shown, [thing for thing in things if thing in written]


def test_a_user_has_no_administration(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor) -> None:
    """The page does not exist for them, nor any more for somebody who loses the role while it is open."""
    luis, eva = sign_in(workbench, "luis"), sign_in(workbench, "eva", Role.ADMIN)
    page = open_page(monkeypatch, workbench, eva, "administration.py")
    before = [box.label for box in page.text_input]
    workbench.users.save(admin, "eva", Particulars(role=Role.USER), 1)
    page.run()

    assert texts.TAX_ID in before
    assert texts.TAX_ID not in [box.label for box in page.text_input]
    with pytest.raises(ValueError, match="Could not find a navigation page"):
        open_page(monkeypatch, workbench, luis, "administration.py")


def test_the_company_is_saved_and_a_wrong_tax_number_stands_beside_its_field(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Nothing saved and nothing lost on a wrong number; the right one is stored."""
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.text_input("administration_company_name").set_value("Tosma").run()
    page.text_input("administration_company_tax_id").set_value("B12345675").run()
    refused = save(page)
    told, kept = words(refused), refused.text_input("administration_company_name").value
    before = workbench.company.get(admin).version
    page.text_input("administration_company_tax_id").set_value("b-12345674").run()
    saved = save(page)

    assert "carácter de control" in told
    assert (kept, before) == ("Tosma", 0)
    assert not saved.exception
    assert workbench.company.get(admin).tax_id == "B12345674"
    assert saved.text_input("administration_company_tax_id").value == "B12345674"
    assert "Hay cambios sin guardar" not in words(saved)


def test_the_logo_is_uploaded_changed_and_removed(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Each at Guardar and not before; a file that is no image is told beside the field, and nothing typed is lost."""
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.text_input("administration_company_name").set_value("Tosma").run()
    page.text_input("administration_company_tax_id").set_value("B12345674").run()
    page.text_area("administration_company_address").set_value("C/ Mayor, 1\n28001 Madrid").run()
    upload_logo(page, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    refused = words(save(page))
    kept = page.text_area("administration_company_address").value, workbench.company.get(admin).version
    widths: list[int | None] = []
    for width in (40, 60):
        upload_logo(page, picture(width))
        widths.append(logo_width(workbench))
        save(page)
    page.button("administration_company_logo_removal").click().run()
    widths.append(logo_width(workbench))
    asked = words(page)
    stored = workbench.company.get(admin)
    save(page)

    assert "No se puede leer la imagen del logotipo" in refused
    assert kept == ("C/ Mayor, 1\n28001 Madrid", 0)
    assert widths == [None, 40, 60]
    assert (stored.name, stored.tax_id, stored.address) == ("Tosma", "B12345674", "C/ Mayor, 1\n28001 Madrid")
    assert texts.LOGO_REMOVED in asked
    assert logo_width(workbench) is None
    assert texts.LOGO_NONE in words(page)
    assert workbench.company.get(admin).address == stored.address


def upload_logo(page: AppTest, data: bytes) -> None:
    """Choose a file for the logo; the uploader has another key after each save."""
    page.file_uploader[0].set_value(("logo.png", data, "image/png")).run()
    assert not page.exception


def picture(width: int) -> bytes:
    """A PNG, half as high as wide."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, width // 2), "#0b6bcb").save(buffer, "PNG")
    return buffer.getvalue()


def logo_width(workbench: Workbench) -> int | None:
    """The width of the stored logo, in pixels; None without one."""
    logo = workbench.company.get(Actor(0, "")).logo
    return logo.width if logo else None


def test_the_company_has_its_default_series_here_too(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Chosen and saved with the same Guardar, and nobody's own choice goes."""
    workbench.company.save(admin, CompanyDraft("Tosma"), 0)
    add_series(workbench, admin, "P", T.QUOTE)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.selectbox("series_defaults_all__quote").set_value("P").run()
    save(page)

    assert "Cambiarlas no renumera nada" in words(page)
    assert workbench.series.defaults.get_company(admin).choices == {T.QUOTE: "P"}
    assert workbench.company.get(admin).version == 1


def test_the_company_finds_its_series_among_many(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """A list offers fifty; the search appears with the fifty-first, and one that was out of sight can be chosen."""
    for number in range(50):
        add_series(workbench, admin, f"S{number:02}", T.QUOTE)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    labels = [field.label for field in page.text_input]
    add_series(workbench, admin, "Z", T.QUOTE)
    offered = page.run().selectbox("series_defaults_all__quote").options
    page.text_input("administration_company_series_search").set_value("z").run()
    page.selectbox("series_defaults_all__quote").set_value("Z").run()
    save(page)

    assert "Buscar serie" not in labels
    assert (len(offered), "Z" in offered) == (51, False)
    assert not page.exception
    assert workbench.series.defaults.get_company(admin).choices == {T.QUOTE: "Z"}


def test_a_stale_choice_of_the_company_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Of two administrators the second sees both series of the type, and «Guardar lo mío» stores theirs."""
    workbench.company.save(admin, CompanyDraft("Tosma"), 0)
    for code in ("P", "Q"):
        add_series(workbench, admin, code, T.QUOTE)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.selectbox("series_defaults_all__quote").set_value("P").run()
    version = workbench.series.defaults.get_company(admin).version
    workbench.series.defaults.save_company(admin, {T.QUOTE: "Q"}, version)
    shown = [text.value for text in save(page).text]
    page.button("administration_stale_mine").click().run()

    assert {"P", "Q"} <= set(shown)
    assert not page.exception
    assert workbench.series.defaults.get_company(admin).choices == {T.QUOTE: "P"}


@pytest.mark.parametrize("starter", STARTER_SETS, ids=lambda starter: starter.layout.value)
def test_a_starter_set_is_one_click(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, starter: StarterSet
) -> None:
    """Three sets on an empty page; one click makes every series of the set, and the list follows."""
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "series")
    offered = [button.label for button in page.button].count(texts.STARTER_CREATE)
    page.button(f"administration_starter_{starter.layout}").click().run()
    codes = [draft.code for draft in starter.series]

    assert offered == len(StarterLayout)
    assert not page.exception
    assert [series.code for series in workbench.series.list(admin)["items"]] == sorted(codes)
    assert "**PF** · Proformas" in words(page)
    assert [toast.value for toast in page.toast] == [f"Series creadas: {join(codes)}"]


def test_a_series_is_added_changed_and_shown_with_its_next_numbers(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """New series: code, a type, a number; the preview consumes nothing; a wrong code is told beside it."""
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "series")
    page.button("administration_series_new").click().run()
    page.text_input("administration_new_series_code").set_value("F ").run()
    page.checkbox("administration_new_series_serves_sales_invoice").check().run()
    page.number_input("administration_new_series_number_sales_invoice").set_value(21043).run()
    refused = words(save(page))
    page.text_input("administration_new_series_code").set_value("F").run()
    preview = words(page)
    saved = save(page)
    page.text_input("administration_series_F_name").set_value("Facturas").run()
    save(page)
    stored = workbench.series.get(admin, "F")

    assert "no puede empezar ni acabar con un espacio" in refused
    assert "F 21043, F 21044 y F 21045" in preview
    assert not saved.exception
    assert (stored.name, stored.counters[T.SALES_INVOICE].next_number, stored.version) == ("Facturas", 21043, 2)


def test_the_editor_warns_beside_what_it_stores(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Kind, types and each next number are stored; what is merely unwise is said in orange, and blocks nothing."""
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "series")
    page.button("administration_series_new").click().run()
    page.text_input("administration_new_series_code").set_value("f2019")
    page.segmented_control("administration_new_series_kind").set_value(SeriesKind.SIMPLIFIED)
    numbers = {T.SALES_INVOICE: 5, T.PROFORMA_INVOICE: 9, T.PURCHASE_ORDER: 21043}
    for kind in numbers:
        page.checkbox(f"administration_new_series_serves_{kind}").check()
    page.run()
    for kind, number in numbers.items():
        page.number_input(f"administration_new_series_number_{kind}").set_value(number)
    told = [line for line in words(page.run()).splitlines() if ":orange[" in line or ":red[" in line]
    saved = save(page)

    assert len(told) == 4
    for text in ("Hacienda aconseja", "un año pasado", "Facturas y Facturas proforma", "a la vez ventas y compras"):
        assert [line.startswith(":orange[:material/warning:") for line in told if text in line] == [True]
    assert not saved.exception
    assert workbench.series.get(admin, "f2019").as_json() == {
        "code": "f2019",
        "name": "",
        "kind": "simplificada",
        "active": True,
        "document_types": {kind.value: number for kind, number in numbers.items()},
        "version": 1,
    }


def test_a_used_series_is_switched_off_and_not_deleted(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Once a sent document bears its number: nothing to delete it by, and why; another kind of invoice is warned of."""
    add_series(workbench, admin, "F", T.SALES_INVOICE, number=8)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[OPEN_SERIES] = ("edit", "F")
    buttons = [button.label for button in panel(page, "series").button]
    before = words(page)
    with workbench.database.session() as session:
        raise_last_used(session, "F", T.SALES_INVOICE, 7, workbench.clock().year)
    page.segmented_control("administration_series_F_kind").set_value(SeriesKind.SIMPLIFIED).run()
    after = words(page)
    page.toggle("administration_series_F_active").set_value(False).run()
    save(page)
    stored = workbench.series.get(admin, "F")

    assert texts.SERIES_DELETE in buttons
    assert texts.SERIES_DELETE not in [button.label for button in page.button]
    assert texts.USED_NOTE not in before
    assert texts.USED_NOTE in after
    assert "documentos de la otra clase" in after
    assert (stored.active, stored.kind) == (False, SeriesKind.SIMPLIFIED)


def test_a_stale_series_shows_both_counters(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Somebody else moved the counter: both numbers in sight, and neither is lost."""
    add_series(workbench, admin, "F", T.SALES_INVOICE, number=10)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[OPEN_SERIES] = ("edit", "F")
    panel(page, "series")
    page.number_input("administration_series_F_number_sales_invoice").set_value(15).run()
    workbench.series.save(admin, SeriesDraft("F", next_numbers={T.SALES_INVOICE: 20}), 1)
    shown = [text.value for text in save(page).text]

    assert {"15", "20"} <= set(shown)
    assert workbench.series.get(admin, "F").counters[T.SALES_INVOICE].next_number == 20


def test_switching_a_series_off_asks_first_and_names_who_is_left(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """The list of defaults that would point at it; until the answer nothing is stored."""
    add_series(workbench, admin, "P", T.QUOTE)
    luis = sign_in(workbench, "luis")
    workbench.series.defaults.save(luis, {T.QUOTE: "P"}, None)
    page = open_page(monkeypatch, workbench, admin, "administration.py")
    page.session_state[OPEN_SERIES] = ("edit", "P")
    panel(page, "series")
    page.toggle("administration_series_P_active").set_value(False).run()
    asked = [text.value for text in save(page).text]

    assert "luis: Presupuestos" in asked
    assert workbench.series.get(admin, "P").active


def test_a_user_is_added_and_the_last_administrator_stays(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """A new user without password; making oneself a plain user is refused beside the field."""
    page = panel(open_page(monkeypatch, workbench, admin, "administration.py"), "users")
    page.button("administration_user_new").click().run()
    page.text_input("administration_new_user_username").set_value("eva").run()
    added = save(page)
    link = "\n".join(code.value for code in added.code)
    page.session_state[OPEN_USER] = ("edit", "ana")
    page.run()
    page.segmented_control(f"administration_user_{admin.user_id}_role").set_value(Role.USER).run()
    refused = words(save(page))

    assert "/nueva-contrasena/" in link
    assert not workbench.users.get(admin, "eva").has_password
    assert "única persona que administra" in refused
    assert workbench.users.get(admin, "ana").role is Role.ADMIN


def test_the_own_particulars_are_saved_and_the_log_ins_listed(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Name and mail; a wrong mail is told and kept; this log-in is marked."""
    page = open_page(monkeypatch, workbench, admin, "profile.py")
    page.text_input("profile_mail").set_value("nada").run()
    refused = words(page.button("profile_save").click().run())
    before = workbench.users.get(admin, "ana").version
    page.text_input("profile_mail").set_value("ana@tosma.es").run()
    page.text_input("profile_full_name").set_value("Ana Gil").run()
    page.button("profile_save").click().run()
    stored = workbench.users.get(admin, "ana")

    assert "no parece una dirección" in refused
    assert before == 1
    assert (stored.full_name, stored.mail, stored.role) == ("Ana Gil", "ana@tosma.es", Role.ADMIN)
    assert "Esta sesión" in words(page)


def line(*parts: str) -> str:
    """What a line of the table says; none that breaks begins with a dot."""
    return "\N{NO-BREAK SPACE}· ".join(parts)


def test_the_trail_is_shown_inert_and_only_to_whom_it_belongs(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Markup in an object is text, a type has its Spanish name; a user sees no line of somebody else."""
    luis = sign_in(workbench, "luis")
    workbench.context.activity.record(admin, Action.SERIES_ADDED, "![x](http://malo.example/x.png)")
    workbench.context.activity.record(luis, Action.PROBE_RUN, "smtp", result="auth_failed")
    workbench.context.activity.record(admin, Action.TEMPLATE_SAVED, T.DELIVERY_NOTE)
    workbench.context.activity.record(admin, Action.SERIES_SAVED, "quote")
    own = open_page(monkeypatch, workbench, luis, "activity.py").table[0].value
    all_lines = open_page(monkeypatch, workbench, admin, "activity.py").table[0].value

    # No more columns than a phone has room for.
    assert (*own.columns, *all_lines.columns[2:]) == ("Cuándo", "Resultado", "Qué", "Quién y qué")
    assert not any("malo" in what for what in own["Qué"])
    lines = list(all_lines["Quién y qué"])
    assert any(r"\!\[x\]\(http" in each for each in lines)
    assert {line("ana", "Cambió una plantilla", "**Albaranes**"), line("ana", "Cambió una serie", "**quote**")} <= set(
        lines
    )
    assert any(each.startswith(line("luis", "")) for each in lines)


def test_the_trail_is_narrowed_and_turned_over(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Fifty lines a page; the second page goes on where the first ended; a filter starts from the first again."""
    for number in range(70):
        workbench.context.activity.record(admin, Action.SERIES_SAVED, f"S{number:02}")
    page = open_page(monkeypatch, workbench, admin, "activity.py")
    first = len(page.table[0].value)
    page.button("activity_next").click().run()
    second = list(page.table[0].value["Quién y qué"])
    page.text_input("activity_search").set_value("S07").run()

    assert first == 50
    assert line("ana", "Cambió una serie", "**S19**") in second
    assert list(page.table[0].value["Quién y qué"]) == [line("ana", "Cambió una serie", "**S07**")]


def test_each_filter_narrows_the_lines_and_the_file_alike(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """Search, action, user, result and «Desde»: the file holds the lines in sight, and no other."""
    luis, now = sign_in(workbench, "luis"), workbench.clock()
    happened = [
        (admin, Action.SERIES_SAVED, "vieja", "ok", 40 * 24),
        (admin, Action.SERIES_SAVED, "mes", "ok", 10 * 24),
        (luis, Action.PROBE_RUN, "smtp", "auth_failed", 3 * 24),
        # A little ahead, so that it is today's on both sides of midnight.
        (admin, Action.SERIES_ADDED, "hoy", "ok", -1),
    ]
    for actor, action, thing, result, hours in happened:
        with monkeypatch.context() as moved:
            moved.setitem(vars(workbench.context), "clock", lambda hours=hours: now - timedelta(hours=hours))
            workbench.context.activity.record(actor, action, thing, result)
    files: list[Callable[[], bytes]] = []
    monkeypatch.setattr("streamlit.download_button", lambda _label, data, **_: files.append(data))
    page = open_page(monkeypatch, workbench, admin, "activity.py")
    seen = {
        value: in_sight_and_in_file(set_filter(page, key, value), files)
        for key, value in (
            ("search", "me"),
            ("action", Action.SERIES_ADDED),
            ("user", "luis"),
            ("result", "error"),
            ("days", "today"),
            ("days", "week"),
            ("days", "30 días"),
            ("days", "Siempre"),
        )
    }

    assert seen == {
        "me": (["mes"], ["mes"]),
        Action.SERIES_ADDED: (["hoy"], ["hoy"]),
        "luis": (["smtp"], ["smtp"]),
        "error": (["smtp"], ["smtp"]),
        "today": (["hoy"], ["hoy"]),
        "week": (["hoy", "smtp"], ["hoy", "smtp"]),
        "30 días": (["hoy", "mes", "smtp"], ["hoy", "mes", "smtp"]),
        "Siempre": (["hoy", "mes", "smtp", "vieja"], ["hoy", "mes", "smtp", "vieja"]),
    }


def test_who_can_make_series_is_not_sent_to_somebody_else(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor
) -> None:
    """An administrator is told where; a user, who does it."""
    theirs = words(open_page(monkeypatch, workbench, admin, "overview.py"))
    of_a_user = words(open_page(monkeypatch, workbench, sign_in(workbench, "luis"), "overview.py"))

    assert ("Créalas en «Administración»" in theirs, "una persona que administra" in theirs) == (True, False)
    assert ("Créalas en «Administración»" in of_a_user, "una persona que administra" in of_a_user) == (False, True)
