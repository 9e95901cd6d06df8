"""«Cuenta mail» in a real browser against real servers: from the first use to the log-out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.servers.browser import SHOTS, by_hand, log_in, settled, shoot
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.product import PASSWORD, Product, product_environment, run_product

pytestmark = pytest.mark.e2e

_PASSED = re.compile("Correcto$")  # the badge's icon is a word before it
_ADDRESS, _SECRET = next(iter(USERS.items()))


@pytest.fixture(scope="module")
def trusting_product(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Product]:
    """A product with its administrator, which trusts the private authority of the tests."""
    folder = tmp_path_factory.mktemp("trusting")
    with run_product(
        folder, environment=product_environment(folder, SSL_CERT_FILE=str(certificates.ca_file))
    ) as running:
        yield running


@pytest.fixture
def fresh_product(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Product]:
    """A product that nobody has used yet, which trusts the private authority of the tests."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = product_environment(
        folder, CG_ADMIN_USER="", CG_ADMIN_PASSWORD="", SSL_CERT_FILE=str(certificates.ca_file)
    )
    with run_product(folder, environment=environment) as running:
        yield running


def _first_use(page: Page, product: Product) -> None:
    code = re.search(r"[Cc]ódigo[^:]*:\s*(\S+)", product.log.read_text())
    assert code is not None, product.log.read_text()
    page.goto(product.url + "/")
    expect(page).to_have_url(re.compile("/primer-uso"))
    page.get_by_label("Código de un solo uso").fill(code[1])
    page.get_by_label("Usuario", exact=True).fill("ana")
    page.get_by_label("Contraseña", exact=True).fill(PASSWORD)
    shoot(page, "primer-uso")
    page.get_by_role("button", name="Entrar").click()
    settled(page)


def _fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")
    settled(page)


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def _choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(re.escape(label))).click()
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def test_from_first_use_to_a_test_mail_and_out_again(
    page: Page, fresh_product: Product, dovecot: Dovecot, postfix: Postfix
) -> None:
    """A new user proves both servers, saves, sends the test mail, finds its copy, and everything outlives a reload."""
    _first_use(page, fresh_product)
    page.get_by_role("link", name="Cuenta mail").first.click()
    settled(page)

    _fill(page, "Usuario Correo", _ADDRESS)
    _fill(page, "Contraseña Correo", _SECRET)
    by_hand(page)
    _fill(page, "Servidor Saliente (SMTP)", "localhost")
    page.get_by_role("radio", name="TLS", exact=True).click()
    _fill(page, "Puerto", str(postfix.submission_port))
    page.get_by_role("button", name="Probar conexión SMTP", exact=True).click()
    smtp = page.locator(".st-key-cell_smtp")
    expect(smtp.get_by_text(_PASSED)).to_be_visible()

    _fill(page, "Servidor Entrante (IMAP)", "localhost")
    _choose(page, "Seguridad de conexión", "SSL")
    _fill(page, "Puerto IMAP", str(dovecot.tls_port))
    page.get_by_role("button", name="Probar conexión IMAP", exact=True).click()
    imap = page.locator(".st-key-cell_imap")
    expect(imap.get_by_text(_PASSED)).to_be_visible()
    _choose(page, "Carpeta guardar enviados", "Sent · marcada por el servidor")
    expect(imap.get_by_text("Modificado")).to_be_visible()
    page.get_by_role("button", name="Probar conexión IMAP", exact=True).click()
    expect(imap.get_by_text("La cuenta entra y guarda copias.")).to_be_visible()
    expect(page.get_by_text("Hay cambios sin guardar")).to_be_visible()
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()

    page.get_by_role("button", name="Enviar correo de prueba", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Tu servidor ha aceptado el mensaje")).to_be_visible()
    expect(dialog.get_by_text("Copia guardada en «Sent»")).to_be_visible()
    shoot(page, "cuenta-mail-dialogo")
    arrived = dovecot.wait_for_message(_ADDRESS, b"Auto-Submitted: auto-generated")
    copy = dovecot.wait_for_message(_ADDRESS, b"Auto-Submitted: auto-generated", folder="Sent")

    message_id = re.search(rb"(?im)^Message-ID:\s*(\S+)", arrived)
    assert message_id is not None
    assert message_id[1] in copy

    received: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(_bytes(frame))))
    page.reload()
    settled(page)
    expect(smtp.get_by_text(_PASSED)).to_be_visible()
    expect(imap.get_by_text(_PASSED)).to_be_visible()
    expect(page.get_by_label("Servidor Saliente (SMTP)", exact=True)).to_have_value("localhost")
    expect(page.get_by_label("Contraseña Correo", exact=True)).to_have_value("")
    assert received
    assert not [frame for frame in received if _SECRET.encode() in frame]
    assert _SECRET not in page.content()
    assert _SECRET not in fresh_product.log.read_text()
    shoot(page, "cuenta-mail")

    page.get_by_role("button", name="Cerrar sesión").click()
    expect(page.get_by_role("button", name="Entrar")).to_be_visible()
    page.goto(fresh_product.url + "/cuenta-mail")
    expect(page).to_have_url(re.compile("/entrar"))


def test_a_wrong_security_gets_its_cure(page: Page, trusting_product: Product, postfix: Postfix) -> None:
    """SSL on a STARTTLS port: the verdict names it, and the button applies what was proven and tests again."""
    log_in(page, trusting_product, "/cuenta-mail")
    by_hand(page)
    _fill(page, "Usuario Correo", _ADDRESS)
    _fill(page, "Contraseña Correo", _SECRET)
    _fill(page, "Servidor Saliente (SMTP)", "localhost")
    page.get_by_role("radio", name="SSL", exact=True).first.click()
    settled(page)
    _fill(page, "Puerto", str(postfix.submission_port))

    page.get_by_role("button", name="Probar conexión SMTP", exact=True).click()
    smtp = page.locator(".st-key-cell_smtp")
    expect(smtp.get_by_text("empieza sin cifrar")).to_be_visible()
    shoot(page, "cuenta-mail-error")
    smtp.get_by_role("button", name=re.compile("Aplicar")).click()

    expect(smtp.get_by_text(_PASSED)).to_be_visible()
    expect(page.get_by_role("radio", name="TLS", exact=True)).to_be_checked()
    expect(smtp.get_by_text("empieza sin cifrar")).to_have_count(0)


def _is_in_view(told: Locator) -> bool:
    """Whether all of it stands between the header and what lies over the lower edge."""
    return told.evaluate(
        """element => {
            const box = element.getBoundingClientRect();
            const find = (name) => document.querySelector(`[data-testid="${name}"]`);
            const edge = (name, side) => find(name)?.getBoundingClientRect()[side];
            const end = Math.min(edge("stBottom", "top") || innerHeight, innerHeight);
            return box.height > 0 && box.top >= (edge("stHeader", "bottom") || 0) && box.bottom <= end;
        }"""
    )


def _click_at_the_edge(page: Page, button: Locator) -> None:
    """Click it where it stands lowest: what comes below it is out of sight."""
    button.evaluate("element => element.scrollIntoView({ block: 'end' })")
    button.click()
    settled(page)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_the_verdict_stands_first_and_in_view(
    page: Page, trusting_product: Product, postfix: Postfix, size: tuple[int, int]
) -> None:
    """A refusal with its cure, open at the failing step; a success, folded to one line; a test that cannot begin."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    log_in(page, trusting_product, "/cuenta-mail")
    by_hand(page)
    _fill(page, "Usuario Correo", _ADDRESS)
    _fill(page, "Contraseña Correo", "no es esta")
    _fill(page, "Servidor Saliente (SMTP)", "localhost")
    page.get_by_role("radio", name="TLS", exact=True).click()
    settled(page)
    _fill(page, "Puerto", str(postfix.submission_port))
    run = page.get_by_role("button", name="Probar conexión SMTP", exact=True)
    smtp = page.locator(".st-key-cell_smtp")
    told, steps = smtp.locator("[class*=_smtp_verdict]"), smtp.locator("[class*=_steps]")

    _click_at_the_edge(page, run)
    expect(smtp.get_by_test_id("stAlert")).to_contain_text("no son correctos")
    page.wait_for_timeout(400)  # the page brings it into view once it stands
    page.screenshot(path=SHOTS / f"veredicto-error-{size[0]}.png")
    assert _is_in_view(smtp.get_by_test_id("stAlert"))
    expect(steps.get_by_text(re.compile("Falló en el paso"))).to_be_visible()
    expect(steps.get_by_text(re.compile("535"))).to_be_visible()
    first, second = told.bounding_box(), steps.bounding_box()
    assert first is not None
    assert second is not None
    assert first["y"] + first["height"] <= second["y"]

    _fill(page, "Contraseña Correo", _SECRET)
    _click_at_the_edge(page, run)
    expect(told.get_by_text("Puedes enviar con esta cuenta.")).to_be_visible()
    page.wait_for_timeout(400)
    page.screenshot(path=SHOTS / f"veredicto-{size[0]}.png")
    assert _is_in_view(told)
    expect(steps.get_by_text(re.compile(r"\d+ pasos · [\d,]+ m?s"))).to_be_visible()
    expect(steps.get_by_text(re.compile("Saludo"))).to_be_hidden()

    _fill(page, "Servidor Entrante (IMAP)", "")
    _click_at_the_edge(page, page.get_by_role("button", name="Probar conexión IMAP", exact=True))
    refused = page.locator(".st-key-cell_imap").get_by_test_id("stAlert")
    expect(refused).to_contain_text("Servidor Entrante (IMAP)")
    page.wait_for_timeout(400)
    page.screenshot(path=SHOTS / f"veredicto-falta-{size[0]}.png")
    assert _is_in_view(refused)


def test_bad_input_is_told_beside_its_field(page: Page, trusting_product: Product) -> None:
    """An address as host, a password with «&», a port that is none: a sentence each, and nothing typed is lost."""
    log_in(page, trusting_product, "/cuenta-mail")
    by_hand(page)
    _fill(page, "Servidor Saliente (SMTP)", "https://mail.ejemplo.es/")
    _fill(page, "Contraseña Correo", "uno&dos")
    _fill(page, "Puerto", "99999")
    page.get_by_role("button", name="Guardar", exact=True).click()

    expect(page.get_by_text("Es una dirección web")).to_be_visible()
    expect(page.get_by_text("no puede llevar el carácter «&»")).to_be_visible()
    expect(page.get_by_text("El puerto es un número entre 1 y 65535")).to_be_visible()
    expect(page.get_by_text("No se ha guardado nada")).to_be_visible()
    expect(page.get_by_label("Servidor Saliente (SMTP)", exact=True)).to_have_value("https://mail.ejemplo.es/")


def test_of_two_tabs_the_second_sees_both_versions(page: Page, trusting_product: Product) -> None:
    """A stale save shows what differs; keeping the own version stores it."""
    log_in(page, trusting_product, "/cuenta-mail")
    by_hand(page)
    other = page.context.new_page()
    other.goto(trusting_product.url + "/cuenta-mail")
    settled(other)
    by_hand(other)
    for tab, host in ((other, "imap.uno.es"), (page, "imap.dos.es")):
        _fill(tab, "Servidor Entrante (IMAP)", host)
        _fill(tab, "Contraseña Correo", "de nuevo")
        tab.get_by_role("button", name="Guardar", exact=True).click()
        # The first save has to stand before the second one starts.
        told = "Todo guardado" if tab is other else "Se guardó otra versión mientras editabas"
        expect(tab.get_by_text(told)).to_be_visible()

    settled(page)
    expect(page.get_by_text("imap.uno.es")).to_be_visible()
    expect(page.get_by_label("Servidor Entrante (IMAP)", exact=True)).to_have_value("imap.dos.es")
    shoot(page, "cuenta-mail-dos-pestanas")
    page.get_by_role("button", name="Guardar lo mío").click()

    expect(page.get_by_text("Todo guardado")).to_be_visible()
    page.reload()
    settled(page)
    expect(page.get_by_label("Servidor Entrante (IMAP)", exact=True)).to_have_value("imap.dos.es")


def test_the_phone_shows_everything(page: Page, trusting_product: Product) -> None:
    """At 390 pixels nothing stands outside the screen."""
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(page, trusting_product, "/cuenta-mail")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    by_hand(page)

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shoot(page, "cuenta-mail-390")
