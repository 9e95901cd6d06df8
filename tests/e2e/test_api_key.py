"""«API Key» in a real browser: from the blank page to a used, renewed, revoked and paired key."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, WebSocket, expect

from cgcore.api_keys.form import KEY_PATTERN
from tests.servers.browser import log_in, settled, shoot
from tests.servers.product import PASSWORD, Product, product_environment, run_product

pytestmark = pytest.mark.e2e

_ASKED = "Contraseña del usuario actual"


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product without any key."""
    folder = tmp_path_factory.mktemp("keys")
    with run_product(folder, environment=product_environment(folder)) as running:
        yield running


def call(product: Product, key: str) -> int:
    return httpx.get(f"{product.url}/api/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code


def issue(page: Page) -> str:
    """Generate a key in the open dialog and return it; the dialog that shows it stays open."""
    page.get_by_role("button", name="Generar nueva API Key").click()
    page.get_by_label(_ASKED).fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Generar", exact=True).click()
    expect(page.get_by_text("Tu nueva clave")).to_be_visible()
    return shown_key(page)


def shown_key(page: Page) -> str:
    code = page.get_by_role("dialog").get_by_test_id("stCode").first
    expect(code).to_have_text(re.compile(KEY_PATTERN))
    found = re.search(KEY_PATTERN, code.inner_text())
    assert found is not None
    return found[0]


def listen(page: Page) -> list[str]:
    """Return the list to which every frame of the page's websockets is added from now on."""
    frames: list[str] = []

    def note(frame: str | bytes) -> None:
        frames.append(str(frame))

    def listen_to(socket: WebSocket) -> None:
        socket.on("framereceived", note)
        socket.on("framesent", note)

    page.on("websocket", listen_to)
    return frames


def close_shown(page: Page) -> None:
    page.get_by_role("button", name="Ya la he copiado").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    settled(page)


def test_the_first_key_from_blank_page_to_use(page: Page, fresh: Product) -> None:
    """A wrong password makes nothing; the right one shows a key once, to copy and try, and it is then nowhere."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    frames = listen(page)
    log_in(page, fresh, "/api-key")
    expect(page.get_by_role("heading", name="API Key")).to_be_visible()
    expect(page.get_by_test_id("stMain").get_by_role("button")).to_have_count(1)
    shoot(page, "api-key-vacia")
    page.get_by_role("button", name="Generar nueva API Key").click()
    page.get_by_label(_ASKED).fill("no es esta")
    page.get_by_role("dialog").get_by_role("button", name="Generar", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text(re.compile("contraseña", re.I)).last).to_be_visible()
    expect(page.get_by_text("Tu nueva clave")).to_have_count(0)
    shoot(page, "api-key-contrasena")
    page.get_by_label(_ASKED).fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Generar", exact=True).click()
    expect(page.get_by_text("Tu nueva clave")).to_be_visible()
    key = shown_key(page)
    page.get_by_role("dialog").get_by_role("button", name="Probar la clave").click()
    expect(page.get_by_role("dialog").get_by_text("La API acepta la clave")).to_be_visible()
    shoot(page, "api-key-mostrada")
    page.locator(".st-key-copy_api_key button").click()
    expect(page.locator(".st-key-copy_api_key")).to_contain_text("Copiado")
    copied = page.evaluate("navigator.clipboard.readText()")
    shown = len(frames)
    close_shown(page)
    expect(page.locator(".st-key-cell_api_key_list").get_by_text("Activa")).to_be_visible()
    after = page.content()
    page.reload()
    settled(page)
    shoot(page, "api-key")

    assert copied == key
    assert call(fresh, key) == 200
    assert key not in after
    assert key not in page.content()
    assert [frame for frame in frames[:shown] if key in frame]
    assert frames[shown:]
    assert not [frame for frame in frames[shown:] if key[12:44] in frame]
    stored = [path for path in fresh.folder.rglob("*") if path.is_file()]
    assert fresh.log in stored
    assert not [path for path in stored if key[12:44].encode() in path.read_bytes()]
    expect(page.get_by_text(f"cg_{key[3:11]}_…{key[-4:]}").first).to_be_visible()


def test_renew_then_revoke(page: Page, product: Product) -> None:
    """The new key works at once and ends the old one at its first use; a revoked key is refused."""
    log_in(page, product, "/api-key")
    old = issue(page)
    close_shown(page)
    assert call(product, old) == 200
    row = page.locator(f".st-key-api_key_row_{old[3:11]}")
    row.get_by_role("button", name="Renovar").click()
    page.get_by_label(_ASKED).fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Renovar").click()
    expect(page.get_by_text("Tu nueva clave")).to_be_visible()
    new = shown_key(page)
    close_shown(page)
    expect(row.get_by_text("En relevo")).to_be_visible()
    shoot(page, "api-key-en-relevo")
    statuses = [call(product, old), call(product, new), call(product, old)]
    page.reload()
    settled(page)
    renewed = page.locator(f".st-key-api_key_row_{new[3:11]}")
    renewed.get_by_role("button", name="Revocar").click()
    page.get_by_role("dialog").get_by_role("button", name="Revocar").click()
    expect(page.get_by_text("Clave revocada", exact=True)).to_be_visible()
    expect(renewed).to_have_count(0)

    assert statuses == [200, 200, 401]
    assert call(product, new) == 401


def test_a_pasted_key_is_tried_and_not_kept(page: Page, product: Product) -> None:
    """The right one is accepted, a mistyped one is named without a call, and the field is empty afterwards."""
    log_in(page, product, "/api-key")
    key = issue(page)
    close_shown(page)
    cell = page.locator(".st-key-cell_api_key_check")
    field = cell.get_by_label("Clave que pruebas")
    field.fill(key)
    cell.get_by_role("button", name="Probar la clave").click()
    expect(cell.get_by_text("La API acepta la clave")).to_be_visible()
    expect(cell.get_by_text("Correcto")).to_be_visible()
    expect(field).to_have_value("")
    shoot(page, "api-key-probada")
    field.fill(key[:-1])
    cell.get_by_role("button", name="Probar la clave").click()
    expect(cell.get_by_text(re.compile("mal copiada"))).to_be_visible()
    page.reload()
    settled(page)

    expect(cell.get_by_text("La API acepta la clave")).to_be_visible()
    assert key not in page.content()


def test_a_device_is_paired_once(page: Page, product: Product) -> None:
    """The QR's code gives the device a key of its own; the second try is refused."""
    log_in(page, product, "/api-key")
    issue(page)
    close_shown(page)
    page.get_by_role("button", name="Vincular un dispositivo").click()
    page.get_by_label(_ASKED).fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Mostrar el código QR").click()
    expect(page.get_by_role("img", name="Código QR")).to_be_visible()
    shoot(page, "api-key-vincular")
    code = page.get_by_role("dialog").get_by_test_id("stCode").inner_text().strip()
    answers = [pair(product, code) for _ in range(2)]
    page.get_by_role("dialog").get_by_role("button", name="Cerrar").last.click()
    settled(page)

    assert [status for status, _ in answers] == [201, 422]
    assert call(product, answers[0][1]["key"]) == 200
    expect(page.get_by_text("Móvil de pruebas").first).to_be_visible()
    assert answers[0][1]["key"] not in page.content()


def pair(product: Product, code: str) -> tuple[int, dict[str, str]]:
    answer = httpx.post(f"{product.url}/api/v1/pairing", json={"code": code, "device": "Móvil de pruebas"})
    return answer.status_code, answer.json()


def test_a_key_that_is_shown_is_gone_after_going_elsewhere(page: Page, product: Product) -> None:
    """Back and forth again: the dialog does not come back."""
    log_in(page, product, "/cuenta-mail")
    page.get_by_role("link", name="API Key").first.click()
    settled(page)
    key = issue(page)
    page.go_back()
    settled(page)
    page.get_by_role("link", name="API Key").first.click()
    settled(page)

    expect(page.get_by_role("heading", name="API Key")).to_be_visible()
    expect(page.get_by_text("Tu nueva clave")).to_have_count(0)
    assert key not in page.content()


def test_the_documentation_needs_the_log_in_and_asks_nobody_else(page: Page, product: Product) -> None:
    """Without a log-in it leads to it; with one it is one page without a script and without another host."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(product.url + "/api/v1/docs")
    expect(page).to_have_url(re.compile("/entrar"))
    log_in(page, product, "/api-key")
    asked.clear()
    page.goto(product.url + "/api/v1/docs")
    expect(page.get_by_role("heading", name="API de Cloud Gestion")).to_be_visible()
    shoot(page, "api-documentacion")

    assert [url for url in asked if not url.startswith(product.url)] == []
    assert page.locator("script").count() == 0
