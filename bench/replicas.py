"""One process against two on the same PostgreSQL: calls of the API through nginx, and thirty open tabs.

Both processes run all the time; what changes is whether the second one is given anything to do. Rates are taken in
turns and compared as a ratio. Load, proxy and database take their share of the same cores: two processes show what they
are worth where there are four, and there alone the ratio of the API has a limit.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.figures import Figure
from cgcore.vault.secret import Secret
from tests.servers.api_users import Person, issue_key
from tests.servers.certificates import make_certificates
from tests.servers.cluster import Cluster, log_in, run_cluster
from tests.servers.daemon import make_folder, remove
from tests.servers.nginx import DeployedNginx, nginx_installed
from tests.servers.postgres import run_postgres
from tests.servers.product import ADMIN, PASSWORD

__all__ = ["run"]

_ROUNDS = 5
_SECONDS = 2.0
_CONNECTIONS = 16
_TABS = 30
_RUNS = 3
_WANTED, _CORES = 1.7, 4


def run() -> list[Figure]:
    """Return both ratios, each with the rates behind it; nothing where PostgreSQL or nginx is missing."""
    with ExitStack() as stack:
        server = stack.enter_context(run_postgres())
        if server is None or not nginx_installed():
            return []
        folder = make_folder("cg-bench-replicas-")
        stack.callback(remove, folder)
        cluster = stack.enter_context(run_cluster(server, folder / "cluster"))
        keys = _issue_keys(cluster)
        one, two = (product.port for product in cluster.products)
        certificate = make_certificates(folder).trusted
        proxies = [stack.enter_context(DeployedNginx(certificate, ports)).port for ports in ((one, one), (one, two))]
        for port in proxies:
            asyncio.run(_call(port, keys))
        rates = [[asyncio.run(_call(port, keys)) for port in proxies] for _ in range(_ROUNDS)]
        tabs = [[_run_tabs(urls) for urls in _spreads(cluster)] for _ in range(_ROUNDS)]
    is_wide = len(os.sched_getaffinity(0)) >= _CORES
    return [
        _compare("API behind nginx, two processes / one", rates, _WANTED if is_wide else None, "calls/s"),
        _compare(f"{_TABS} tabs, runs of a page, two processes / one", tabs, None, "runs/s"),
    ]


def _compare(name: str, rounds: Sequence[Sequence[float]], limit: float | None, unit: str) -> Figure:
    one, two = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"{two:.0f} / {one:.0f} {unit}, {len(os.sched_getaffinity(0))} cores"
    return Figure(name, two / one, limit, at_least=True, note=note)


def _issue_keys(cluster: Cluster) -> list[str]:
    """Return a key for each connection: the allowance is one key's."""
    with cluster.workbench() as workbench:
        person = Person(workbench.identity.sessions.log_in(ADMIN, Secret(PASSWORD)).actor, PASSWORD)
        return [issue_key(workbench, person, f"bench {number}").key.reveal() for number in range(_CONNECTIONS)]


async def _call(port: int, keys: Sequence[str]) -> float:
    """Return how many calls a second are answered, all connections together."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    lines = [await asyncio.open_connection("127.0.0.1", port, ssl=context) for _ in keys]
    end = time.perf_counter() + _SECONDS
    begin = f"GET /api/v1/me HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer "
    requests = [f"{begin}{key}\r\n\r\n".encode() for key in keys]
    counts = await asyncio.gather(*(_call_until(end, *line, each) for line, each in zip(lines, requests, strict=True)))
    return sum(counts) / _SECONDS


async def _call_until(end: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    count = 0
    while time.perf_counter() < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        count += 1
    writer.close()
    return count


def _spreads(cluster: Cluster) -> Iterator[list[str]]:
    here, there = (product.url for product in cluster.products)
    yield [here] * _TABS
    yield [here, there] * (_TABS // 2)


def _run_tabs(urls: Sequence[str]) -> float:
    """Open all tabs, run the page of each several times at once; return the runs a second."""
    with ExitStack() as stack, ThreadPoolExecutor(len(urls)) as pool:
        cookies = {url: f"cg_session={stack.enter_context(log_in(url)).cookies['cg_session']}" for url in set(urls)}
        tabs = [stack.enter_context(_open_tab(url, cookies[url])) for url in urls]
        began = time.perf_counter()
        list(pool.map(lambda tab: [_run_page(tab) for _ in range(_RUNS)], tabs))
        return len(urls) * _RUNS / (time.perf_counter() - began)


@contextmanager
def _open_tab(url: str, cookie: str) -> Iterator[ClientConnection]:
    with connect(
        f"ws{url.removeprefix('http')}/_stcore/stream",
        additional_headers={"Origin": url, "Cookie": cookie},
        subprotocols=[Subprotocol("streamlit")],
        max_size=None,
    ) as tab:
        _run_page(tab)
        yield tab


def _run_page(tab: ClientConnection) -> None:
    request = BackMsg()
    request.rerun_script.page_name = "cuenta-mail"
    tab.send(request.SerializeToString())
    while not ForwardMsg.FromString(bytes(tab.recv(120, decode=False))).HasField("script_finished"):
        pass
