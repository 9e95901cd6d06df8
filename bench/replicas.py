"""One process against two on the same PostgreSQL: calls of the API through nginx, and thirty open tabs.

Both processes run all the time; what changes is whether the second one is given anything to do. Rates are taken in
turns and compared as a ratio. Load, proxy and database take their share of the same cores. A text that is rendered, as
an app does before it sends, costs the product many times what it costs them, and shows what a second process is worth
on two cores; the smallest call there is costs hardly more, and shows it from four on.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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
from tests.servers.postgres import PostgresServer, children_of, run_postgres
from tests.servers.product import ADMIN, PASSWORD

__all__ = ["run"]

_Asked = tuple[str, str, bytes]  # method, path and body
_Find = Callable[[], Mapping[str, Sequence[int]]]

_ROUNDS = 5
_SECONDS = 2.0
_CONNECTIONS = 16
_TABS = 30
_RUNS = 3
_WANTED, _CORES = 1.7, 4
_SMALL = ("GET", "/api/v1/me", b"")
# 9 KB, as a text with a table has.
_TEXT = "<p>Estimado cliente {cliente}: le adjuntamos {documento} {serie} {numero}.</p>" * 120
_WORK = ("POST", "/api/v1/templates/quote/render", json.dumps({"body": _TEXT}).encode())


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
        find = _find_processes(cluster, server)
        small, work = (_compare_calls(asked, proxies, keys, find) for asked in (_SMALL, _WORK))
        tabs = [[_run_tabs(urls) for urls in _spreads(cluster)] for _ in range(_ROUNDS)]
    cores = len(os.sched_getaffinity(0))
    return [
        _judge("API behind nginx, a text rendered, two processes / one", work, _WANTED if cores > 1 else None),
        _judge("API behind nginx, the smallest call, two processes / one", small, _WANTED if cores >= _CORES else None),
        _compare(f"{_TABS} tabs, runs of a page, two processes / one", tabs, None, "runs/s"),
    ]


def _compare_calls(asked: _Asked, proxies: Sequence[int], keys: Sequence[str], find: _Find) -> list[list[_Measured]]:
    """Return what each proxy's round came to, in turns; the first round of each is not counted."""
    for port in proxies:
        _call(port, keys, asked)
    return [[_measure(port, keys, asked, find) for port in proxies] for _ in range(_ROUNDS)]


def _judge(name: str, rounds: Sequence[Sequence[_Measured]], limit: float | None) -> Figure:
    rates = [[each.rate for each in both] for both in rounds]
    return _compare(name, rates, limit, "calls/s", _tell(rounds))


def _compare(name: str, rounds: Sequence[Sequence[float]], limit: float | None, unit: str, more: str = "") -> Figure:
    one, two = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"{two:.0f} / {one:.0f} {unit}, {len(os.sched_getaffinity(0))} cores{more}"
    return Figure(name, two / one, limit, at_least=True, note=note)


def _tell(calls: Sequence[Sequence[_Measured]]) -> str:
    """Return what a call costs whom, with two processes, and what that leaves room for.

    One process has one core's worth, as its interpreter does one thing at a time. With two, ``cores`` do their work and
    that of nginx, PostgreSQL and load; were those on other machines, only what the product itself costs would count.
    """
    one, two = (_median_of([both[place] for both in calls]) for place in (0, 1))
    cores, own = len(os.sched_getaffinity(0)), one["product"]
    parts = ", ".join(f"{name} {spent:.2f}" for name, spent in two.items())
    room, alone = min(2.0, cores * own / sum(two.values())), 2 * own / two["product"]
    return f"; CPU ms a call: {parts} (product with one: {own:.2f}); room here {room:.2f}, with a core each {alone:.2f}"


def _median_of(rounds: Sequence[_Measured]) -> dict[str, float]:
    return {name: statistics.median(each.spent[name] for each in rounds) for name in rounds[0].spent}


def _issue_keys(cluster: Cluster) -> list[str]:
    """Return a key for each connection: the allowance is one key's."""
    with cluster.workbench() as workbench:
        person = Person(workbench.identity.sessions.log_in(ADMIN, Secret(PASSWORD)).actor, PASSWORD)
        return [issue_key(workbench, person, f"bench {number}").key.reveal() for number in range(_CONNECTIONS)]


class _Line:
    """One connection that is kept, with the one question (``asked``) that is asked over it again and again."""

    def __init__(self, port: int, key: str, asked: _Asked, context: ssl.SSLContext) -> None:
        method, path, body = asked
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {key}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._request = f"{head}{kind}\r\n".encode() + body
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        self.socket.setblocking(False)
        self._answer = b""

    def ask(self) -> None:
        """Send the question; the answer is read by :meth:`is_answered`."""
        self._answer = b""
        if self.socket.send(self._request) != len(self._request):
            raise RuntimeError("a question does not fit the buffer of its socket")

    def is_answered(self) -> bool:
        """Read what has come, and return whether it is the whole answer."""
        try:
            while piece := self.socket.recv(65536):
                self._answer += piece
                if not self.socket.pending():
                    break
        except ssl.SSLWantReadError:
            return False
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        return bool(end) and len(body) >= int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])


def _call(port: int, keys: Sequence[str], asked: _Asked) -> int:
    """Return how many calls are answered in the time of a round, all connections together; at least one on each."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    count = 0
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        lines = [_Line(port, key, asked, context) for key in keys]
        end = time.perf_counter() + _SECONDS
        for line in lines:
            stack.enter_context(line.socket)
            selector.register(line.socket, selectors.EVENT_READ, line)
            line.ask()
        while time.perf_counter() < end or count < len(lines):
            for key, _ in selector.select(1.0):
                if key.data.is_answered():
                    count += 1
                    key.data.ask()
    return count


@dataclass(frozen=True, slots=True)
class _Measured:
    """Calls a second, and the milliseconds of CPU that each cost, by who spent them."""

    rate: float
    spent: Mapping[str, float]


def _measure(port: int, keys: Sequence[str], asked: _Asked, find_processes: _Find) -> _Measured:
    found = find_processes()
    before, own = {name: _cpu_of(pids) for name, pids in found.items()}, time.process_time()
    began = time.perf_counter()
    count = _call(port, keys, asked)
    rate = count / (time.perf_counter() - began)
    spent = {name: _cpu_of(pids) - before[name] for name, pids in found.items()}
    spent["load"] = time.process_time() - own
    return _Measured(rate, {name: 1000 * seconds / count for name, seconds in spent.items()})


def _cpu_of(pids: Sequence[int]) -> float:
    """Return the seconds that these processes have had; one that is gone had none."""
    spent = 0.0
    for pid in pids:
        with suppress(OSError):
            user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            spent += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return spent


def _find_processes(cluster: Cluster, server: PostgresServer) -> _Find:
    """Return who takes part, by name: both processes of the product, all of nginx, the whole of PostgreSQL."""
    products = [product.process.pid for product in cluster.products]

    def find() -> Mapping[str, Sequence[int]]:
        guards = [pid for pid in children_of(os.getpid()) if pid not in products]
        masters = [pid for guard in guards for pid in children_of(guard)]
        workers = [pid for master in masters for pid in children_of(master)]
        return {"product": products, "nginx": [*masters, *workers], "PostgreSQL": server.list_processes()}

    return find


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
