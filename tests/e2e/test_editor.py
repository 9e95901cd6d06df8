"""The editor in its frame: named in Spanish, left by keyboard, nothing typed is late, dark in the dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Frame, Locator, Page, Route, expect

from tests.servers.browser import log_in, new_profile, settled, shoot
from tests.servers.house import add_login
from tests.servers.product import Product

pytestmark = pytest.mark.e2e

_PATH = "/valores-por-defecto"
_SIGNATURE = ".st-key-cell_signature iframe"
_NOTE_VALUES = """() => {
  window.handed = [];
  window.addEventListener('message', ({ data }) => {
    if (data?.type === 'streamlit:setComponentValue') window.handed.push(data.value);
  });
}"""
# Types as a person does, goes away in one of several ways, and lets only what is already on its way arrive.
_TYPE_AND_LEAVE = """([text, way]) => {
  const quill = document.querySelector('.ql-container').__quill;
  quill.insertText(0, text, 'user');
  if (way === 'blur') window.dispatchEvent(new Event('blur'));
  if (way === 'hidden') {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
    delete document.visibilityState;
  }
  if (way === 'pointer') window.parent.document.body.dispatchEvent(new Event('pointerdown', { bubbles: true }));
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  }).then(() => window.parent.handed.at(-1) ?? '');
}"""
_PASTE = """async (html) => {
  const item = new ClipboardItem({ 'text/html': new Blob([html], { type: 'text/html' }) });
  await navigator.clipboard.write([item]);
}"""


def open_editor(page: Page, product: Product) -> str:
    """Open the page as a new user; return the name."""
    name = add_login(product)
    log_in(page, product, _PATH, user=name)
    unfold(page)
    return name


def unfold(page: Page) -> None:
    """Open the signature: it is folded at first."""
    page.get_by_text("Firma", exact=True).click()
    expect(text_of(page)).to_be_visible()


def text_of(page: Page) -> Locator:
    return page.locator(_SIGNATURE).content_frame.locator(".ql-editor")


def frame_of(page: Page) -> Frame:
    frame = page.locator(_SIGNATURE).element_handle().content_frame()
    assert frame is not None
    return frame


def paste(page: Page, html: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.bring_to_front()
    page.evaluate(_PASTE, html)
    text_of(page).click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+v")


def save(page: Page) -> None:
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    settled(page)


def test_the_frame_and_every_control_have_a_spanish_name(page: Page, product: Product) -> None:
    """Language, title, toolbar, colours and the link box; no English word is left in what a person can read."""
    open_editor(page, product)
    frame = frame_of(page)

    expect(page.locator(_SIGNATURE)).to_have_attribute("title", "Texto de la firma")
    assert frame.evaluate("() => [document.documentElement.lang, document.title]") == ["es", "Texto de la firma"]
    for name in ("Negrita", "Cursiva", "Subrayado", "Color del texto", "Lista numerada", "Lista con viñetas"):
        expect(frame.get_by_role("button", name=name, exact=True)).to_be_visible()
    for name in ("Alineación", "Enlace", "Imagen", "Quitar el formato"):
        expect(frame.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(frame.get_by_role("textbox", name="Texto de la firma")).to_be_visible()
    controls = frame.locator(".ql-toolbar").locator("button, .ql-picker-label, .ql-picker-item")
    assert all(controls.evaluate_all("each => each.map((control) => control.getAttribute('aria-label'))"))
    expect(frame.locator('.ql-picker-item[aria-label="Rojo muy claro"]')).to_have_count(1)

    text_of(page).click()
    underline = frame.get_by_role("button", name="Subrayado", exact=True)
    expect(underline).to_have_attribute("aria-pressed", "false")
    underline.click()
    expect(underline).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+a")
    frame.get_by_role("button", name="Enlace", exact=True).click()
    expect(frame.get_by_label("Dirección del enlace:")).to_be_focused()
    words = "selector => getComputedStyle(document.querySelector(selector), '::before').content"
    assert frame.evaluate(words, ".ql-tooltip") == '"Dirección del enlace:"'
    expect(frame.get_by_role("button", name="Aplicar")).to_be_visible()


@pytest.mark.parametrize("key", ["Tab", "Escape"])
def test_the_keyboard_finds_the_way_out(page: Page, product: Product, key: str) -> None:
    """Forward to the page, without a character in the text."""
    open_editor(page, product)
    before = text_of(page).inner_html()
    text_of(page).focus()

    page.keyboard.press(key)

    page.wait_for_function("() => !['IFRAME', 'BODY'].includes(document.activeElement.tagName)")
    after = page.locator(_SIGNATURE).evaluate(
        "frame => frame.compareDocumentPosition(document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING"
    )
    assert after
    assert text_of(page).inner_html() == before


def test_shift_and_tab_leave_backwards(page: Page, product: Product) -> None:
    """To the toolbar, where Escape leaves as well."""
    open_editor(page, product)
    text_of(page).focus()

    page.keyboard.press("Shift+Tab")

    expect(frame_of(page).get_by_role("button", name="Quitar el formato")).to_be_focused()
    page.keyboard.press("Escape")
    page.wait_for_function("() => !['IFRAME', 'BODY'].includes(document.activeElement.tagName)")


@pytest.mark.parametrize("way", ["blur", "hidden", "pointer"])
def test_what_was_typed_is_handed_over_before_anything_else(page: Page, product: Product, way: str) -> None:
    """At once when the editor is left, and once: nothing comes again when its own patience is over."""
    open_editor(page, product)
    page.evaluate(_NOTE_VALUES)
    frame = frame_of(page)

    assert "primero" in frame.evaluate(_TYPE_AND_LEAVE, ["primero ", way])
    frame.evaluate(_TYPE_AND_LEAVE, ["segundo ", "no way"])
    page.wait_for_function("() => window.handed.some((each) => each.includes('segundo'))")

    assert [("segundo" in each) for each in page.evaluate("() => window.handed")] == [False, True]


def test_a_click_right_after_the_last_key_saves_it(page: Page, product: Product) -> None:
    """And leaves nothing unsaved behind."""
    name = open_editor(page, product)
    text_of(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("ÚLTIMO")

    save(page)
    page.reload()
    unfold(page)
    settled(page)

    assert name
    expect(text_of(page)).to_contain_text("ÚLTIMO")
    expect(page.get_by_text("Todo guardado")).to_be_visible()


@pytest.mark.parametrize(("scheme", "is_dark"), [("dark", True), ("light", False)])
def test_the_editor_follows_the_page(browser: Browser, product: Product, scheme: str, is_dark: bool) -> None:
    """The ground is that of the page, the letters stand out from it."""
    context = new_profile(browser, color_scheme="dark" if is_dark else "light")
    page = context.new_page()
    open_editor(page, product)
    expect(frame_of(page).locator("html")).to_have_css("color-scheme", scheme)

    colours = frame_of(page).evaluate(
        "() => ['background-color', 'color'].map(name => "
        "getComputedStyle(document.querySelector('.ql-container'))[name])"
    )
    ground, letters = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    shoot(page, f"editor-{scheme}")
    context.close()

    assert (ground < 200, letters > 500) == (is_dark, is_dark)


def test_a_pasted_table_is_lines_and_the_editor_says_so(page: Page, product: Product) -> None:
    """Cells keep apart, also those that hold a paragraph; a table for layout says nothing and gets no dots."""
    open_editor(page, product)
    told = frame_of(page).locator(".told")
    row = "<tr><td><p>IVA</p></td><td></td><td><span>100,00</span></td></tr>"

    paste(page, f"<table><tr><th>Concepto</th><th>Base</th><th>Cuota</th></tr>{row}</table><p>Fin</p>")

    expect(text_of(page).locator("p")).to_contain_text(["Concepto · Base · Cuota", "IVA · 100,00", "Fin"])
    expect(told).to_contain_text("La tabla se ha pegado como texto")
    save(page)

    paste(page, "<table><tr><td><table><tr><td><p>Ana</p><p>Tosma</p></td></tr></table></td></tr></table>")

    expect(text_of(page)).not_to_contain_text("IVA")
    expect(text_of(page).locator("p").filter(has_text=re.compile(r"\w"))).to_have_text(["Ana", "Tosma"])
    expect(told).to_have_text("")


def test_a_list_keeps_its_first_number_and_a_lost_picture_its_words(page: Page, product: Product) -> None:
    """Through pasting, saving and loading; opening it again is no change."""
    open_editor(page, product)

    paste(page, '<ol start="3"><li>tres</li><li>cuatro</li></ol><p>x <img src="file:///c:/l.png" alt="Logo"></p>')
    expect(text_of(page)).to_contain_text("x Logo")
    save(page)
    page.reload()
    unfold(page)
    settled(page)

    expect(text_of(page).locator("ol > li").first).to_have_attribute("start", "3")
    expect(text_of(page)).to_contain_text("x Logo")
    expect(page.get_by_text("Todo guardado")).to_be_visible()


def test_a_field_whose_part_of_the_page_comes_late_shows_what_is_stored(page: Page, product: Product) -> None:
    """A slow line and a quick hand: a click runs the page again before the browser can draw its first fields."""
    open_editor(page, product)
    subject = page.get_by_role("textbox", name="Asunto")
    stored = subject.input_value()
    held: list[Route] = []
    page.route(re.compile(r"/TextInput\..*\.js"), lambda route: held.append(route))

    page.reload()
    unfold(page)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(1)
    for route in held:
        route.continue_()

    expect(subject).to_have_value(stored)
    page.get_by_role("tab", name="Pedidos", exact=True).click()
    page.get_by_role("tab", name="Presupuestos").click()
    expect(subject).to_have_value(stored)
    expect(page.get_by_text("Todo guardado")).to_be_visible()
