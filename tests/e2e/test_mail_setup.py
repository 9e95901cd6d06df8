"""«Configurar mi correo» in a real browser: from an empty account to «Guardado» with address and password alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import Security, ServerDraft
from cgcore.mail.preset import MailPreset
from cgcore.storage.mail_presets import delete_preset, list_presets, put_preset
from cgcore.vault.secret import Secret
from cgcore.workbench.identity import NewUser
from tests.servers.browser import log_in, settled, shoot, shoot_phone
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.house import open_beside
from tests.servers.postfix import Postfix
from tests.servers.product import PASSWORD, Product, product_environment, run_product
from tests.unit.test_mail_resolver import dns_server

pytestmark = pytest.mark.e2e

_ADDRESS, _SECRET = next(iter(USERS.items()))
_DOMAIN = _ADDRESS.partition("@")[2]
_BUTTON = "Configurar mi correo"


@pytest.fixture(scope="module")
def discovering_product(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, dovecot: Dovecot, postfix: Postfix
) -> Iterator[Product]:
    """A product whose resolver names the mail servers of the tests for the domain of their users."""
    records = {
        (_DOMAIN, "MX"): "10 mail.test.",
        ("mail.test", "A"): "127.0.0.1",
        (f"_submission._tcp.{_DOMAIN}", "SRV"): f"0 1 {postfix.submission_port} mail.test.",
        (f"_imaps._tcp.{_DOMAIN}", "SRV"): f"0 1 {dovecot.tls_port} mail.test.",
    }
    folder = tmp_path_factory.mktemp("discovering")
    with dns_server(records) as (server, _):
        environment = product_environment(
            folder, SSL_CERT_FILE=str(certificates.ca_file), CG_DNS_SERVER=server, CG_MAIL_ALLOW_PRIVATE="127.0.0.0/8"
        )
        with run_product(folder, environment=environment) as running:
            yield running


def _type(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def _newcomer(product: Product, name: str, role: Role) -> None:
    """Add somebody without an account, where the company knows no servers."""
    with open_beside(product) as workbench:
        root = Actor(0, "", role=Role.ADMIN)
        workbench.identity.accounts.add_user(root, NewUser(name, Secret(PASSWORD), name.title(), "", role=role))
        with workbench.database.session() as session:
            delete_preset(session, _DOMAIN)


@pytest.mark.parametrize(
    ("width", "height", "name", "role"),
    [(390, 844, "luis", Role.USER), (1280, 800, "nora", Role.ADMIN)],
    ids=["phone", "desk"],
)
def test_address_and_password_are_enough_in_three_clicks(
    page: Page, discovering_product: Product, width: int, height: int, name: str, role: Role
) -> None:
    """A foreign server is asked about before the password goes there; what was found is in the form, and is saved."""
    _newcomer(discovering_product, name, role)
    page.set_viewport_size({"width": width, "height": height})
    log_in(page, discovering_product, user=name)
    page.goto(f"{discovering_product.url}/cuenta-mail")
    settled(page)
    clicks: list[str] = []

    def click(button: str) -> None:
        clicks.append(button)
        page.get_by_role("button", name=button, exact=True).click()
        settled(page)

    server = page.get_by_label("Servidor Saliente (SMTP)", exact=True)
    expect(page.get_by_role("button", name=_BUTTON, exact=True)).to_be_in_viewport()
    expect(server).to_be_hidden()
    _type(page, "Usuario Correo", _ADDRESS)
    _type(page, "Contraseña Correo", _SECRET)
    click(_BUTTON)
    cell = page.locator(".st-key-cell_account")
    expect(cell.get_by_text("es de otra empresa")).to_be_visible(timeout=20_000)
    expect(server).to_have_value("")
    shoot(page, f"cuenta-mail-pregunta-{width}")
    click("Usar mail.test")
    expect(cell.get_by_text("Listo: envía por mail.test, entra en mail.test")).to_be_visible(timeout=30_000)
    expect(server).to_be_visible()
    expect(server).to_have_value("mail.test")
    expect(page.get_by_label("Servidor Entrante (IMAP)", exact=True)).to_have_value("mail.test")
    shoot(page, f"cuenta-mail-configurada-{width}")
    click("Guardar lo encontrado")
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    assert len(clicks) == 3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if role is Role.ADMIN:
        shoot(page, "cuenta-mail-para-la-empresa")
        cell.get_by_role("button", name="Usar para toda la empresa").click()
        expect(page.get_by_text(f"Servidores de {_DOMAIN} guardados para toda la empresa")).to_be_visible()
    page.reload()
    settled(page)
    expect(server).to_be_visible()
    expect(server).to_have_value("mail.test")
    expect(page.get_by_text("No has elegido carpeta")).to_have_count(0)


def test_a_colleague_of_the_same_domain_types_the_password_only(page: Page, discovering_product: Product) -> None:
    """Their own address stands in the field, no server is foreign any more, and two clicks are enough."""
    closed = ServerDraft("mail.test", 1, Security.SSL)
    with open_beside(discovering_product) as workbench:
        root = Actor(0, "", role=Role.ADMIN)
        workbench.identity.accounts.add_user(root, NewUser("eva", Secret(PASSWORD), "Eva", "vacia@example.com"))
        with workbench.database.session() as session:
            if not list_presets(session):
                put_preset(session, MailPreset(_DOMAIN, closed, closed), workbench.clock())
    log_in(page, discovering_product, "/cuenta-mail", user="eva")
    cell = page.locator(".st-key-cell_account")
    expect(page.get_by_label("Usuario Correo", exact=True)).to_have_value("vacia@example.com")
    expect(cell.get_by_text(f"Los servidores de {_DOMAIN} ya están guardados")).to_be_visible()
    shoot(page, "cuenta-mail-solo-contrasena")
    _type(page, "Contraseña Correo", USERS["vacia@example.com"])
    page.get_by_role("button", name=_BUTTON, exact=True).click()
    settled(page)
    expect(cell.get_by_text("Listo: envía por mail.test, entra en mail.test")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Guardar lo encontrado", exact=True).click()
    settled(page)
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    page.get_by_text("Comprobación diaria", exact=True).click()
    settled(page)
    expect(page.get_by_text("La primera será esta noche.")).to_be_visible()
    shoot(page, "cuenta-mail-comprobacion-diaria")
    shoot_phone(page, "cuenta-mail-comprobacion-diaria")


def test_administration_lists_the_servers_of_the_company_and_removes_them(
    page: Page, discovering_product: Product
) -> None:
    """Folded under the company's particulars; one click takes them away."""
    server = ServerDraft("mail.test", 993, Security.SSL)
    with open_beside(discovering_product) as workbench, workbench.database.session() as session:
        put_preset(session, MailPreset("tosma.com.es", server, server), workbench.clock())
    log_in(page, discovering_product, "/administracion")
    page.get_by_text("Servidores de correo de la empresa", exact=True).click()
    settled(page)
    expect(page.get_by_text("tosma.com.es · envía por mail.test:993 · entra en mail.test:993")).to_be_visible()
    shoot(page, "administracion-servidores")
    shoot_phone(page, "administracion-servidores")
    page.get_by_role("button", name="Quitar tosma.com.es").click()
    expect(page.get_by_text("Servidores de tosma.com.es quitados")).to_be_visible()
    settled(page)
    expect(page.get_by_text("tosma.com.es · envía")).to_have_count(0)
