"""«Cuenta mail» with a provider in a real browser: set up, connected, proven, saved, sent, disconnected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthGrantRow
from cgcore.vault.secret import Secret
from tests.servers.browser import by_hand, log_in, new_profile, settled, shoot, shoot_phone
from tests.servers.certificates import Certificates
from tests.servers.connecting import OPERATOR
from tests.servers.dovecot import Dovecot
from tests.servers.house import open_beside
from tests.servers.openid import OpenIdProvider
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.product import ADMIN, Product, product_environment, run_product

pytestmark = pytest.mark.e2e

_ANA = Actor(1, ADMIN, role=Role.ADMIN)  # the first user of an installation


@pytest.fixture(scope="module")
def trusting_product(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Product]:
    """A product that trusts the authority of the tests."""
    folder = tmp_path_factory.mktemp("oauth")
    environment = product_environment(folder, SSL_CERT_FILE=str(certificates.ca_file))
    with run_product(folder, environment=environment) as running:
        yield running


def _profile(browser: Browser) -> BrowserContext:
    """A fresh profile that takes the provider's certificate."""
    fresh = new_profile(browser, ignore_https_errors=True)
    fresh.set_default_timeout(15_000)
    return fresh


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One profile for one test."""
    fresh = _profile(browser)
    yield fresh
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
    by_hand(page)
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


@pytest.fixture(scope="module")
def known(browser: Browser, trusting_product: Product) -> Iterator[BrowserContext]:
    """A profile in which somebody has logged in, for the tests that only look at how an attempt ends."""
    profile = _profile(browser)
    log_in(profile.new_page(), trusting_product)
    yield profile
    profile.close()


def _put(product: Product, client: ClientDraft, mail: tuple[Dovecot, Postfix] | None = None) -> None:
    """Let a provider be set up, and an account that is to sign in by it be saved, with nobody connected."""
    account = MailAccountDraft(
        ANA,
        smtp=ServerDraft("localhost", mail[1].submission_port if mail else 587),
        imap=ServerDraft("localhost", mail[0].tls_port if mail else 993, Security.SSL),
        auth=AuthKind(client.provider.value),
    )
    with open_beside(product) as workbench:
        stored = workbench.oauth.clients.find(OPERATOR, client.provider)
        workbench.oauth.clients.save(OPERATOR, client, version=stored.version if stored else 0)
        with workbench.context.database.session() as session:
            store.delete_grant(session, _ANA.user_id)
        workbench.mail_account.save(_ANA, account, version=workbench.mail_account.get(_ANA).version)


def _own(openid: OpenIdProvider) -> ClientDraft:
    return ClientDraft(
        OAuthProvider.CUSTOM, openid.client_id, Secret(openid.client_secret), issuer=openid.url, name="Empresa",
        scope="mail", codes=True,
    )  # fmt: skip


def _open_account(profile: BrowserContext, product: Product) -> Page:
    """Open «Cuenta mail» in a tab of its own; the provider remembers nobody."""
    profile.clear_cookies(name=re.compile("^_"))
    page = profile.new_page()
    page.goto(f"{product.url}/cuenta-mail")
    settled(page)
    return page


def _leave(page: Page, name: str) -> Page:
    """Click the link; return the tab that it opens."""
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=name, exact=True).click()
    return opened.value


def _look(page: Page, name: str) -> None:
    """Take the pictures of a state at both widths, and close the tab."""
    settled(page)
    shoot(page, name)
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, f"{name}-390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.parametrize(
    ("name", "user", "clicks", "told"),
    [
        ("wrong-account", "jefa@example.com", ("Permitir",), r"Has entrado como jefa.?@example\.com y el correo es de"),
        ("box-left-off", ANA, ("Leer y enviar correo", "Permitir"), "Falta el permiso para leer y enviar correo"),
        ("consent-refused", ANA, ("Cancelar",), "No has dado permiso en Empresa"),
        ("administrator-missing", ANA, ("Volver sin aprobación",), "Tu organización exige el permiso"),
    ],
)
def test_what_goes_wrong_at_the_provider_has_its_own_sentence_and_button(
    known: BrowserContext,
    trusting_product: Product,
    openid: OpenIdProvider,
    name: str,
    user: str,
    clicks: tuple[str, ...],
    told: str,
) -> None:
    """Both tabs say it, no code stays in an address, nothing is connected, and the next try is one click away."""
    _put(trusting_product, _own(openid))
    page = _open_account(known, trusting_product)
    tab = _leave(page, "Conectar con Empresa")
    tab.get_by_label("Correo").fill(user)
    tab.get_by_role("button", name="Continuar").click()
    for each in clicks:
        tab.get_by_role("checkbox" if each.startswith("Leer") else "button", name=each).click()
    said = re.compile(told)  # an address in Markdown has a mark that keeps it together
    expect(tab.get_by_text(said)).to_be_visible()
    assert "?" not in tab.url
    tab.close()

    cell = page.locator(".st-key-cell_account")
    expect(cell.get_by_text(said)).to_be_visible()
    expect(cell.get_by_role("link", name="Conectar de nuevo con Empresa")).to_be_visible()
    expect(cell.get_by_text("Sin conectar")).to_be_visible()
    sharing = cell.get_by_role("button", name=re.compile("Es un buzón compartido: conectar con jefa"))
    expect(sharing).to_have_count(1 if name == "wrong-account" else 0)
    expect(cell.get_by_text("Pedir permiso al administrador")).to_have_count(1 if "administrator" in name else 0)
    _look(page, f"oauth-{name}")


def test_a_code_that_is_typed_elsewhere_connects(
    known: BrowserContext, trusting_product: Product, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """In large letters, copied by a button; after a reload the same one is followed, and both servers are proven."""
    _put(trusting_product, _own(openid), openid_mail)
    page = _open_account(known, trusting_product)
    cell = page.locator(".st-key-cell_account")
    cell.get_by_text("Conectar con un código").click()
    cell.get_by_role("button", name="Pedir un código").click()
    shown = page.get_by_test_id("stMetricValue")
    expect(shown).to_be_visible()
    code = shown.inner_text().strip()
    known.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(".st-key-copy_oauth_code button")
    button.click()
    expect(button).to_have_text(re.compile("Copiado"))
    copied = page.evaluate("navigator.clipboard.readText()")
    shoot(page, "oauth-code")
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, "oauth-code-390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()
    expect(shown).to_have_text(code)
    expect(cell.get_by_role("link", name=re.compile("Abrir localhost"))).to_have_attribute(
        "href", f"{openid.url}/device"
    )
    openid.type_code(code, ANA)

    expect(cell.get_by_text("Conectado como")).to_be_visible()
    for leg in ("smtp", "imap"):
        expect(page.locator(f".st-key-cell_{leg}").get_by_text("Correcto")).to_be_visible()
    assert copied == code
    page.close()


def test_microsofts_administrator_is_sent_a_link(known: BrowserContext, trusting_product: Product) -> None:
    """It is there to copy after the refusal; whoever stays at Microsoft's wall finds it below the button as well."""
    client = ClientDraft(OAuthProvider.MICROSOFT, "11112222-aaaa", Secret("s"), tenant="empresa.example")
    _put(trusting_product, client)
    page = _open_account(known, trusting_product)
    known.route(re.compile("/oauth/ir/"), lambda route: route.fulfill(body="Approval required"))
    attempt = _leave(page, "Conectar con Microsoft").url.rpartition("/")[2]
    known.unroute(re.compile("/oauth/ir/"))
    page.get_by_text("¿Microsoft te pide la aprobación de un administrador?").click()
    link = page.get_by_text("https://login.microsoftonline.com/empresa.example/v2.0/adminconsent")
    expect(link).to_be_visible()
    settled(page)
    shoot(page, "oauth-waiting")
    with open_beside(trusting_product) as workbench, workbench.context.database.session() as session:
        facts = {"code": "AADSTS90094", "trace": "0a1b2c3d-0000-1111-2222-333344445555"}
        store.conclude_attempt(session, attempt, "refused", "oauth_needs_admin", facts)

    expect(page.get_by_text("Código: AADSTS90094")).to_be_visible()
    expect(link).to_be_visible()
    _look(page, "oauth-administrator-of-microsoft")


def test_a_connection_that_died_of_testing_mode_says_so(known: BrowserContext, trusting_product: Product) -> None:
    """After Google's seven days: why, what the administrator does about it, and the button that connects again."""
    _put(trusting_product, ClientDraft(OAuthProvider.GOOGLE, "panel", Secret("s")))
    with open_beside(trusting_product) as workbench, workbench.context.database.session() as session:
        made = workbench.context.clock() - timedelta(days=7)
        row = OauthGrantRow(
            user_id=_ANA.user_id, provider="google", client_id="panel", subject="1", address=ANA, mailbox=ANA,
            hosts=["localhost"], scopes=["https://mail.google.com/"], obtained=made, refreshed=made,
            state="needs_login", key="oauth_expired", facts={"testing_days": 7, "code": "invalid_grant"},
        )  # fmt: skip
        store.put_grant(session, row)
    page = _open_account(known, trusting_product)

    cell = page.locator(".st-key-cell_account")
    expect(cell.get_by_text("Conexión perdida")).to_be_visible()
    expect(cell.get_by_text("El registro está en modo de prueba: sus conexiones duran 7 días")).to_be_visible()
    expect(cell.get_by_role("link", name="Conectar de nuevo con Google")).to_be_visible()
    _look(page, "oauth-testing-mode")


@pytest.mark.parametrize(
    ("name", "block", "permissions"),
    [
        ("Google", "scopes", ["openid", "email", "https://mail.google.com/"]),
        ("Microsoft", "permissions", ["SMTP.Send", "IMAP.AccessAsUser.All", "offline_access", "openid", "email"]),
    ],
)
def test_what_to_register_is_copied_letter_by_letter(
    browser: Browser, trusting_product: Product, name: str, block: str, permissions: list[str]
) -> None:
    """By a button in sight, with a pointer and with a finger."""
    for width, touch in ((1280, False), (390, True)):
        profile = new_profile(browser, viewport={"width": width, "height": 844}, has_touch=touch)
        profile.set_default_timeout(15_000)
        profile.grant_permissions(["clipboard-read", "clipboard-write"])
        page = profile.new_page()
        log_in(page, trusting_product, "/administracion")
        page.get_by_role("radio", name="Inicio de sesión con proveedores").click()
        settled(page)
        page.get_by_role("radio", name=name, exact=True).click()
        settled(page)
        copied: list[str] = []
        for each in ("redirect", block):
            button = page.locator(f".st-key-copy_oauth_{each} button")
            (button.tap if touch else button.click)()
            expect(button).to_have_text(re.compile("Copiado"))
            copied.append(page.evaluate("navigator.clipboard.readText()"))
        assert copied == [f"{trusting_product.url}/oauth/vuelta/{name.lower()}", "\n".join(permissions)]
        shoot(page, f"oauth-register-{name}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        profile.close()


def test_a_wrong_secret_and_one_that_ends_are_told_to_the_administrator(
    known: BrowserContext, trusting_product: Product, openid: OpenIdProvider
) -> None:
    """«Probar» says whose fault it is, Resumen thirty days before what will stop, with the way to the panel."""
    ends = datetime.now(UTC).date() + timedelta(days=12)
    _put(trusting_product, replace(_own(openid), secret=Secret("otro"), secret_ends=ends))
    page = known.new_page()
    page.goto(f"{trusting_product.url}/administracion")
    settled(page)
    page.get_by_role("radio", name="Inicio de sesión con proveedores").click()
    settled(page)
    page.get_by_role("radio", name="Otro (OpenID)").click()
    settled(page)
    page.get_by_role("button", name="Probar", exact=True).click()
    expect(page.get_by_text("Empresa no acepta el registro de esta instalación")).to_be_visible()
    settled(page)
    shoot(page, "oauth-wrong-secret")
    page.goto(trusting_product.url)
    settled(page)
    expect(page.get_by_text("El secreto de Empresa caduca el")).to_be_visible()
    _look(page, "oauth-secret-ends")
