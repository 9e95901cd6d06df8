"""«Administración» in a real browser: company, a starter set, a series, a user with a one-time link, the copy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from cgcore.identity.actor import Role
from cgcore.vault.secret import Secret
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars
from tests.servers.browser import log_in, new_profile, settled, shoot, shoot_phone
from tests.servers.house import Furnished, furnish, open_beside
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, Furnished]]:
    """A product with a company, an administrator and a user, and no series."""
    folder = tmp_path_factory.mktemp("administration")
    furnished = furnish(folder)
    with run_product(folder, environment=product_environment(folder)) as running:
        yield running, furnished


def open_panel(page: Page, house: tuple[Product, Furnished], name: str) -> None:
    """Log in as the administrator and go to a panel."""
    product, furnished = house
    log_in(page, product, "/administracion", user=furnished.admin.username, password=furnished.password)
    page.get_by_role("radio", name=name, exact=True).click()


def fill(page: Page, label: str, value: str) -> None:
    """Fill a field and leave it."""
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def save(page: Page) -> None:
    """Press Guardar and wait until all is saved."""
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()


def test_the_company_refuses_a_wrong_number_and_keeps_what_was_typed(
    page: Page, house: tuple[Product, Furnished]
) -> None:
    """The sentence stands under the field; after the correction everything typed is stored."""
    open_panel(page, house, "Empresa")
    fill(page, "Nombre", "Electricidad Tosma e Hijos, SL")
    fill(page, "NIF/CIF", "B04123452")
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("El carácter de control")).to_be_visible()
    expect(page.get_by_label("Nombre", exact=True)).to_have_value("Electricidad Tosma e Hijos, SL")
    shoot(page, "administracion-empresa-error")
    fill(page, "NIF/CIF", "ES B04123451")
    save(page)
    page.reload()
    settled(page)

    expect(page.get_by_label("NIF/CIF", exact=True)).to_have_value("B04123451")
    expect(page.get_by_label("Nombre", exact=True)).to_have_value("Electricidad Tosma e Hijos, SL")


def test_from_a_starter_set_to_a_series_that_is_switched_off(page: Page, house: tuple[Product, Furnished]) -> None:
    """One click makes a set; a series is edited, its preview shown, switched off after the question."""
    open_panel(page, house, "Series")
    page.get_by_role("button", name="Crear este juego").nth(1).click()
    expect(page.get_by_text("Rectificativas y abonos")).to_be_visible()
    shoot(page, "administracion-series")
    page.locator(".st-key-administration_series_edit_F").get_by_role("button").click()
    expect(page.get_by_text("Serie F", exact=True)).to_be_visible()
    fill(page, "Próximo número de Facturas", "21043")
    expect(page.get_by_text("F 21043, F 21044 y F 21045")).to_be_visible()
    expect(page.get_by_text("Hay cambios sin guardar")).to_be_visible()
    save(page)
    page.get_by_text("Activa", exact=True).click()
    settled(page)
    page.get_by_role("button", name="Guardar", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("La empresa: Facturas")).to_be_visible()
    shoot(page, "administracion-series-desactivar")
    dialog.get_by_role("button", name="Guardar de todos modos").click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    with open_beside(house[0]) as workbench:
        stored = workbench.series.get(house[1].admin, "F")
        assert not stored.active
        assert workbench.series.defaults.get_company(house[1].admin).findings[0].code == "series_disabled"


def test_a_new_user_sets_their_password_with_the_link_shown_once(
    page: Page, browser: Browser, house: tuple[Product, Furnished]
) -> None:
    """The link stands in the dialog and nowhere after; it opens the page for the new password, and the door."""
    product, _furnished = house
    open_panel(page, house, "Usuarios")
    page.get_by_role("button", name="Añadir usuario").click()
    fill(page, "Nombre de usuario", "eva")
    page.get_by_role("button", name="Guardar", exact=True).click()
    dialog = page.get_by_role("dialog")
    link = dialog.get_by_text(re.compile("/nueva-contrasena/")).inner_text()
    shoot(page, "administracion-enlace")
    dialog.get_by_role("button", name="Cerrar", exact=True).filter(has_text="Cerrar").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("Sin contraseña")).to_be_visible()
    assert "/nueva-contrasena/" not in page.content()
    other = new_profile(browser)
    visitor = other.new_page()
    visitor.goto(link)
    for field in visitor.locator("input[type=password]").all():
        field.fill("una frase bastante larga")
    visitor.get_by_role("button").first.click()
    log_in(visitor, product, "/", user="eva", password="una frase bastante larga")
    answer = visitor.goto(product.url + "/administracion")

    # To whom it does not belong, there is no such page; the way back is on it.
    assert answer is not None
    assert answer.status == 404
    expect(visitor.locator('a[href="/"]')).to_be_visible()
    expect(visitor.get_by_text("NIF/CIF")).to_have_count(0)
    other.close()


def test_a_right_that_is_withdrawn_under_an_open_dialog_changes_nothing(
    page: Page, house: tuple[Product, Furnished]
) -> None:
    """A button pressed in that moment does nothing; every tab of the log-in ends by itself, with the way back."""
    product, furnished = house
    with furnished.workbench() as workbench:
        workbench.identity.accounts.add_user(
            furnished.admin, NewUser("zoe", Secret(furnished.password), role=Role.ADMIN)
        )
    log_in(page, product, "/actividad", user="zoe", password=furnished.password)
    other = page.context.new_page()
    other.goto(product.url + "/administracion")
    settled(other)
    other.get_by_role("radio", name="Usuarios", exact=True).click()
    settled(other)
    other.locator(f".st-key-administration_user_edit_{furnished.user.user_id}").get_by_role("button").click()
    settled(other)
    other.get_by_role("button", name="Desactivar", exact=True).click()
    dialog = other.get_by_role("dialog")
    expect(dialog.get_by_text("¿Desactivar a luis?")).to_be_visible()
    with open_beside(product) as workbench:
        version = workbench.users.get(furnished.admin, "zoe").version
        workbench.users.save(furnished.admin, "zoe", Particulars("", "", Role.USER), version)
    with suppress(Error):
        # The tab may be gone before the click is there: it ends within a second or two.
        dialog.get_by_role("button", name="Desactivar", exact=True).click(timeout=3000)
    for tab in (other, page):
        expect(tab.get_by_label("Usuario", exact=True)).to_be_visible()
        expect(tab.get_by_text("La sesión ha terminado en todas las pestañas.")).to_be_visible()
    with open_beside(product) as workbench:
        stays = workbench.users.get(furnished.admin, "luis").active

    assert stays


def test_the_copy_goes_out_and_comes_back_with_a_preview(
    page: Page, house: tuple[Product, Furnished], tmp_path: Path
) -> None:
    """Download, edit, upload: the changes are listed before anything happens, then made; a broken file is refused."""
    open_panel(page, house, "Copia")
    with page.expect_download() as started:
        page.get_by_role("button", name="Descargar configuración").click()
    value = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
    value["company"]["name"] = "Nombre importado"
    file = tmp_path / "config.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "cloud-gestion", "version": 99}', encoding="utf-8")
    page.locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text("El archivo es de la versión 99")).to_be_visible()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("Cambios: 1")).to_be_visible()
    expect(page.get_by_role("cell", name="Nombre importado")).to_be_visible()
    shoot(page, "administracion-importar")
    with open_beside(house[0]) as workbench:
        before = workbench.company.get(house[1].admin).name
    page.get_by_role("button", name="Importar estos cambios").click()
    expect(page.get_by_text("Configuración importada")).to_be_visible()

    assert before != "Nombre importado"
    with open_beside(house[0]) as workbench:
        assert workbench.company.get(house[1].admin).name == "Nombre importado"


@pytest.mark.parametrize("panel", ["Empresa", "Series", "Usuarios", "Copia"])
def test_on_a_phone_nothing_is_cut(page: Page, house: tuple[Product, Furnished], panel: str) -> None:
    """390 pixels wide: no sideways scrolling."""
    open_panel(page, house, panel)
    expect(page.get_by_role("radio", name=panel, exact=True)).to_be_checked()
    settled(page)
    shoot_phone(page, f"administracion-{panel.lower()}")
