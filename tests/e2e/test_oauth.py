"""«Cuenta mail» with a provider in a real browser: set up, connected, proven, saved, sent, disconnected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.servers.browser import log_in, settled, shoot, shoot_phone, watch
from tests.servers.certificates import Certificates
from tests.servers.dovecot import Dovecot
from tests.servers.openid import OpenIdProvider
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def trusting_product(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Product]:
    """A product that trusts the authority of the tests."""
    folder = tmp_path_factory.mktemp("oauth")
    environment = product_environment(folder, SSL_CERT_FILE=str(certificates.ca_file))
    with run_product(folder, environment=environment) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile that takes the provider's certificate."""
    fresh = browser.new_context(
        locale="es-ES",
        timezone_id="Europe/Madrid",
        viewport={"width": 1280, "height": 900},
        ignore_https_errors=True,
    )
    yield watch(fresh)
    fresh.close()


def _type(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def _set_up(page: Page, product: Product, openid: OpenIdProvider) -> None:
    """Register the provider as an administrator does."""
    page.goto(f"{product.url}/administracion")
    settled(page)
    page.get_by_role("radio", name="Inicio de sesión con proveedores").click()
    settled(page)
    page.get_by_role("radio", name="Otro (OpenID)").click()
    settled(page)
    expect(page.get_by_text(f"http://localhost:{product.port}/oauth/vuelta/custom")).to_be_visible()
    for label, value in {
        "ID de cliente": openid.client_id,
        "Secreto de cliente": openid.client_secret,
        "Emisor (issuer)": openid.url,
        "Nombre en los botones": "Empresa",
        "Permisos del correo": "mail",
    }.items():
        _type(page, label, value)
    page.get_by_role("button", name="Guardar", exact=True).click()
    settled(page)
    expect(page.get_by_label("Secreto de cliente", exact=True)).to_have_value("")
    page.get_by_role("button", name="Probar", exact=True).click()
    settled(page)
    expect(page.get_by_text("Empresa responde y acepta el ID y el secreto")).to_be_visible()
    shoot(page, "oauth-administration")
    shoot_phone(page, "oauth-administration")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


def _fill_account(page: Page, product: Product, dovecot: Dovecot, postfix: Postfix) -> None:
    page.goto(f"{product.url}/cuenta-mail")
    settled(page)
    _type(page, "Usuario Correo", ANA)
    _type(page, "Servidor Saliente (SMTP)", "localhost")
    _type(page, "Puerto", str(postfix.submission_port))
    _type(page, "Servidor Entrante (IMAP)", "localhost")
    _type(page, "Puerto IMAP", str(dovecot.tls_port))
    page.get_by_role("radio", name="Empresa", exact=True).click()
    settled(page)


def _walk(tab: Page, user: str) -> None:
    """Log in and agree at the provider."""
    if tab.get_by_label("Correo").is_visible():
        tab.get_by_label("Correo").fill(user)
        tab.get_by_role("button", name="Continuar").click()
    tab.get_by_role("button", name="Permitir").click()


def test_a_mailbox_is_connected_proven_saved_and_disconnected(
    page: Page,
    context: BrowserContext,
    trusting_product: Product,
    openid: OpenIdProvider,
    openid_mail: tuple[Dovecot, Postfix],
) -> None:
    """In another tab; this one loses nothing, proves both servers with the new token, and keeps it after a save."""
    log_in(page, trusting_product)
    _set_up(page, trusting_product, openid)
    _fill_account(page, trusting_product, *openid_mail)
    shoot(page, "oauth-not-connected")

    with context.expect_page() as opened:
        page.get_by_role("link", name="Conectar con Empresa").click()
    _walk(opened.value, ANA)
    expect(opened.value.get_by_text("Ya puedes cerrar esta pestaña")).to_be_visible()
    assert "code=" not in opened.value.url
    opened.value.close()

    cell = page.locator(".st-key-cell_account")
    expect(cell.get_by_text("Conectado como")).to_be_visible()
    for leg in ("smtp", "imap"):
        expect(page.locator(f".st-key-cell_{leg}").get_by_text("Correcto")).to_be_visible()
    settled(page)
    expect(page.get_by_label("Usuario Correo", exact=True)).to_have_value(ANA)
    page.get_by_role("button", name="Guardar", exact=True).click()
    settled(page)
    page.reload()
    settled(page)
    expect(cell.get_by_text("Conectado como")).to_be_visible()
    shoot(page, "oauth-connected")
    shoot_phone(page, "oauth-connected")

    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Desconectar").click()
    page.get_by_role("dialog").get_by_role("button", name="Desconectar").click()
    settled(page)
    expect(cell.get_by_text("Sin conectar")).to_be_visible()
