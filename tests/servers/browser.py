"""A real Chromium, and the few gestures that every browser test makes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.servers.leftout import leave_out
from tests.servers.product import ADMIN, PASSWORD, Product

__all__ = [
    "BROWSER_FLAGS",
    "SHOTS",
    "browser",
    "by_hand",
    "context",
    "find_browser",
    "log_in",
    "new_profile",
    "page",
    "settled",
    "shoot",
    "shoot_phone",
    "watch",
]

BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
# The shell is the same engine without the windows around it, which cost a third of the processor time.
_NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
SHOTS = Path(__file__).parents[2] / "build" / "shots"

_PATIENCE_S = 20.0
# Until the browser has handled what a gesture has set off.
_NEXT_FRAME = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))"

expect.set_options(timeout=_PATIENCE_S * 1000)


class _Traffic:
    """What a tab has asked of the application, and whether it has got it: the page's own state comes a little late."""

    def __init__(self, page: Page) -> None:
        self._asked = self._begun = self._finished = False
        page.on("websocket", self._listen)

    @property
    def is_quiet(self) -> bool:
        """Whether the last run that was asked for has begun since, and has ended."""
        return self._asked and self._begun and self._finished

    def _listen(self, socket: WebSocket) -> None:
        self._asked = self._begun = self._finished = False
        socket.on("framesent", self._note_sent)
        socket.on("framereceived", self._note_received)

    def _note_sent(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes) and BackMsg.FromString(frame).WhichOneof("type") == "rerun_script":
            self._asked, self._begun, self._finished = True, False, False

    def _note_received(self, frame: str | bytes) -> None:
        message = ForwardMsg.FromString(frame) if isinstance(frame, bytes) else ForwardMsg()
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._begun, self._finished = True, False
        elif kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self._finished = True


_TRAFFIC: WeakKeyDictionary[Page, _Traffic] = WeakKeyDictionary()


def watch(context: BrowserContext) -> BrowserContext:
    """Follow what the tabs of ``context`` ask and get, for :func:`settled`; return it."""
    context.on("page", _watch_page)
    return context


def _watch_page(page: Page) -> None:
    _TRAFFIC[page] = _Traffic(page)


def find_browser() -> str | None:
    """Return the system's Chromium or a browser of its kind; none is ever downloaded."""
    given = os.environ.get("CHROMIUM", "")
    return given or next((path for name in _NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file. Not for the run: while Playwright lives, its event loop counts as running in
    this thread, and a test of another file could start none.
    """
    path = find_browser()
    if path is None:
        leave_out("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield running
        running.close()


def new_profile(browser: Browser, **options: Any) -> BrowserContext:
    """Return a fresh profile, Spanish, in Madrid, of somebody who has asked their system for less motion.

    Skeletons and spinners that stand still cost a fifth less; `test_login.py` and `test_nginx.py` keep them moving.
    """
    usual = {
        "locale": "es-ES",
        "timezone_id": "Europe/Madrid",
        "viewport": {"width": 1280, "height": 900},
        "reduced_motion": "reduce",
    }
    return watch(browser.new_context(**{**usual, **options}))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile, Spanish, in Madrid."""
    fresh = new_profile(browser)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One tab."""
    context.set_default_timeout(15_000)
    return context.new_page()


def log_in(page: Page, product: Product, path: str = "/", *, user: str = ADMIN, password: str = PASSWORD) -> None:
    """Send the form of the log-in page, and wait for the page behind ``path``; `test_login.py` fills it in by hand."""
    form: dict[str, str | float | bool] = {"username": user, "password": password, "next": path}
    answer = page.context.request.post(
        f"{product.url}/entrar", form=form, headers={"origin": product.url}, max_redirects=0
    )
    assert answer.status == 303, answer.text()
    page.goto(product.url + path)
    settled(page)


def by_hand(page: Page) -> None:
    """Unfold the cells of «Cuenta mail», which are folded while the account has no server."""
    fold = page.get_by_text("Rellenar a mano: servidores y envío de prueba", exact=True)
    if fold.count():
        fold.click()
        settled(page)


def settled(page: Page) -> None:
    """Wait until the page stands: what the last gesture has asked for has run, and nothing is running."""
    page.evaluate(_NEXT_FRAME)
    traffic, end = _TRAFFIC[page], time.monotonic() + _PATIENCE_S
    while not traffic.is_quiet and time.monotonic() < end:
        page.wait_for_timeout(10)
    assert traffic.is_quiet, "the page is still running, or its socket has never asked for a run"
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def shoot(page: Page, name: str) -> Path:
    """Write a screenshot of the whole page into ``build/shots``, for a person to look at, where one asks for it.

    ``make e2e`` does, by ``PICTURES=1``. No test looks at it, and it costs a tenth of them all.
    """
    path = SHOTS / f"{name}.png"
    if not os.environ.get("PICTURES"):
        return path
    SHOTS.mkdir(parents=True, exist_ok=True)
    # The application scrolls inside a box of its own: make the window as high as its content.
    height = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? document.body.scrollHeight")
    size = page.viewport_size or {"width": 1280, "height": 900}
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], min(int(height) + 40, 6000))})
    page.screenshot(path=path, animations="disabled")
    page.set_viewport_size(size)
    return path


def shoot_phone(page: Page, name: str) -> None:
    """Write the page as it stands, 390 pixels wide, in both colour schemes; fail where it scrolls sideways."""
    page.set_viewport_size({"width": 390, "height": 844})
    schemes: tuple[tuple[Literal["light", "dark"], str], ...] = (
        ("light", "rgb(255, 255, 255)"), ("dark", "rgb(15, 23, 42)"),
    )  # fmt: skip
    for scheme, colour in schemes:
        page.emulate_media(color_scheme=scheme)
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", colour)
        shoot(page, f"{name}-390-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
