"""What a run of a page costs the server, against the same elements without any logic, and against a form of six fields.

All three are Streamlit over a websocket with the same configuration, and are run in turns. The figure is the CPU time
of the process: reruns share one interpreter, so the time that many tabs wait is theirs times the CPU of one.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.figures import Figure
from bench.floor import write_floor
from bench.pages import wait_until_healthy
from cgcore.documents import DocumentType
from cgcore.vault.secret import Secret
from tests.servers.daemon import free_ports, make_folder, remove
from tests.servers.house import add_series, furnish
from tests.servers.product import product_environment, run_product

__all__ = ["run"]

_ROOT = Path(__file__).parents[1]
_ROUNDS = 5
_RUNS = 20
_COOKIE = "cg_session"
# Address, limit against the form. Against the same elements it is the same for all.
_PAGES = {
    "Cuenta mail": ("cuenta-mail", 4.0),
    "Series por defecto": ("series-por-defecto", 4.0),
    "Resumen": ("", 4.0),
    "Valores por defecto": ("valores-por-defecto", 12.0),
}
_FLOOR_LIMIT = 1.3
_FRAME = 5  # deltas: what the floor has for a frame of its own, and sentences that come once
_MEMORY_LIMIT = 2.2

_SERVES = """
import streamlit as st
from streamlit_quill import st_quill

def form():
    st.title("Cuenta mail")
    with st.form("account"):
        for label in ("Usuario", "Servidor saliente", "Servidor entrante", "Carpeta"):
            st.text_input(label)
        st.text_input("Contraseña", type="password")
        st.selectbox("Seguridad", ["Ninguna", "SSL", "STARTTLS"])
        st.form_submit_button("Guardar")

"""
_FORM = (
    _SERVES.replace("from streamlit_quill import st_quill\n", "")
    + """
st.set_page_config(layout="wide")
form()
"""
)


@dataclass
class _Tab:
    """An open tab: it asks for a run of its page and waits for the end of it."""

    socket: ClientConnection
    pid: int
    page: str = ""
    page_hash: str = ""
    costs: list[float] = field(default_factory=list[float])

    def run(self) -> list[ForwardMsg]:
        """Run the page once; return what came."""
        request = BackMsg()
        request.rerun_script.page_name = self.page
        request.rerun_script.page_script_hash = self.page_hash
        self.socket.send(request.SerializeToString())
        came: list[ForwardMsg] = []
        while True:
            came.append(ForwardMsg.FromString(bytes(self.socket.recv(timeout=60, decode=False))))
            if came[-1].HasField("navigation"):
                self.page_hash = came[-1].navigation.page_script_hash
            if came[-1].HasField("script_finished"):
                return came

    def measure(self) -> None:
        """Run it many times; note the CPU seconds that the server has taken for one."""
        before = _cpu_s(self.pid)
        for _ in range(_RUNS):
            self.run()
        self.costs.append((_cpu_s(self.pid) - before) / _RUNS)


def run() -> list[Figure]:
    """Return, for each page, both ratios; and the memory of the process with its first tab."""
    with ExitStack() as stack:
        folder = make_folder("cg-bench-reruns-")
        stack.callback(remove, folder)
        token = _furnish(folder / "product")
        environment = product_environment(folder / "product")
        product = stack.enter_context(run_product(folder / "product", environment=environment))
        cookie = f"{_COOKIE}={token}"
        own: dict[str, _Tab] = {}
        drawn: dict[str, list[ForwardMsg]] = {}
        memory = [0.0, 0.0]
        for name, (address, _limit) in _PAGES.items():
            own[name] = stack.enter_context(_tab(product.url, product.process.pid, page=address, cookie=cookie))
            drawn[name] = own[name].run()
            memory[0] = memory[0] or _rss_mib(product.process.pid)
        url, pid = stack.enter_context(_serving(folder / "form", _FORM, environment))
        form = stack.enter_context(_tab(url, pid))
        form.run()
        memory[1] = _rss_mib(pid)
        url, pid = stack.enter_context(_serving(folder / "floors", _write_floors(drawn), environment))
        floors = {name: stack.enter_context(_tab(url, pid, page=address)) for name, (address, _limit) in _PAGES.items()}
        for name, messages in drawn.items():
            # The same page again, not a sentence in its place; and the same elements below it.
            counts = [_count(came) for came in (messages, own[name].run(), floors[name].run())]
            assert max(counts) - min(counts) <= _FRAME, (name, counts)
        form.run()
        for _ in range(_ROUNDS):
            for tab in (form, *own.values(), *floors.values()):
                tab.measure()
    return [
        *(figure for name in _PAGES for figure in _figures(name, own[name], floors[name], form, drawn[name])),
        Figure(
            "memory of the process, first tab / a form",
            memory[0] / memory[1],
            _MEMORY_LIMIT,
            note=f"{memory[0]:.0f} MiB / {memory[1]:.0f} MiB",
        ),
    ]


def _count(messages: list[ForwardMsg]) -> int:
    return sum(message.WhichOneof("type") == "delta" for message in messages)


def _figures(name: str, own: _Tab, floor: _Tab, form: _Tab, drawn: list[ForwardMsg]) -> list[Figure]:
    costs = [statistics.median(tab.costs) for tab in (own, floor, form)]
    note = " / ".join(f"{cost * 1000:.1f} ms" for cost in costs)
    size = sum(len(message.SerializeToString()) for message in drawn) / 1024
    return [
        Figure(f"{name}, CPU of a run / same elements", costs[0] / costs[1], _FLOOR_LIMIT, note=note),
        Figure(
            f"{name}, CPU of a run / a form",
            costs[0] / costs[2],
            _PAGES[name][1],
            note=f"{len(drawn)} messages, {size:.0f} KB; same elements {costs[1] / costs[2]:.2f}",
        ),
    ]


def _furnish(folder: Path) -> str:
    """Make an installation with a series; return the cookie of the administrator."""
    folder.mkdir(parents=True)
    house = furnish(folder)
    with house.workbench() as workbench:
        add_series(workbench, house.admin, "F", DocumentType.SALES_INVOICE)
        return workbench.identity.sessions.log_in("ana", Secret(house.password)).token.reveal()


def _function(name: str) -> str:
    return name.lower().replace(" ", "_")


def _write_floors(drawn: Mapping[str, list[ForwardMsg]]) -> str:
    """Return a script with a floor for each page, in a menu of as many pages as the product's."""
    floors = "\n\n".join(write_floor(_function(name), messages) for name, messages in drawn.items())
    by_address = {address: _function(name) for name, (address, _limit) in _PAGES.items()}
    menu = next(each.navigation for each in next(iter(drawn.values())) if each.HasField("navigation"))
    pages = [
        f"st.Page({by_address.get(page.url_pathname, f'lambda: {number}')}, title={page.page_name!r}, "
        f"icon={page.icon!r}, url_path={page.url_pathname or 'first'!r}, default={page.is_default!r})"
        for number, page in enumerate(menu.app_pages)
    ]
    return f"{_SERVES}{floors}\nst.set_page_config(layout='wide')\nst.navigation([{', '.join(pages)}]).run()\n"


@contextmanager
def _serving(folder: Path, script: str, environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Serve ``script`` with the product's configuration; yield address and process."""
    shutil.copytree(_ROOT / ".streamlit", folder / ".streamlit")
    (folder / "script.py").write_text(script)
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "streamlit", "run", "script.py", "--server.port", str(port)]
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_healthy(f"http://localhost:{port}", process)
        yield f"http://localhost:{port}", process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def _tab(url: str, pid: int, *, page: str = "", cookie: str = "") -> Iterator[_Tab]:
    headers: dict[str, Any] = {"Origin": url, **({"Cookie": cookie} if cookie else {})}
    with connect(
        f"ws{url.removeprefix('http')}/_stcore/stream",
        additional_headers=headers,
        subprotocols=[Subprotocol("streamlit"), Subprotocol("none")],
        max_size=None,
    ) as socket:
        yield _Tab(socket, pid, page)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
