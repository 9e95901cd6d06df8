"""«Valores por defecto para envío» in a real browser: nothing typed is lost, nothing lands in another type."""

from __future__ import annotations

import io
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Dialog, Locator, Page, expect

from cgcore.company.company import CompanyDraft
from cgcore.documents import types_with_template
from cgcore.identity.actor import Actor, Role
from cgcore.templates.stored import default_source
from tests.servers.browser import log_in, settled, shoot
from tests.servers.house import add_login, open_beside
from tests.servers.product import Product
from tests.servers.vectors import XSS

pytestmark = pytest.mark.e2e

_PATH = "/valores-por-defecto"


@dataclass(frozen=True, slots=True)
class Desk:
    """The running product and a user of it whose templates nobody has touched."""

    product: Product
    user: str


@pytest.fixture
def fresh(product: Product) -> Desk:
    """A new user."""
    return Desk(product, add_login(product, "Eva Gil"))


def open_page(page: Page, desk: Desk) -> None:
    log_in(page, desk.product, _PATH, user=desk.user)
    expect(page.get_by_role("tab")).to_have_count(7)
    expect(editor(page, "quote")).to_be_visible()


def name_company(desk: Desk, *, logo: bytes | None = None) -> None:
    """Give the company its name, and a logo."""
    with open_beside(desk.product) as workbench:
        admin = Actor(0, "", role=Role.ADMIN)
        workbench.company.save(admin, CompanyDraft("Tosma, SL", logo=logo), workbench.company.get(admin).version)


def panel(page: Page) -> Locator:
    return page.get_by_role("tabpanel").filter(visible=True)


def editor(page: Page, kind: str) -> Locator:
    scope = ".st-key-cell_signature" if kind == "signature" else f".st-key-{kind}_editor"
    return page.locator(f"{scope} iframe").last.content_frame.locator(".ql-editor")


def type_at_end(page: Page, kind: str, text: str) -> None:
    editor(page, kind).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def subject(page: Page) -> Locator:
    return page.get_by_label("Asunto", exact=True).filter(visible=True)


def save(page: Page) -> None:
    page.get_by_role("button", name="Guardar", exact=True).click()


def expect_saved(page: Page) -> None:
    expect(page.get_by_text("Guardado", exact=True).first).to_be_visible()
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    settled(page)


def reload(page: Page) -> None:
    page.reload()
    expect(editor(page, "quote")).to_be_visible()
    settled(page)


def test_typing_and_saving_at_once_keeps_the_last_key(page: Page, fresh: Desk) -> None:
    """The editor hands over its last characters after the click; they are saved all the same, in this type only."""
    open_page(page, fresh)
    type_at_end(page, "quote", " Fin")
    page.keyboard.type("al!")
    save(page)
    expect_saved(page)
    reload(page)

    expect(editor(page, "quote")).to_contain_text("Un saludo, Final!")
    page.get_by_role("tab", name="Pedidos", exact=True).click()
    expect(editor(page, "sales_order")).to_contain_text("Un saludo,")
    expect(editor(page, "sales_order")).not_to_contain_text("Final")
    expect(page.get_by_text("Todo guardado")).to_be_visible()


def test_drafts_survive_other_tabs_and_other_pages(page: Page, fresh: Desk) -> None:
    """What was typed in one type is there after a look at another type and at another page."""
    open_page(page, fresh)
    type_at_end(page, "quote", " UNO")
    page.get_by_role("tab", name="Albaranes").click()
    type_at_end(page, "delivery_note", " DOS")
    subject(page).fill("Albarán {numero}")
    page.get_by_role("tab", name="Presupuestos").click()
    expect(editor(page, "quote")).to_contain_text("UNO")
    expect(page.get_by_text("3 campos")).to_be_visible()
    page.get_by_role("link", name="Actividad").click()
    expect(page.get_by_role("heading", name="Actividad")).to_be_visible()
    settled(page)
    page.get_by_role("link", name="Valores por defecto para envío").click()
    expect(editor(page, "quote")).to_contain_text("UNO")
    expect(page.get_by_text("3 campos")).to_be_visible()
    page.get_by_role("tab", name="Albaranes").click()

    expect(editor(page, "delivery_note")).to_contain_text("DOS")
    expect(editor(page, "delivery_note")).not_to_contain_text("UNO")
    expect(subject(page)).to_have_value("Albarán {numero}")
    save(page)
    expect_saved(page)
    reload(page)
    expect(editor(page, "quote")).to_contain_text("UNO")


def test_a_tab_that_opens_at_once_loses_no_key(page: Page, fresh: Desk) -> None:
    """Of the editor or of the subject, by mouse and by keyboard; one editor of a body is there at a time."""
    open_page(page, fresh)
    type_at_end(page, "quote", " UNO")
    page.get_by_role("tab", name="Albaranes").click()
    expect(editor(page, "delivery_note")).to_be_visible()
    expect(page.locator("[class*=_editor] iframe")).to_have_count(1)
    subject(page).click()
    page.keyboard.press("End")
    page.keyboard.type(" DOS")
    page.get_by_role("tab", name="Presupuestos").click()
    type_at_end(page, "quote", " TRES")
    page.get_by_role("tab", name="Presupuestos").focus()
    page.keyboard.press("ArrowRight")
    expect(editor(page, "sales_order")).to_be_visible()
    settled(page)
    save(page)
    expect_saved(page)
    reload(page)

    expect(editor(page, "quote")).to_contain_text("Un saludo, UNO TRES")
    page.get_by_role("tab", name="Albaranes").click()
    expect(subject(page)).to_have_value(re.compile(" DOS$"))


def test_a_mistake_is_said_and_put_right_with_one_click(page: Page, fresh: Desk) -> None:
    """The error names the variable, the click corrects it, and the preview shows its value."""
    open_page(page, fresh)
    type_at_end(page, "quote", " {nunero}")
    expect(page.get_by_text("¿Quisiste decir")).to_be_visible()
    expect(panel(page).get_by_text("Con errores")).to_be_visible()
    shoot(page, "plantillas-error")
    page.get_by_role("button", name="Poner {numero}").click()
    expect(editor(page, "quote")).to_contain_text("Un saludo, {numero}")

    expect(page.get_by_text("¿Quisiste decir")).to_have_count(0)
    expect(preview(page)).to_contain_text("Un saludo, 21043")
    expect(page.get_by_text("1 campo", exact=True)).to_have_count(0)


def preview(page: Page) -> Locator:
    outer = page.locator("iframe[title='Vista previa del mensaje']:visible, .stIFrame iframe:visible").first
    return outer.content_frame.locator("iframe").content_frame.locator("body")


def insert(page: Page, variable: str) -> None:
    page.get_by_role("button", name="Insertar variable").click()
    page.get_by_role("radio", name=variable, exact=True).click()


def test_a_variable_goes_in_at_the_cursor(page: Page, fresh: Desk) -> None:
    """At the end where nothing was written, in the middle of the body or of the subject; once, and nothing is lost."""
    open_page(page, fresh)
    insert(page, "Referencia")
    expect(editor(page, "quote")).to_contain_text("Un saludo, {referencia}")
    editor(page, "quote").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("N.º ")
    insert(page, "Número")
    page.keyboard.type(": y sigue. ")
    expect(editor(page, "quote")).to_contain_text("N.º {numero}: y sigue. Hola")
    subject(page).click()
    page.keyboard.press("Home")
    insert(page, "Fecha")
    page.keyboard.type(" ")
    expect(subject(page)).to_have_value(re.compile(r"^\{fecha\} Adjunto \{documento\}"))
    save(page)
    expect_saved(page)
    reload(page)

    expect(editor(page, "quote")).to_contain_text("N.º {numero}: y sigue. Hola")
    expect(editor(page, "quote")).not_to_contain_text("{fecha}")
    assert editor(page, "quote").inner_text().count("{referencia}") == 1
    expect(subject(page)).to_have_value(re.compile(r"^\{fecha\} Adjunto \{documento\}"))


def test_the_companys_logo_goes_in_at_the_cursor(page: Page, fresh: Desk) -> None:
    """Where it was written last, once, in its own size; the cursor stays behind it."""
    picture = io.BytesIO()
    Image.new("RGB", (400, 100), "#0b6bcb").save(picture, "PNG")
    name_company(fresh, logo=picture.getvalue())
    open_page(page, fresh)
    text, image = editor(page, "quote"), editor(page, "quote").locator("img")
    text.click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("De ")
    page.get_by_role("button", name="Poner el logo de la empresa").click()
    expect(image).to_have_attribute("alt", "Logotipo de {empresa}")
    page.keyboard.type(": ")
    expect(text.locator("p").first).to_contain_text("De : Hola")
    save(page)
    expect_saved(page)
    reload(page)

    expect(text.locator("p").first.locator("img")).to_have_count(1)
    expect(image).to_have_count(1)
    assert [image.get_attribute(name) for name in ("width", "height")] == ["200", "50"]
    assert text.locator("p").first.inner_text().startswith("De : Hola")


def test_an_editor_that_the_page_loads_anew_goes_on_with_what_was_typed(page: Page, fresh: Desk) -> None:
    """As where something above it comes or goes: the text that it began with is older than what stands in it."""
    open_page(page, fresh)
    type_at_end(page, "quote", " Hasta luego.")
    frame = page.locator(".st-key-quote_editor iframe")
    frame.evaluate("frame => new Promise(done => { frame.onload = done; frame.contentWindow.location.reload(); })")
    expect(editor(page, "quote")).to_contain_text("Hasta luego.")
    type_at_end(page, "quote", " Y gracias.")
    save(page)
    expect_saved(page)
    reload(page)

    expect(editor(page, "quote")).to_contain_text("Hasta luego. Y gracias.")


def test_an_opening_brace_proposes(page: Page, fresh: Desk) -> None:
    """By the name as it is shown or written, with or without accents; Escape leaves what was typed."""
    open_page(page, fresh)
    frame = page.locator(".st-key-quote_editor iframe").content_frame
    type_at_end(page, "quote", " Ref. {refe")
    expect(frame.get_by_role("option")).to_have_text([re.compile("^Referencia")])
    shoot(page, "plantillas-proponer")
    page.keyboard.press("Enter")
    page.keyboard.type(", {núm")
    page.keyboard.press("Tab")
    page.keyboard.type(" y {el")
    page.keyboard.press("Escape")
    expect(frame.get_by_role("option")).to_have_count(0)
    expect(editor(page, "quote")).to_contain_text("Ref. {referencia}, {numero} y {el")
    page.keyboard.press("Control+Backspace")
    page.keyboard.press("Backspace")
    subject(page).click()
    page.keyboard.press("End")
    page.keyboard.type(" a {cli")
    shoot(page, "plantillas-proponer-asunto")
    page.get_by_role("option").first.click()

    expect(subject(page)).to_have_value(re.compile(r"\{empresa\} a \{cliente\}$"))
    expect(page.get_by_role("option")).to_have_count(0)


def test_a_logo_is_inserted_saved_and_previewed(page: Page, fresh: Desk, tmp_path: Path) -> None:
    """The image button takes a file; the message carries it; the missing text is offered."""
    logo = tmp_path / "logo.png"
    Image.new("RGB", (160, 60), "#0b6bcb").save(logo)
    open_page(page, fresh)
    frame = page.locator(".st-key-quote_editor iframe").content_frame
    editor(page, "quote").click()
    page.keyboard.press("Control+End")
    with page.expect_file_chooser() as chooser:
        frame.locator("button.ql-image").click()
    chooser.value.set_files(logo)
    expect(editor(page, "quote").locator("img")).to_have_count(1)
    # The size is chosen where the picture stands; none is made larger than it is.
    expect(frame.get_by_role("button", name="Completa")).to_have_attribute("aria-pressed", "true")
    frame.get_by_role("button", name="Pequeña").click()
    expect(editor(page, "quote").locator("img")).to_have_attribute("width", "150")
    expect(editor(page, "quote").locator("img")).to_have_attribute("height", "56")
    expect(page.get_by_text("imágenes incrustadas: 1").filter(visible=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("Logotipo de")).click()
    expect(editor(page, "quote").locator("img")).to_have_attribute("alt", "Logotipo de {empresa}")
    save(page)
    expect_saved(page)
    shoot(page, "plantillas-logo")
    reload(page)

    expect(editor(page, "quote").locator("img")).to_have_attribute("alt", "Logotipo de {empresa}")
    expect(page.get_by_text("no tiene texto alternativo")).to_have_count(0)


def test_restore_discard_and_history_lead_back(page: Page, fresh: Desk) -> None:
    """Each changes the draft; nothing is stored before Guardar."""
    open_page(page, fresh)
    type_at_end(page, "quote", " PRIMERA")
    save(page)
    expect_saved(page)
    page.get_by_role("button", name="Restaurar cuerpo").filter(visible=True).click()
    expect(editor(page, "quote")).not_to_contain_text("PRIMERA")
    expect(page.get_by_text("Hay cambios sin guardar")).to_be_visible()
    page.get_by_role("button", name="Descartar cambios").click()
    expect(editor(page, "quote")).to_contain_text("PRIMERA")
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    page.get_by_role("button", name="Restaurar cuerpo").filter(visible=True).click()
    save(page)
    expect_saved(page)
    page.get_by_role("button", name="Historial y diferencias").filter(visible=True).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").click()
    page.get_by_role("option", name=re.compile("Versión 1")).click()
    expect(dialog.get_by_text("PRIMERA")).to_be_visible()
    shoot(page, "plantillas-historial")
    dialog.get_by_role("button", name="Recuperar esta versión").click()

    expect(editor(page, "quote")).to_contain_text("PRIMERA")
    expect(page.get_by_text("Hay cambios sin guardar")).to_be_visible()


def test_the_export_comes_back_cleaned_after_a_look_at_the_changes(page: Page, fresh: Desk, tmp_path: Path) -> None:
    """An import shows what would change, and brings in nothing that runs."""
    open_page(page, fresh)
    with page.expect_download() as download:
        page.get_by_role("button", name="Exportar plantillas").click()
    value = json.loads(Path(download.value.path()).read_text())
    value["users"][0]["templates"] = {
        "quote": {
            "subject": "Traído {numero}",
            "body": "<p>Traído<script>document.title='x'</script><img src=x onerror=alert(1)></p>",
        }
    }
    changed = tmp_path / "cambiado.json"
    changed.write_text(json.dumps(value))
    page.locator("input[type=file]").last.set_input_files(changed)
    expect(page.get_by_text(re.compile("Campos que cambiarían: [1-9]"))).to_be_visible()
    shoot(page, "plantillas-importar")
    page.get_by_role("button", name="Importar estos cambios").click()
    expect(page.get_by_text("Plantillas importadas")).to_be_visible()
    settled(page)

    expect(subject(page)).to_have_value("Traído {numero}")
    expect(editor(page, "quote")).to_contain_text("Traído")
    expect(editor(page, "quote").locator("script, [onerror]")).to_have_count(0)
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    assert page.title() != "x"


def test_every_way_to_look_at_the_message(page: Page, fresh: Desk) -> None:
    """Seven types, six views, the hostile sample, the file."""
    open_page(page, fresh)
    for entry in reversed(types_with_template()):
        page.get_by_role("tab", name=entry.tab, exact=True).click()
        expect(editor(page, entry.code)).to_contain_text("Un saludo,")
        expect(subject(page)).to_have_value(default_source(entry.code).subject)
        shoot(page, f"plantillas-tipo-{entry.code}")
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    for view in ("Móvil", "Sin imágenes", "Oscuro", "Texto", "Código", "Ordenador"):
        panel(page).get_by_text(view, exact=True).click()
        settled(page)
        shoot(page, f"plantillas-vista-{view.split()[0].lower()}")
    panel(page).get_by_role("combobox").first.click()
    page.get_by_role("option", name=re.compile("Caso difícil")).click()
    expect(panel(page).get_by_text("quedan vacías")).to_be_visible()
    shoot(page, "plantillas-dificil")
    with page.expect_download() as download:
        panel(page).get_by_role("button", name="Descargar .eml").click()
    raw = Path(download.value.path()).read_bytes()

    assert b"multipart/mixed" in raw
    assert b"Content-Type: application/pdf" in raw


def paste(page: Page, html: str) -> None:
    """Paste markup from the clipboard, where another program has put it as it is."""
    page.evaluate(
        """html => {
            const fill = event => { event.clipboardData.setData('text/html', html); event.preventDefault(); };
            document.addEventListener('copy', fill, {once: true});
            document.execCommand('copy');
        }""",
        html,
    )
    page.keyboard.press("Control+V")


def test_the_preview_cannot_run_or_fetch_anything(page: Page, fresh: Desk, tracker: socket.socket) -> None:
    """Pasted markup with scripts and remote images does nothing to the page and asks nobody."""
    open_page(page, fresh)
    title = page.title()
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    seen_by = "http://{}:{}".format(*tracker.getsockname())
    editor(page, "quote").click()
    paste(page, f"<p>Pegado <img src='{seen_by}/x.png' onerror=\"top.document.title='hackeado'\"></p>")
    for vector in XSS:
        paste(page, vector.replace("alert(1)", "top.document.title='hackeado',alert(1)"))
    paste(page, "<p>y fin</p>")
    expect(editor(page, "quote")).to_contain_text("Pegado")
    expect(preview(page)).to_contain_text("y fin")
    settled(page)
    shoot(page, "plantillas-pegado")

    expect(panel(page).get_by_text("Una imagen está en otra web").first).to_be_visible()
    expect(preview(page).locator("script, svg, iframe, object, form, img[onerror]")).to_have_count(0)
    assert (page.title(), dialogs) == (title, [])
    with pytest.raises(BlockingIOError):
        tracker.accept()


def test_the_message_on_the_screen_is_sent_to_oneself(page: Page, fresh: Desk) -> None:
    """«Enviarme una prueba» takes the unsaved draft through the own account; it arrives as the preview shows it."""
    # A message never names a company that is not the own one.
    name_company(fresh)
    log_in(page, fresh.product, "/cuenta-mail", user=fresh.user)
    page.get_by_role("button", name="¿Quieres probar sin que salga nada?").click()
    page.get_by_role("button", name="Usar el buzón de pruebas").click()
    settled(page)
    save(page)
    expect_saved(page)
    page.get_by_role("link", name="Valores por defecto para envío").click()
    expect(editor(page, "quote")).to_be_visible()
    subject(page).fill("Prueba de {documento} {numero}")
    type_at_end(page, "quote", " Hasta pronto")
    expect(panel(page).get_by_text("Prueba de Presupuesto").first).to_be_visible()
    expect(preview(page)).to_contain_text("Hasta pronto")
    settled(page)
    panel(page).get_by_role("button", name="Enviarme una prueba").click()
    expect(page.locator(".st-key-cell_template_mail").get_by_text("Correcto")).to_be_visible()
    shoot(page, "plantillas-enviada")
    page.get_by_role("link", name="Bandeja de pruebas").click()
    settled(page)

    expect(page.get_by_role("radio", name=re.compile("Prueba de Presupuesto"))).to_be_checked()
    arrived = page.frame_locator("iframe").first.frame_locator("iframe")
    expect(arrived.get_by_text("Hasta pronto")).to_be_visible()
    shoot(page, "plantillas-recibida")
