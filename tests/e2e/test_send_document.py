"""«Enviar documento» in a real browser: written, seen, undone, sent into the test mailbox; and the same on a phone."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.servers.browser import log_in, settled, shoot, shoot_phone
from tests.shots import demonstration

pytestmark = pytest.mark.e2e

_PATIENCE_S = 60.0
# «Enviar», and while the page answers another view of the preview.
_TWO_CLICKS = """() => {
  const find = (kind, name) => [...document.querySelectorAll(kind)].find(each => each.innerText.trim().endsWith(name));
  const [send, view] = [find('button', 'Enviar'), find('[role=radio]', 'Texto')];
  send.click();
  setTimeout(() => view.click(), 20);
}"""


def _write(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def test_a_document_is_seen_undone_and_sent(page: Page) -> None:
    """Undone, it is still there; sent, its story is told and the message as it went can be had. Two clicks, another tab
    and a reload make one mail."""
    with demonstration() as (product, user, password):
        log_in(page, product, "/enviar-documento", user=user, password=password)
        for label, value in {
            "Número": "21043",
            "Cliente": "Comunidad Los Olivos",
            "Para": "administracion@losolivos.example",
            "Importe": "1.234,56 €",
        }.items():
            _write(page, label, value)
        page.get_by_label("Adjuntos", exact=True).locator("input[type=file]").set_input_files(
            files=[{"name": "Factura F-21043.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7" * 4000}]
        )
        expect(page.get_by_text("en el envío").or_(page.get_by_text("que admite tu servidor"))).to_be_visible()
        page.get_by_role("button", name="Vista previa").click()
        settled(page)
        expect(page.get_by_text("para administracion").first).to_be_visible()
        shoot(page, "enviar-documento-vista")
        _send_while_a_file_comes(page)
        page.get_by_role("button", name="Enviar", exact=True).click()
        expect(page.get_by_text("Se envía en")).to_be_visible()
        shoot(page, "enviar-documento-deshacer")
        page.get_by_role("button", name="Deshacer").click()
        expect(page.get_by_text("El documento sigue aquí")).to_be_visible()
        expect(page.get_by_label("Número", exact=True)).to_have_value("21043")
        page.get_by_role("button", name="Vista previa").click()
        page.get_by_role("button", name="Enviar", exact=True).dblclick()
        expect(page.get_by_text("Se envía en")).to_be_visible()
        other = page.context.new_page()
        other.goto(product.url + "/enviar-documento")
        settled(other)
        _write(other, "Número", "21043")
        _write(other, "Para", "administracion@losolivos.example")
        other.get_by_role("button", name="Vista previa").click()
        expect(other.get_by_text(re.compile("Ya está en «Enviados»|Ya se envió"))).to_be_visible()
        expect(other.get_by_role("button", name="Enviar", exact=True)).to_be_disabled()
        shoot(other, "enviar-documento-ya-enviado")
        other.close()
        now = page.get_by_role("button", name="Enviar ya")
        expect(now.or_(page.get_by_text("Aceptado por").first)).to_be_visible()
        if now.is_visible():
            now.click()
        expect(page.get_by_text("Aceptado por").first).to_be_visible()
        settled(page)
        shoot(page, "enviar-documento-enviado")
        page.reload()
        settled(page)
        page.get_by_role("tab", name="Enviados").click()
        settled(page)
        rows = page.get_by_role("radiogroup", name="Documentos enviados").get_by_role("radio")
        expect(rows).to_have_count(2)
        expect(page.get_by_test_id("stRadio").get_by_text("Cancelado · ")).to_have_count(1)
        with page.expect_download() as original:
            page.get_by_role("button", name="Ver mensaje (.eml)").click()
        shoot(page, "enviar-documento-enviados")
        page.set_viewport_size({"width": 390, "height": 844})
        settled(page)
        shoot(page, "enviar-documento-enviados-390")
        page.get_by_role("tab", name="Uno").click()
        settled(page)
        expect(page.get_by_label("Número", exact=True)).to_have_value("")
        shoot(page, "enviar-documento-390")

    raw = original.value.path().read_bytes()
    assert b"Factura_F-21043.pdf" in raw
    assert b"Planos.pdf" in raw


def test_on_a_phone_a_document_is_put_aside_gone_on_with_sent_and_another_noted(page: Page) -> None:
    """Put aside with its file, it outlives a reload and leaves from there; what went another way makes no mail.

    What was sent leaves also where its tab is closed at once.
    """
    page.set_viewport_size({"width": 390, "height": 844})
    with demonstration() as (product, user, password):
        log_in(page, product, "/enviar-documento", user=user, password=password)
        for label, value in {"Número": "7", "Cliente": "Talleres Ruiz", "Para": "luis@talleres.example"}.items():
            _write(page, label, value)
        page.get_by_label("Adjuntos", exact=True).locator("input[type=file]").set_input_files(
            files=[{"name": "F-7.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7" * 400}]
        )
        expect(page.get_by_text("en el envío")).to_be_visible()
        page.get_by_role("button", name="Guardar como borrador").click()
        expect(page.get_by_text("Guardado en «Borradores»")).to_be_visible()
        page.reload()
        settled(page)
        _open_tab(page, "Borradores")
        expect(page.get_by_text("Factura F 7 · Talleres Ruiz")).to_be_visible()
        page.get_by_role("button", name="Abrir").click()
        expect(page.get_by_text("Adjuntos del borrador")).to_be_visible()
        settled(page)
        expect(page.get_by_label("Para", exact=True)).to_have_value("luis@talleres.example")
        page.get_by_role("button", name="Vista previa").click()
        page.get_by_role("button", name="Enviar", exact=True).click()
        page.get_by_role("button", name="Enviar ya").click()
        expect(page.get_by_text("Aceptado por").first).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Otro documento").click()
        settled(page)
        _write(page, "Número", "8")
        page.get_by_role("button", name="Marcar como enviado").click()
        page.get_by_role("dialog").get_by_role("button", name="Marcar como enviado").click()
        expect(page.get_by_text("No salió por correo desde aquí.")).to_be_visible()
        settled(page)
        _open_tab(page, "Borradores")
        expect(page.get_by_text("No hay borradores.")).to_be_visible()
        _open_tab(page, "Enviados")
        rows = page.get_by_role("radiogroup", name="Documentos enviados").get_by_role("radio")
        expect(rows).to_have_count(2)
        page.get_by_test_id("stRadio").get_by_text("Factura F 7 · Talleres Ruiz").click()
        expect(page.get_by_text("En cola hasta: ")).to_be_visible()
        with page.expect_download() as original:
            page.get_by_role("button", name="Ver mensaje (.eml)").click()
        _send_and_close(page.context.new_page(), product.url + "/enviar-documento")
        page.goto(product.url + "/bandeja-de-pruebas")
        settled(page)
        end = time.monotonic() + _PATIENCE_S
        while not page.get_by_text("Adjunto Factura F 9 ").count() and time.monotonic() < end:
            page.reload()
            settled(page)
        arrived = page.get_by_text("Adjunto Factura F").all_inner_texts()

    raw = original.value.path().read_bytes()
    assert b'filename="F-7.pdf"' in raw or b"filename=F-7.pdf" in raw
    assert any("F 7" in text for text in arrived)
    assert not any("F 8" in text for text in arrived)
    assert any("F 9" in text for text in arrived), "also without the tab that has sent it"


def _send_while_a_file_comes(page: Page) -> None:
    """Press «Enviar» while a file is on a slow line: nothing leaves without it; once here, it is in the preview."""
    line = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Adjuntos", exact=True).locator("input[type=file]").set_input_files(
        files=[{"name": "Planos.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7" * 250_000}]
    )
    expect(page.get_by_text("Planos.pdf")).to_be_visible()
    page.get_by_role("button", name="Enviar", exact=True).click()
    expect(page.get_by_text("Un archivo se está subiendo todavía.")).to_be_visible()
    shoot(page, "enviar-documento-subiendo")
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    expect(page.get_by_text("y Planos.pdf · 2 MB")).to_be_visible()
    settled(page)
    expect(page.get_by_text("Un archivo se está subiendo todavía.")).to_have_count(0)


def _send_and_close(page: Page, address: str) -> None:
    """Send a document, and close the tab while it can still be undone."""
    page.goto(address)
    settled(page)
    for label, value in {"Número": "9", "Para": "luis@talleres.example"}.items():
        _write(page, label, value)
    page.get_by_role("button", name="Vista previa").click()
    settled(page)
    page.evaluate(_TWO_CLICKS)
    expect(page.get_by_text("Se envía en")).to_be_visible()
    page.close()


def _open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    settled(page)


def test_many_documents_are_understood_sent_and_told(page: Page) -> None:
    """A sheet of Excel and files: three lists, the yes, each row with its state, the result; and on a phone."""
    rows = [f"F;{number};Cliente {number};c{number}@ejemplo.example;{number},5 €" for number in range(1, 7)]
    sheet = "\r\n".join(["Serie;Número;Cliente;Correo;Importe", *rows, "F;7;Sin correo;;"]).encode("cp1252")
    names = ["F-1.pdf", "F-2.pdf", "F-3.pdf", "F-4.pdf", "F-5 (1).pdf", "F-99.pdf"]
    files: list[FilePayload] = [
        {"name": name, "mimeType": "application/pdf", "buffer": b"%PDF-1.7" * 900} for name in names
    ]
    with demonstration() as (product, user, password):
        log_in(page, product, "/enviar-documento", user=user, password=password)
        page.get_by_role("tab", name="Varios").click()
        settled(page)
        shoot(page, "varios-vacio")
        inputs = page.get_by_role("tabpanel", name="Varios").locator("input[type=file]")
        inputs.nth(0).set_input_files(files=[{"name": "enero.csv", "mimeType": "text/csv", "buffer": sheet}])
        inputs.nth(1).set_input_files(files=files)
        expect(page.get_by_text("Con PDF y fila · 4")).to_be_visible()
        settled(page)
        shoot(page, "varios-listas")
        shoot_phone(page, "varios-listas")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1280, "height": 900})
        settled(page)
        page.get_by_role("button", name="Enviar 4 documentos").click()
        page.get_by_role("button", name="Detener").click()
        expect(page.get_by_role("button", name="Continuar")).to_be_visible()
        settled(page)
        shoot(page, "varios-detenido")
        page.get_by_role("button", name="Continuar").click()
        expect(page.get_by_text(re.compile("4 enviados(?!,)"))).to_be_visible()  # no copy is pending
        settled(page)
        shoot(page, "varios-enviado")
        shoot_phone(page, "varios-enviado")
        with page.expect_download() as result:
            page.get_by_role("button", name="Resultado (CSV)").click()

    lines = result.value.path().read_text("utf-8-sig").splitlines()
    assert [line.split(";")[5] for line in lines[1:]] == [*["Enviado"] * 4, *["Sin enviar"] * 3]
