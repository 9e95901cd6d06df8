"""Every page for everybody: WCAG 2.2 AA in each size and colour scheme, Spanish names, the keyboard alone, 200 % zoom.

One visit, since a page costs more to load than to look at. The rules are those of axe-core, which
``tests/setup_packages.sh`` installs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.servers.browser import log_in, settled, watch
from tests.servers.leftout import leave_out
from tests.servers.product import Product
from tests.shots import ADDRESSES, PANELS, demonstration

pytestmark = pytest.mark.e2e

AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_MORE = ["heading-order", "page-has-heading-one", "presentation-role-conflict"]
# What another colour scheme can change.
_OF_COLOURS = ["color-contrast", "link-in-text-block"]
# Half of 1280 × 800 at twice the size: what a browser lays out at a zoom of 200 %.
_ZOOMED, _SCALE = ViewportSize(width=640, height=400), 2
_SIZES = (ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844))
_SCHEMES: tuple[tuple[Literal["light", "dark"], list[str]], ...] = (("light", []), ("dark", _OF_COLOURS))

# Frames without scripts never answer.
_RUN = """async ([tags, more, only]) => (await axe.run(document, {
  runOnly: only.length ? {type: "rule", values: only} : {type: "tag", values: tags},
  rules: only.length ? {} : Object.fromEntries(more.map(rule => [rule, {enabled: true}])),
  resultTypes: ["violations"], preload: false, pingWaitTime: 100,
})).violations.flatMap(found => found.nodes.map(node => `${found.id}: ${node.html.slice(0, 120)}`))"""

# Names that Streamlit gives its own controls, as a screen reader tells them.
_NAMES = """() => [...document.querySelectorAll("[aria-label],[title],[placeholder],[alt]")]
  .filter(element => !element.closest("[aria-hidden=true]"))
  .flatMap(element => ["aria-label", "title", "placeholder", "alt"].map(name => element.getAttribute(name) ?? ""))"""
_ENGLISH = re.compile(
    r"\b(show|hide|help|open|close|upload|browse|clear|expand|collapse|press|skip|icon|scroll|select|choose|navigate"
    r"|sidebar|menu|copy|streamlit|quill)\b",
    re.IGNORECASE,
)

# Texts that begin or end outside of the window and cannot be scrolled to.
_CUT = """() => {
  const scrolls = element => /auto|scroll/.test(getComputedStyle(element).overflowX);
  const cut = document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [];
  const texts = document.createTreeWalker(document.querySelector("[data-testid=stMain],main"), NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    const node = texts.currentNode, holder = node.parentElement;
    if (!node.data.trim() || !holder.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 2 || (box.left >= 0 && box.right <= innerWidth)) continue;
    let above = holder;
    while (above && above.dataset.testid !== "stMain" && !scrolls(above)) above = above.parentElement;
    if (!above || above.dataset.testid === "stMain") cut.push(node.data.slice(0, 60));
  }
  return cut;
}"""


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Product, str, str]]:
    """The demonstration, with its user and password."""
    with demonstration() as told:
        yield told


@pytest.fixture
def visit(browser: Browser) -> Iterator[BrowserContext]:
    """A profile at twice the size, whose pages have axe in them."""
    if not AXE.exists():
        leave_out("axe-core")
    context = browser.new_context(
        locale="es-ES", timezone_id="Europe/Madrid", viewport=_SIZES[0], device_scale_factor=_SCALE
    )  # fmt: skip
    context.add_init_script(path=AXE)
    yield watch(context)
    context.close()


def _judge(page: Page, name: str) -> list[str]:
    """Return all that is wrong with the page as it stands, in each size and scheme."""
    wrong: list[str] = []
    page.mouse.move(0, 0)
    for size in _SIZES:
        page.set_viewport_size(size)
        for scheme, only in _SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found: list[str] = page.evaluate(_RUN, [_TAGS, _MORE, only])
            wrong += [f"{name}, {size['width']}, {scheme}: {line}" for line in found]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(_ZOOMED)
    wrong += [f"{name}, zoomed: {line}" for line in page.evaluate(_CUT)]
    names: list[str] = page.evaluate(_NAMES)
    wrong += [f"{name}: «{given}» is English" for given in sorted(set(names)) if _ENGLISH.search(given)]
    language: Any = page.locator("html").get_attribute("lang")
    page.set_viewport_size(_SIZES[0])
    return wrong if language == "es" else [*wrong, f"{name}: its language is {language}"]


@pytest.mark.timeout(300)
def test_every_page_is_for_everybody(visit: BrowserContext, house: tuple[Product, str, str]) -> None:
    """No rule of axe is broken, nothing is cut at 200 %, no name is English; and each page is looked at."""
    product, user, password = house
    page = visit.new_page()
    page.goto(f"{product.url}/entrar")
    wrong = _judge(page, "entrar")
    log_in(page, product, user=user, password=password)
    page.goto(f"{product.url}/api-key")
    page.get_by_role("button", name="Generar nueva API Key").click()
    page.get_by_label("Contraseña del usuario actual").fill(password)
    settled(page)
    wrong += _judge(page, "dialog")
    page.get_by_role("dialog").get_by_role("button", name="Generar", exact=True).click()
    expect(page.get_by_text("Tu nueva clave")).to_be_visible()
    wrong += _judge(page, "new key")
    looked: list[str] = []
    for name, path in ADDRESSES.items():
        page.goto(product.url + path)
        settled(page)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        wrong += _judge(page, name)
        for panel in PANELS.get(name, ()):
            page.get_by_test_id("stMain").get_by_role("radio", name=re.compile(f"^{panel}")).first.click()
            settled(page)
            wrong += _judge(page, f"{name}, {panel}")
        looked.append(page.get_by_role("heading", level=1).inner_text())
    page.goto(f"{product.url}/no-existe")
    wrong += _judge(page, "no such page")

    assert wrong == []
    assert len(set(looked)) == len(ADDRESSES)


_FOCUSED = """() => {
  const element = document.activeElement;
  const named = document.getElementById(element.getAttribute("aria-labelledby")?.split(" ")[0] ?? "");
  const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText ?? named?.innerText
    ?? element.innerText;
  return name.replace(/^[a-z_]+\\n/, "").trim();
}"""


def _tab_to(page: Page, name: str, *, at_most: int = 120) -> None:
    """Press Tab until the control called ``name`` has the focus."""
    met: list[str] = []
    for _ in range(at_most):
        page.keyboard.press("Tab")
        met.append(page.evaluate(_FOCUSED))
        if met[-1].endswith(name):
            return
    pytest.fail(f"Tab does not come to «{name}», only to {met}", pytrace=False)


def test_the_whole_way_is_gone_by_keyboard(page: Page, house: tuple[Product, str, str]) -> None:
    """Log in, go to the account, change it, prove it, save it: no click, and the focus is never caught."""
    product, user, password = house
    page.goto(f"{product.url}/entrar")
    expect(page.get_by_label("Usuario", exact=True)).to_be_focused()
    page.keyboard.type(user)
    _tab_to(page, "Contraseña")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{product.url}/")
    settled(page)

    _tab_to(page, "Cuenta mail")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cuenta mail", level=1)).to_be_visible()
    settled(page)
    cell = page.locator(".st-key-cell_smtp")
    asked = cell.get_by_role("radiogroup", name="Confirmación lectura").get_by_role("radio", name="Sí", exact=True)
    expect(asked).not_to_be_checked()
    _tab_to(page, "Sí")
    page.keyboard.press("Space")
    settled(page)
    expect(asked).to_be_checked()
    _tab_to(page, "Probar conexión SMTP")
    page.keyboard.press("Enter")
    expect(cell.get_by_text(re.compile("Correcto$"))).to_be_visible()
    settled(page)
    _tab_to(page, "Destinatario")
    page.keyboard.type("x")
    expect(page.get_by_text("Intro para aplicarlo")).to_be_visible()
    page.keyboard.press("Backspace")

    _tab_to(page, "Guardar")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Todo guardado")).to_be_visible()
    page.reload()
    settled(page)
    expect(asked).to_be_checked()
    expect(page.get_by_role("dialog")).to_have_count(0)
