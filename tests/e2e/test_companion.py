"""What Streamlit says by itself: in Spanish, and a line of ours while the server is away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cgcore.texts import lookup
from tests.servers.browser import log_in, settled, shoot
from tests.servers.daemon import free_ports
from tests.servers.product import Product, run_product

pytestmark = pytest.mark.e2e

# Streamlit's dialog as it is made, and what is pressed in it before anything is painted.
_DIALOG = """() => new Promise((done) => {
  const dialog = document.createElement('div');
  dialog.setAttribute('role', 'dialog');
  dialog.innerHTML = '<h2>Connection error</h2><p>Is Streamlit still running?</p><button aria-label="Close">x</button>';
  const pressed = [];
  dialog.querySelector('button').onclick = () => { pressed.push('Close'); dialog.remove(); };
  document.body.append(dialog);
  requestAnimationFrame(() => done(pressed));
})"""


# Tabs as Streamlit has them from when a run is asked for until it has drawn them: what is pressed is forgotten.
_TABS_OFF = """() => {
  const tabs = ['uno', 'dos'].map((name) =>
    `<div role="tab" tabindex="0" aria-disabled="true" id="${name}">${name}</div>`).join('');
  document.body.insertAdjacentHTML('beforeend', `<div style="position:fixed;top:0;z-index:9999999">${tabs}</div>`);
  window.heard = [];
  for (const kind of ['click', 'keydown']) document.addEventListener(kind, (event) => {
    const { target: tab, key } = event;
    if (tab.getAttribute?.('aria-disabled') === 'false') window.heard.push([tab.id, key ?? kind]);
  });
}"""
_TABS_ON = """() => {
  document.querySelectorAll('[role=tab][aria-disabled]').forEach((tab) => tab.setAttribute('aria-disabled', 'false'));
  return new Promise((done) => setTimeout(() => done(window.heard.splice(0)), 0));
}"""
_TABS_OFF_AGAIN = """() => document.querySelectorAll('[role=tab][aria-disabled]').forEach(
  (tab) => tab.setAttribute('aria-disabled', 'true'))"""


def expect_refusal(page: Page, product: Product, answer: int | None, told: str) -> None:
    """The next file is answered with ``answer`` (None: not at all), and the page says why: in our words alone."""
    address, chip = "**/_stcore/upload_file/**", page.get_by_test_id("stFileChip")
    page.route(address, lambda route: route.fulfill(status=answer) if answer else route.abort())
    page.goto(f"{product.url}/administracion")
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(
        {"name": "Remove me.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(chip).to_have_accessible_description(f"Error: {told}")
    expect(chip).to_have_accessible_name(re.compile("^Remove me.png"))
    expect(chip.get_by_role("button", name="Quitar Remove me.png")).to_be_visible()
    chip.hover()
    expect(page.get_by_text("AxiosError")).to_have_count(0)
    if answer == 413:
        shoot(page, "subida-rechazada")
    page.unroute(address)


def test_streamlits_own_words_are_spanish_and_a_server_that_is_away_is_told(page: Page, tmp_path: Path) -> None:
    """The line comes when the connection goes, what was drawn stays, and it leaves when the server is back."""
    (port,) = free_ports(1)
    line = page.locator("#server-away")
    with run_product(tmp_path, port=port) as product:
        log_in(page, product)
        page.goto(f"{product.url}/administracion")
        settled(page)
        assert page.locator("html").get_attribute("lang") == "es"
        expect(page.get_by_role("button", name="Main menu")).to_have_count(0)
        expect(page.get_by_text("Upload", exact=True)).to_have_count(0)
        expect(line).to_be_hidden()
        uploads = lookup("cgcore.web", "browser_uploads")
        for answer in (413, 403, 503, 500, None):
            expect_refusal(page, product, answer, uploads.get(str(answer), uploads["failed"]))
        settled(page)
    expect(line).to_be_visible()
    expect(line).to_contain_text("No hay conexión con el servidor")
    # Its own dialog, which comes after some tries, is closed as soon as it is there.
    assert page.evaluate(_DIALOG) == ["Close"]
    expect(page.get_by_role("heading", name="Administración")).to_be_visible()
    with run_product(tmp_path, port=port):
        expect(line).to_be_hidden()


def test_what_is_pressed_on_a_tab_that_is_switched_off_for_a_moment_is_done_afterwards(
    page: Page, product: Product
) -> None:
    """The last press counts, by mouse and by keyboard, and none where something else was pressed after it."""
    log_in(page, product)
    settled(page)
    page.evaluate(_TABS_OFF)
    for name in ("uno", "dos"):
        page.locator(f"#{name}").click(force=True)
    assert page.evaluate(_TABS_ON) == [["dos", "click"]]
    page.evaluate(_TABS_OFF_AGAIN)
    page.locator("#dos").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(_TABS_ON) == [["dos", "ArrowRight"]]
    page.evaluate(_TABS_OFF_AGAIN)
    page.locator("#uno").click(force=True)
    page.mouse.click(5, 500)

    assert page.evaluate(_TABS_ON) == []
