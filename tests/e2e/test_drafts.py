"""Nothing typed is lost in a real browser: a stopped server, a log-in that has ended, two tabs, a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlmodel import select

from cgcore.documents import DocumentType
from cgcore.storage.tables import LoginSessionRow
from tests.servers.browser import by_hand, log_in, settled, shoot, shoot_phone
from tests.servers.daemon import free_ports
from tests.servers.house import Furnished, furnish
from tests.servers.product import Product, product_environment, run_product

pytestmark = pytest.mark.e2e


@dataclass
class Server:
    """A product that can be stopped and started again on its port, over the same data."""

    house: Furnished
    port: int
    running: ExitStack
    product: Product

    def stop(self) -> None:
        self.running.close()

    def start(self) -> None:
        self.product = self.running.enter_context(_run(self.house.folder, self.port))


# A session ends with its connection: what otherwise takes two minutes without one, and no test waits for.
_FORGETFUL = {"STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "0"}
# Every WebSocket of the page, to be cut: «offline» keeps new connections from coming about, and lets the old ones be.
_COLLECT = """
window.__sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); window.__sockets.push(this); }
};
"""


def _run(folder: Path, port: int):
    environment = product_environment(folder, CG_ADMIN_USER="", CG_ADMIN_PASSWORD="", **_FORGETFUL)
    return run_product(folder, port=port, environment=environment)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running product with a company and two people."""
    house, (port,) = furnish(tmp_path), free_ports(1)
    with ExitStack() as running:
        yield Server(house, port, running, running.enter_context(_run(house.folder, port)))


def guardar(page: Page) -> None:
    page.get_by_role("button", name="Guardar", exact=True).click()


def name_field(page: Page) -> Locator:
    return page.get_by_label("Nombre y apellidos")


def expect_back(page: Page) -> None:
    """The tab has its page again, by itself."""
    expect(page.get_by_text("Se ha recuperado lo que habías escrito")).to_be_visible(timeout=60_000)
    settled(page)


def lose_the_network(context: BrowserContext, page: Page) -> None:
    """The lid is closed, the phone is in the pocket: the tab has no connection, and the server has forgotten it."""
    context.set_offline(True)
    page.evaluate("window.__sockets.forEach(socket => socket.close())")
    expect(page.locator("#server-away")).to_be_visible()


def test_a_tab_that_was_away_from_a_server_that_ran_on_comes_back(
    context: BrowserContext, page: Page, server: Server
) -> None:
    """For longer than the server remembers it: what is seen is what is saved, and nothing was said to be saved."""
    page.add_init_script(_COLLECT)
    log_in(page, server.product, "/mi-usuario", user="ana")
    name_field(page).fill("Ana de Tosma")
    name_field(page).press("Tab")
    expect(page.get_by_text("1 campo")).to_be_visible()
    page.get_by_role("textbox", name="Correo").fill("otra@tosma.es")  # and the cursor stays in the field
    settled(page)
    lose_the_network(context, page)
    expect(name_field(page)).to_have_value("Ana de Tosma")
    context.set_offline(False)
    expect_back(page)

    expect(name_field(page)).to_have_value("Ana de Tosma")
    expect(page.get_by_text("2 campos")).to_be_visible()
    with server.house.workbench() as workbench:
        before = workbench.users.get(server.house.admin, "ana")
    guardar(page)
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    settled(page)
    with server.house.workbench() as workbench:
        stored = workbench.users.get(server.house.admin, "ana")
    assert before.full_name != "Ana de Tosma"
    assert (stored.full_name, stored.mail) == ("Ana de Tosma", "otra@tosma.es")


def test_a_tab_comes_back_after_the_server_was_away(page: Page, server: Server) -> None:
    """A restart forgets every session, as some minutes without a connection do: what is seen is what is saved."""
    log_in(page, server.product, "/mi-usuario", user="ana")
    name, mail = page.get_by_label("Nombre y apellidos"), page.get_by_role("textbox", name="Correo")
    name.fill("Ana de Tosma")
    name.press("Tab")
    expect(page.get_by_text("1 campo")).to_be_visible()
    mail.fill("otra@tosma.es")  # and the cursor stays in the field
    settled(page)
    server.stop()
    expect(name).to_be_disabled()
    server.start()
    expect_back(page)

    expect(name).to_have_value("Ana de Tosma")
    expect(mail).to_have_value("otra@tosma.es")
    expect(page.get_by_text("2 campos")).to_be_visible()
    shoot(page, "borrador-recuperado")
    guardar(page)
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    settled(page)
    with server.house.workbench() as workbench:
        stored = workbench.users.get(server.house.admin, "ana")
    assert (stored.full_name, stored.mail) == ("Ana de Tosma", "otra@tosma.es")
    page.reload()
    settled(page)
    expect(page.get_by_label("Nombre y apellidos")).to_have_value("Ana de Tosma")
    expect(page.get_by_text("Tienes un borrador")).to_have_count(0)


def test_an_account_and_its_editor_come_back_too(page: Page, server: Server) -> None:
    """Choices, ports and a rich text; nothing was stored meanwhile."""
    log_in(page, server.product, "/cuenta-mail", user="luis")
    page.get_by_label("Usuario Correo").fill("luis@tosma.es")
    by_hand(page)
    page.get_by_label("Servidor Saliente (SMTP)").fill("smtp.tosma.es")
    page.get_by_text("SSL", exact=True).first.click()
    settled(page)
    page.get_by_role("link", name="Valores por defecto para envío").click()
    editor = page.locator(".st-key-quote_editor iframe").last.content_frame.locator(".ql-editor")
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Hasta pronto")
    expect(page.get_by_text("1 campo")).to_be_visible()
    settled(page)
    server.stop()
    expect(page.get_by_role("button", name="Guardar", exact=True)).to_be_disabled()
    server.start()
    expect_back(page)
    expect(editor).to_contain_text("Hasta pronto")
    guardar(page)
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    settled(page)
    page.get_by_role("link", name="Cuenta mail").click()

    expect(page.get_by_label("Usuario Correo")).to_have_value("luis@tosma.es")
    expect(page.get_by_label("Servidor Saliente (SMTP)")).to_have_value("smtp.tosma.es")
    expect(page.get_by_label("Puerto", exact=True)).to_have_value("465")
    with server.house.workbench() as workbench:
        template = workbench.templates.get(server.house.user, DocumentType.QUOTE)
        account = workbench.mail_account.get(server.house.user)
    assert "Hasta pronto" in template.body
    assert account.version == 0


def test_after_a_log_in_that_ended_the_same_page_has_the_draft(page: Page, server: Server) -> None:
    """Half an hour of idleness: entering again leads back, and what was typed is offered."""
    log_in(page, server.product, "/mi-usuario", user="luis")
    name_field(page).fill("Luis de Tosma")
    name_field(page).press("Tab")
    expect(page.get_by_text("1 campo")).to_be_visible()
    settled(page)
    with server.house.workbench() as workbench, workbench.database.session() as session:
        for row in session.exec(select(LoginSessionRow)).all():
            row.last_seen -= timedelta(minutes=31)
            session.add(row)
    page.get_by_role("textbox", name="Correo").fill("luisa@tosma.es")
    page.get_by_role("button", name="Guardar", exact=True).click()
    page.wait_for_url(re.compile("/entrar"))
    page.get_by_label("Usuario", exact=True).fill("luis")
    page.get_by_label("Contraseña", exact=True).fill(server.house.password)
    page.get_by_role("button", name="Entrar").click()
    page.wait_for_url(re.compile("/mi-usuario"))
    settled(page)
    expect(page.get_by_text("Tienes un borrador de la")).to_be_visible()
    expect(name_field(page)).to_have_value("Luis Tosma")
    shoot(page, "borrador-ofrecido")
    shoot_phone(page, "borrador-ofrecido")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Recuperar").click()

    expect(name_field(page)).to_have_value("Luis de Tosma")
    expect(page.get_by_role("textbox", name="Correo")).to_have_value("luisa@tosma.es")
    expect(page.get_by_text("2 campos")).to_be_visible()
    expect(page.get_by_role("link", name="Borrador · Mi usuario")).to_be_visible()


def test_two_tabs_and_a_reload_lose_nothing(context: BrowserContext, page: Page, server: Server) -> None:
    """Each tab has its own draft; a reload is offered it; the one that was given up is gone, the other is not."""
    log_in(page, server.product, "/mi-usuario", user="luis")
    name_field(page).fill("De la primera")
    expect(page.get_by_text("1 campo")).to_be_visible()
    settled(page)
    other = context.new_page()
    other.goto(server.product.url + "/mi-usuario")
    settled(other)
    expect(other.get_by_text("Tienes un borrador de la")).to_be_visible()
    name_field(other).fill("De la segunda")
    expect(other.get_by_text("1 campo")).to_be_visible()
    settled(other)
    expect(name_field(page)).to_have_value("De la primera")
    page.reload()
    settled(page)
    expect(name_field(page)).to_have_value("Luis Tosma")
    offer = page.get_by_text("Tienes un borrador de la")
    expect(offer).to_be_visible()
    page.get_by_role("button", name="Descartar").click()
    settled(page)
    expect(offer).to_have_count(0)
    page.reload()
    settled(page)
    page.get_by_role("button", name="Recuperar").click()

    expect(name_field(page)).to_have_value("De la primera")
    expect(name_field(other)).to_have_value("De la segunda")


def test_leaving_with_unsaved_work_is_asked_first(page: Page, server: Server) -> None:
    """The dialog names the page, and what was typed is offered after the next log-in."""
    log_in(page, server.product, "/mi-usuario", user="luis")
    name_field(page).fill("Luis de Tosma")
    expect(page.get_by_text("1 campo")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Cerrar sesión").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Mi usuario")).to_be_visible()
    shoot(page, "borrador-salir")
    dialog.get_by_role("button", name="Cerrar sesión").click()
    page.wait_for_url(re.compile("/entrar"))
    log_in(page, server.product, "/mi-usuario", user="luis")

    expect(page.get_by_text("Tienes un borrador de la")).to_be_visible()
