"""«Cuenta mail» in a browser against the least form that does the same: first load, click to verdict, memory a tab.

The least form is one Streamlit script with as many inputs, which speaks to the same server with bare smtplib when its
button is clicked. Both are measured in turn, in one browser, so that a busy machine slows both.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from bench.figures import Figure, timed
from tests.servers.browser import BROWSER_FLAGS, by_hand, find_browser, log_in, settled, watch
from tests.servers.certificates import make_certificates
from tests.servers.daemon import free_ports, make_folder, remove
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.product import product_environment, run_product

__all__ = ["run", "wait_until_healthy"]

_ROUNDS = 5
_CLICKS = 30
_TABS_BEFORE = 10
_TABS = 15
_LIMIT = 1.3
_MIB = 1024
_ADDRESS, _PASSWORD = next(iter(USERS.items()))
_BUTTON = "Probar conexión SMTP"

# Clicked and looked for inside the page: what drives the browser takes its own time for both.
_CLICK = """async ([button, ...texts]) => {
    const start = performance.now();
    [...document.querySelectorAll("button")].find(one => one.innerText.includes(button)).click();
    await new Promise(done => {
        const look = () => texts.every(text => document.body.innerText.includes(text))
            ? done() : requestAnimationFrame(look);
        look();
    });
    return performance.now() - start;
}"""

_LEAST_FORM = """
import smtplib, ssl
import streamlit as st

st.set_page_config(layout="wide")
st.title("Cuenta mail")
with st.form("account"):
    user = st.text_input("Usuario Correo")
    password = st.text_input("Contraseña Correo", type="password")
    host = st.text_input("Servidor Saliente (SMTP)")
    port = st.text_input("Puerto")
    st.segmented_control("Seguridad Conexión", ["Ninguna", "SSL", "TLS"])
    st.segmented_control("Confirmación lectura", ["Sí", "No"], default="No")
    st.text_input("Servidor Entrante (IMAP)")
    st.text_input("Puerto IMAP")
    st.selectbox("Seguridad de conexión", ["Ninguna", "SSL", "STARTTLS"])
    st.selectbox("Carpeta guardar enviados", ["Sent"])
    st.text_input("Destinatario")
    clicked = st.form_submit_button("Probar conexión SMTP")
if clicked:
    client = smtplib.SMTP(host, int(port), local_hostname="[127.0.0.1]")
    client.ehlo()
    client.starttls(context=ssl.create_default_context())
    client.ehlo()
    client.login(user, password)
    client.mail(user)
    client.rcpt(user)
    client.rset()
    client.quit()
    st.session_state.runs = st.session_state.get("runs", 0) + 1
    st.write(f"Correcto, prueba {st.session_state.runs}")
"""


@dataclass(slots=True)
class _Side:
    """One of the two applications: where its form is, the process that serves it, and the log-in of the browser."""

    url: str
    pid: int
    session: Any = None
    loads: list[float] = field(default_factory=list[float])
    clicks: list[float] = field(default_factory=list[float])

    def rss_mib(self) -> float:
        """Return the memory that the process holds, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None, status
        return int(found[1]) / _MIB


def run() -> list[Figure]:
    """Return the figures; the medians of several rounds in turn."""
    with ExitStack() as stack:
        ours, least, browser, port = _prepare(stack)
        for side in (ours, least):
            _load(browser, side)  # the first visitor of a process pays for what it loads late
        first = ours.loads.pop() / least.loads.pop()
        # Before anything else: later tabs live in what closed ones have left.
        memory = [_memory_of_a_tab(side) for side in (ours, least)]
        for _ in range(_ROUNDS):
            for side in (ours, least):
                _load(browser, side)
        _click(browser, ours, least, port)
    return [
        _ratio("Cuenta mail, page load / a minimal form", ours.loads, least.loads, more=f"; first visitor {first:.2f}"),
        _ratio("Cuenta mail, click to verdict / a minimal form", ours.clicks, least.clicks),
        Figure(
            "memory of an open tab / a minimal form",
            memory[0] / max(memory[1], 0.001),
            note=f"{memory[0]:.2f} MiB / {memory[1]:.2f} MiB, mean of {_TABS}",
        ),
    ]


def _ratio(name: str, ours: list[float], least: list[float], *, more: str = "") -> Figure:
    a, b = statistics.median(ours), statistics.median(least)
    return Figure(name, a / b, _LIMIT, note=f"{a * 1000:.0f} ms / {b * 1000:.0f} ms{more}")


def _prepare(stack: ExitStack) -> tuple[_Side, _Side, Browser, int]:
    """Start mail servers, both applications and the browser; all of them end with ``stack``."""
    folder = make_folder("cg-bench-pages-")
    stack.callback(remove, folder)
    certificates = make_certificates(folder)
    dovecot = stack.enter_context(Dovecot(certificates.trusted))
    postfix = stack.enter_context(Postfix(dovecot))
    environment = product_environment(folder / "product", SSL_CERT_FILE=str(certificates.ca_file))
    product = stack.enter_context(run_product(folder / "product", environment=environment))
    least = stack.enter_context(_least_form(folder, environment))
    playwright = stack.enter_context(sync_playwright())
    browser = playwright.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
    stack.callback(browser.close)
    context = watch(browser.new_context())
    page = context.new_page()
    log_in(page, product, "/cuenta-mail")
    _store_a_server(page)
    ours = _Side(product.url + "/cuenta-mail", product.process.pid, context.storage_state())
    context.close()
    return ours, least, browser, postfix.submission_port


def _store_a_server(page: Page) -> None:
    """Save an account: that of a newcomer has its cells folded, and the form beside it has nothing folded."""
    by_hand(page)
    page.get_by_label("Servidor Saliente (SMTP)", exact=True).fill("localhost")
    page.get_by_label("Servidor Saliente (SMTP)", exact=True).press("Tab")
    settled(page)
    page.get_by_role("button", name="Guardar", exact=True).click()
    _wait_for_texts(page, "Todo guardado")


@contextmanager
def _least_form(folder: Path, environment: Mapping[str, str]) -> Iterator[_Side]:
    script = folder / "least.py"
    script.write_text(_LEAST_FORM)
    # With the product's own configuration: with Streamlit's the form costs four times as much.
    shutil.copytree(Path(__file__).parents[1] / ".streamlit", folder / ".streamlit")
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://localhost:{port}"
    try:
        wait_until_healthy(url, process)
        yield _Side(url + "/", process.pid)
    finally:
        process.kill()
        process.wait()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server of ``process`` answers. Raises :class:`RuntimeError` where it ends instead."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):  # noqa: S310  our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("the minimal form did not start")


def _load(browser: Browser, side: _Side) -> None:
    """Time one load in a browser without cache, from the address to the button that can be clicked."""
    context = watch(browser.new_context(storage_state=side.session))
    page = context.new_page()
    side.loads.append(timed(lambda: _open(page, side)))
    context.close()


def _open(page: Page, side: _Side) -> None:
    page.goto(side.url)
    _wait_for_texts(page, _BUTTON)


def _click(browser: Browser, ours: _Side, least: _Side, port: int) -> None:
    """Time, in turn, the way from the click to the verdict on the screen."""
    with ExitStack() as stack:
        clicks: list[tuple[_Side, Callable[[int], float]]] = []
        for side in (ours, least):
            context = watch(browser.new_context(storage_state=side.session))
            stack.callback(context.close)
            page = context.new_page()
            _open(page, side)
            _fill(page, port)
            clicks.append((side, lambda number, page=page: _prove(page, number)))
        for number in range(1, _CLICKS + 2):
            for side, click in clicks:
                took = click(number)
                if number > 1:
                    side.clicks.append(took)


def _fill(page: Page, port: int) -> None:
    settled(page)
    page.get_by_role("radio", name="TLS", exact=True).click()
    fields = {
        "Usuario Correo": _ADDRESS,
        "Contraseña Correo": _PASSWORD,
        "Servidor Saliente (SMTP)": "localhost",
        "Puerto": str(port),
    }
    for label, value in fields.items():
        control = page.get_by_label(label, exact=True)
        control.fill(value)
        control.press("Tab")
        page.wait_for_timeout(300)
        settled(page)


def _prove(page: Page, number: int) -> float:
    """Click, and return the seconds until the first frame with the verdict, as the browser's own clock has them."""
    settled(page)
    return page.evaluate(_CLICK, [_BUTTON, f"prueba {number}", "Correcto"]) / 1000


def _wait_for_texts(page: Page, *texts: str) -> None:
    """Wait until the page shows ``texts``, looking at every frame: a locator looks again after ever longer pauses."""
    page.wait_for_function("texts => texts.every(text => document.body.innerText.includes(text))", arg=list(texts))


def _memory_of_a_tab(side: _Side) -> float:
    """Return the MiB by which the server grows with each tab that stays open.

    A tab is what the server sees of one: a websocket that has asked for the page and had all of it.
    """
    with ExitStack() as stack:
        for _ in range(_TABS_BEFORE):  # what the process keeps anyhow, and the gaps that its start has left
            stack.enter_context(_tab(side))
        before = side.rss_mib()
        for _ in range(_TABS):
            stack.enter_context(_tab(side))
        return (side.rss_mib() - before) / _TABS


@contextmanager
def _tab(side: _Side) -> Iterator[None]:
    address = urlsplit(side.url)
    request = BackMsg()
    request.rerun_script.page_name = address.path.strip("/")
    cookies = side.session["cookies"] if side.session else []
    headers = {
        "Origin": f"{address.scheme}://{address.netloc}",
        "Cookie": "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies),
    }
    with connect(
        f"ws://{address.netloc}/_stcore/stream",
        additional_headers=headers,
        subprotocols=[Subprotocol("streamlit"), Subprotocol("none")],
        max_size=None,
    ) as socket:
        socket.send(request.SerializeToString())
        seen = ""
        while True:
            message = ForwardMsg.FromString(bytes(socket.recv(timeout=30, decode=False)))
            seen += str(message.delta)
            if message.HasField("script_finished"):
                break
        assert "Probar conexi" in seen, "another page came"
        yield
