"""The preview of a 50 KB body in a browser: from the editor's last word to the frame that shows it."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from playwright.sync_api import Page, sync_playwright

from bench.figures import Figure
from cgcore.documents import DocumentType
from cgcore.templates.stored import default_source
from tests.servers.browser import BROWSER_FLAGS, find_browser, log_in, settled, watch
from tests.servers.daemon import make_folder, remove
from tests.servers.house import furnish
from tests.servers.product import product_environment, run_product

__all__ = ["run"]

_ROUNDS = 10
_LIMIT_S = 0.3
# By the browser's own clock: when the editor last handed over its text, and the first frame that shows the word.
_LISTEN = """() => {
    if (window.handed === undefined) addEventListener("message", event => {
        if (event.data?.type === "streamlit:setComponentValue") window.handed = performance.now();
    });
    window.handed = 0;
}"""
_SHOWN = "word => document.body.innerText.includes(word) && performance.now() - window.handed"
_LINE = "<p>Estimado {cliente}, <strong>línea</strong> con <em>formato</em> y {numero}.</p>"


def run() -> list[Figure]:
    """Return the median seconds; the editor's own delay ends when it hands over what was typed."""
    with ExitStack() as stack:
        folder = make_folder("cg-bench-preview-")
        stack.callback(remove, folder)
        house = furnish(folder)
        with house.workbench() as workbench:
            source = default_source(DocumentType.QUOTE)
            workbench.templates.save(house.admin, DocumentType.QUOTE, source.subject, _LINE * 620, version=0)
        product = stack.enter_context(run_product(folder, environment=product_environment(folder)))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        stack.callback(browser.close)
        page = watch(browser.new_context()).new_page()
        log_in(page, product, "/valores-por-defecto", user="ana", password=house.password)
        times = [_type(page, number) for number in range(_ROUNDS + 1)][1:]
    note = f"slowest of {_ROUNDS}: {max(times):.2f} s"
    return [Figure("preview of a 50 KB body after the editor (s)", statistics.median(times), _LIMIT_S, note=note)]


def _type(page: Page, number: int) -> float:
    """Type at the beginning of the body; return the seconds until the first words of the message have it."""
    settled(page)
    page.evaluate(_LISTEN)
    editor = page.locator(".st-key-quote_editor iframe").last.content_frame.locator(".ql-editor")
    editor.click()
    page.keyboard.press("Control+Home")
    page.keyboard.type(f"voz{number}q ")
    return page.wait_for_function(_SHOWN, arg=f"voz{number}q").json_value() / 1000
