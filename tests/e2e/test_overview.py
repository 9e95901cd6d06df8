"""«Resumen» in a real browser, with the test mailbox as the mail account."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import log_in, settled, shoot
from tests.servers.product import Product

pytestmark = pytest.mark.e2e


def test_everything_is_proven_from_the_overview(page: Page, product: Product) -> None:
    """Without an account the page says what is missing; with the test mailbox «Probar todo» proves both servers."""
    log_in(page, product, "/")
    mail = page.locator(".st-key-overview_mail_account")
    expect(mail.get_by_text("Aún sin configurar")).to_be_visible()
    shoot(page, "resumen-vacio")
    page.get_by_role("button", name="Probar todo", exact=True).click()
    expect(page.get_by_text("Falta algo en «Cuenta mail» antes de probar.")).to_be_visible()

    page.get_by_role("link", name="Ir a Cuenta mail").click()
    page.get_by_role("button", name="¿Quieres probar sin que salga nada?").click()
    page.get_by_role("button", name="Usar el buzón de pruebas").click()
    expect(page.get_by_role("combobox", name="Carpeta guardar enviados")).to_have_value("Enviados")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    page.get_by_role("link", name="Resumen").first.click()
    settled(page)
    page.get_by_role("button", name="Probar todo", exact=True).click()
    expect(mail.get_by_text("y guarda copia")).to_be_visible()
    expect(mail.get_by_text(re.compile("Correcto$"))).to_be_visible()
    settled(page)
    shoot(page, "resumen")
    page.reload()
    settled(page)
    expect(mail.get_by_text("y guarda copia")).to_be_visible()
