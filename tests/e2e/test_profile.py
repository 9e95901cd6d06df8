"""«Mi usuario» in a real browser: particulars, password, log-ins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers.browser import log_in, new_profile, settled, shoot, shoot_phone
from tests.servers.house import Furnished, furnish, open_beside
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e

NEW = "otra frase bastante larga"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Furnished]]:
    """A product with an administrator and a user."""
    folder = tmp_path_factory.mktemp("profile")
    furnished = furnish(folder)
    with run_product(folder, environment=product_environment(folder)) as running:
        yield running, furnished


def test_the_own_mail_is_corrected_and_kept(page: Page, house: tuple[Product, Furnished]) -> None:
    """A wrong mail is told beside its field and stays there; the right one is stored."""
    product, furnished = house
    log_in(page, product, "/mi-usuario", user="ana", password=furnished.password)
    mail = page.get_by_label("Correo", exact=True)
    mail.fill("nada")
    mail.press("Tab")
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("no parece una dirección")).to_be_visible()
    expect(mail).to_have_value("nada")
    mail.fill("ana.tosma@tosma.es")
    mail.press("Tab")
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    shoot(page, "mi-usuario")

    with open_beside(product) as workbench:
        assert workbench.users.get(furnished.admin, "ana").mail == "ana.tosma@tosma.es"


def test_a_new_password_ends_the_other_log_ins(page: Page, browser: Browser, house: tuple[Product, Furnished]) -> None:
    """A wrong old one is told and changes nothing; after the change this tab goes on and the other is out."""
    product, furnished = house
    other = new_profile(browser)
    visitor = other.new_page()
    log_in(visitor, product, "/mi-usuario", user="luis", password=furnished.password)
    log_in(page, product, "/mi-usuario", user="luis", password=furnished.password)
    expect(page.get_by_text("Esta sesión")).to_be_visible()
    expect(page.get_by_role("button", name="Cerrar las demás")).to_be_visible()
    for old, said in (("mal", "La contraseña no es correcta"), (furnished.password, "Contraseña cambiada")):
        page.get_by_label("Contraseña actual", exact=True).fill(old)
        page.get_by_label("Contraseña nueva", exact=True).fill(NEW)
        page.get_by_label("Repite la contraseña nueva", exact=True).fill(NEW)
        page.get_by_role("button", name="Cambiar contraseña").click()
        expect(page.get_by_text(said)).to_be_visible()
    page.reload()
    settled(page)
    expect(page.get_by_text("No hay ninguna otra sesión abierta")).to_be_visible()

    expect(visitor.get_by_role("button", name="Entrar")).to_be_visible()
    assert NEW not in page.content()
    other.close()


def test_the_other_log_ins_are_closed_after_a_question(
    page: Page, browser: Browser, house: tuple[Product, Furnished]
) -> None:
    """Cancelling leaves them open, confirming ends them and keeps this one."""
    product, furnished = house
    other = new_profile(browser)
    visitor = other.new_page()
    log_in(visitor, product, "/mi-usuario", user="ana", password=furnished.password)
    log_in(page, product, "/mi-usuario", user="ana", password=furnished.password)
    page.get_by_role("button", name="Cerrar las demás").click()
    dialog = page.get_by_role("dialog")
    shoot(page, "mi-usuario-sesiones")
    dialog.get_by_role("button", name="Cancelar").click()
    expect(dialog).to_have_count(0)
    visitor.reload()
    settled(visitor)
    page.get_by_role("button", name="Cerrar las demás").click()
    dialog.get_by_role("button", name="Cerrar las demás").click()
    expect(page.get_by_text("No hay ninguna otra sesión abierta")).to_be_visible()

    expect(visitor.get_by_role("button", name="Entrar")).to_be_visible()
    other.close()


def test_on_a_phone_nothing_is_cut(page: Page, house: tuple[Product, Furnished]) -> None:
    """390 pixels wide: no sideways scrolling."""
    product, furnished = house
    log_in(page, product, "/mi-usuario", user="ana", password=furnished.password)
    shoot_phone(page, "mi-usuario")
