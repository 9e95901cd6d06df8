"""Coming and going in a real browser: first use, wrong password, two tabs, log-out, no scripts, a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.servers.browser import log_in, settled, shoot
from tests.servers.product import ADMIN, PASSWORD, Product, product_environment, run_product

pytestmark = pytest.mark.e2e


def _fill(page: Page, user: str, password: str) -> None:
    page.get_by_label("Usuario", exact=True).fill(user)
    page.get_by_label("Contraseña", exact=True).fill(password)
    page.get_by_role("button", name="Entrar", exact=True).click()


def test_the_first_person_creates_the_account_with_the_code_of_the_console(page: Page, tmp_path: Path) -> None:
    """From an empty data folder to the workbench; a poor password loses neither code nor name."""
    environment = product_environment(tmp_path, CG_ADMIN_USER="", CG_ADMIN_PASSWORD="")
    with run_product(tmp_path, environment=environment) as product:
        page.goto(product.url)
        expect(page).to_have_url(f"{product.url}/primer-uso")
        code = re.search(r"\b[0-9A-Z]{5}(-[0-9A-Z]{5}){3}\b", product.log.read_text())
        assert code is not None
        shoot(page, "first_use")
        page.get_by_label("Código de un solo uso", exact=True).fill(code[0])
        _fill(page, "jefa", "corta")

        expect(page.get_by_role("alert")).to_contain_text("al menos 8 caracteres")
        expect(page.get_by_label("Código de un solo uso", exact=True)).to_have_value(code[0])
        expect(page.get_by_label("Usuario", exact=True)).to_have_value("jefa")
        page.get_by_label("Contraseña", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Entrar", exact=True).click()
        settled(page)
        expect(page.get_by_text("jefa").first).to_be_visible()
        page.goto(f"{product.url}/primer-uso")
        expect(page).to_have_url(f"{product.url}/")


def test_a_wrong_password_is_said_beside_the_field(page: Page, product: Product) -> None:
    """The name stays, the cursor is in the password, and the way back survives until the right one."""
    page.goto(f"{product.url}/cuenta-mail")
    _fill(page, ADMIN, "no es esta")

    expect(page.get_by_role("alert")).to_have_text("El usuario o la contraseña no son correctos.")
    expect(page.get_by_label("Usuario", exact=True)).to_have_value(ADMIN)
    expect(page.get_by_label("Contraseña", exact=True)).to_be_focused()
    expect(page.get_by_label("Contraseña", exact=True)).to_have_value("")
    _fill(page, ADMIN, PASSWORD)
    expect(page).to_have_url(f"{product.url}/cuenta-mail")
    settled(page)


def test_one_log_out_ends_every_tab(page: Page, context: BrowserContext, product: Product) -> None:
    """A second tab and a reload need no password; after the log-out in one, the other shows the log-in page."""
    log_in(page, product)
    page.reload()
    settled(page)
    second = context.new_page()
    second.goto(product.url)
    settled(second)

    second.get_by_role("button", name="Cerrar sesión").click()

    expect(second).to_have_url(f"{product.url}/entrar?aviso=fin")
    expect(second.get_by_role("status")).to_contain_text("La sesión ha terminado")
    expect(page).to_have_url(f"{product.url}/entrar?aviso=fin")
    expect(page.get_by_test_id("stApp")).to_have_count(0)
    page.goto(f"{product.url}/cuenta-mail")
    expect(page.get_by_label("Usuario", exact=True)).to_be_visible()


def test_a_typed_log_out_asks_first(page: Page, product: Product) -> None:
    """Somebody else's link cannot log a person out: there is a question, and «Volver»."""
    log_in(page, product)
    page.goto(f"{product.url}/salir")
    expect(page.get_by_role("heading", name="¿Quieres salir?")).to_be_visible()
    page.get_by_role("link", name="Volver").click()
    settled(page)

    page.goto(f"{product.url}/salir")
    page.get_by_role("button", name="Salir", exact=True).click()

    expect(page).to_have_url(f"{product.url}/entrar?aviso=fin")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_log_in_page_fits_a_phone_and_needs_no_script(browser: Browser, product: Product, scheme: str) -> None:
    """390 pixels, both colour schemes, JavaScript off: nothing is cut, and the log-in works."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=False, locale="es-ES",
    )  # fmt: skip
    page = context.new_page()
    page.goto(product.url)
    box = page.get_by_role("button", name="Entrar", exact=True).bounding_box()
    page.screenshot(path=_shot(f"log_in_390_{scheme}"))

    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    _fill(page, ADMIN, PASSWORD)
    expect(page).to_have_url(f"{product.url}/")
    context.close()


def test_nothing_is_loaded_from_elsewhere(page: Page, product: Product) -> None:
    """Every request goes to the product itself, and no page asks for what its policy forbids."""
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if _is_foreign(request.url, product) else None)
    page.on("console", lambda line: foreign.append(line.text) if "Content Security Policy" in line.text else None)

    page.goto(product.url)
    log_in(page, product)

    assert foreign == []


def _is_foreign(url: str, product: Product) -> bool:
    return not url.startswith((product.url, product.url.replace("http", "ws", 1), "data:", "blob:"))


def _shot(name: str) -> Path:
    from tests.servers.browser import SHOTS

    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS / f"{name}.png"
