"""«Enviar documento» in a real browser: written, seen, undone, sent into the test mailbox; and the same on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import log_in, settled, shoot
from tests.shots import demonstration

pytestmark = pytest.mark.e2e


def _write(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def test_a_document_is_seen_undone_and_sent(page: Page) -> None:
    """Undone, it is still there; sent, its story is told and the message as it went can be had."""
    with demonstration() as (product, user, password):
        log_in(page, product, "/enviar-documento", user=user, password=password)
        for label, value in {
            "Número": "21043",
            "Cliente": "Comunidad Los Olivos",
            "Para": "administracion@losolivos.example",
            "Importe": "1.234,56 €",
        }.items():
            _write(page, label, value)
        page.locator("input[type=file]").set_input_files(
            files=[{"name": "Factura F-21043.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7" * 4000}]
        )
        expect(page.get_by_text("en el envío").or_(page.get_by_text("que admite tu servidor"))).to_be_visible()
        page.get_by_role("button", name="Vista previa").click()
        settled(page)
        expect(page.get_by_text("para administracion").first).to_be_visible()
        shoot(page, "enviar-documento-vista")
        page.get_by_role("button", name="Enviar", exact=True).click()
        expect(page.get_by_text("Se envía en")).to_be_visible()
        shoot(page, "enviar-documento-deshacer")
        page.get_by_role("button", name="Deshacer").click()
        expect(page.get_by_text("El documento sigue aquí")).to_be_visible()
        expect(page.get_by_label("Número", exact=True)).to_have_value("21043")
        page.get_by_role("button", name="Vista previa").click()
        page.get_by_role("button", name="Enviar", exact=True).click()
        page.get_by_role("button", name="Enviar ya").click()
        expect(page.get_by_text("Aceptado por").first).to_be_visible()
        settled(page)
        shoot(page, "enviar-documento-enviado")
        page.get_by_role("tab", name="Enviados").click()
        settled(page)
        with page.expect_download() as original:
            page.get_by_role("button", name="Ver mensaje (.eml)").click()
        shoot(page, "enviar-documento-enviados")
        page.set_viewport_size({"width": 390, "height": 844})
        settled(page)
        shoot(page, "enviar-documento-enviados-390")
        page.get_by_role("tab", name="Uno").click()
        page.get_by_role("button", name="Otro documento").click()
        settled(page)
        shoot(page, "enviar-documento-390")

    assert b"Factura_F-21043.pdf" in original.value.path().read_bytes()
