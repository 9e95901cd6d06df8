"""Two processes of the product on one PostgreSQL: what one is told holds in the other, and one may go."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from cgcore.activity import Action
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.api_users import Person, issue_key
from tests.servers.caddy import Caddy, caddy_installed
from tests.servers.certificates import Certificates
from tests.servers.cluster import Cluster, log_in, run_cluster, until
from tests.servers.identity import ADMIN as OPERATOR
from tests.servers.identity import PASSWORD as USER_PASSWORD
from tests.servers.identity import add_user
from tests.servers.leftout import leave_out
from tests.servers.nginx import DeployedNginx, nginx_installed
from tests.servers.postgres import PostgresServer
from tests.servers.product import ADMIN, PASSWORD, Product


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Cluster]:
    """Both, on an empty database."""
    settings = {"CG_TRUSTED_PROXIES": "127.0.0.1/32"}
    with run_cluster(postgres_server, tmp_path_factory.mktemp("cluster"), settings=settings) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def proxies(cluster: Cluster, certificates: Certificates) -> Iterator[dict[str, str]]:
    """The address of each proxy of ``deploy/`` before both, by name."""
    if not nginx_installed() or not caddy_installed():
        leave_out("nginx and caddy")
    ports = [product.port for product in cluster.products]
    with DeployedNginx(certificates.trusted, ports) as nginx, Caddy(ports) as caddy:
        yield {"nginx": nginx.url, "caddy": caddy.url}


@pytest.fixture(scope="module")
def key(cluster: Cluster) -> str:
    """An API key of the administrator."""
    with cluster.workbench() as workbench:
        person = Person(workbench.identity.sessions.log_in(ADMIN, Secret(PASSWORD)).actor, PASSWORD)
        return issue_key(workbench, person).key.reveal()


@pytest.mark.parametrize("path", ["/salud", "/_stcore/health"])
def test_each_process_names_itself_also_to_a_check_without_a_host(cluster: Cluster, path: str) -> None:
    """As HAProxy asks by itself: HTTP/1.0 and nothing else."""
    answers = [_ask_bare(product.port, path) for product in cluster.products]

    assert [answer.split("\r\n")[0].split(" ", 1)[1] for answer in answers] == ["200 OK"] * 2
    assert ['"instance":"uno"' in answers[0], '"instance":"dos"' in answers[1]] == [True, True]


@pytest.mark.parametrize("way", ["log_out", "end_others", "close_account"])
def test_a_log_in_that_ends_in_one_process_ends_its_tabs_in_the_other(cluster: Cluster, way: str) -> None:
    """Within two seconds, without a touch: logged out, ended from another log-in, or with the account."""
    here, there = cluster.products
    with cluster.workbench() as workbench:
        name = f"luis-{way.replace('_', '-')}"
        add_user(workbench, name)
        with log_in(here.url, username=name, password=USER_PASSWORD.reveal()) as client:
            with _open_tab(here, client) as tab:
                began = time.monotonic()
                if way == "log_out":
                    left = httpx.post(
                        f"{there.url}/salir",
                        headers={"origin": there.url, "cookie": f"cg_session={client.cookies['cg_session']}"},
                    )
                    assert left.status_code == 303
                elif way == "end_others":
                    other = workbench.identity.sessions.log_in(name, USER_PASSWORD).actor
                    assert workbench.identity.sessions.end_other_sessions(other) == 1
                else:
                    workbench.identity.accounts.disable_user(OPERATOR, name)
                while _receive(tab):
                    pass
                took = time.monotonic() - began
            assert client.get("/cuenta-mail").status_code == 303

    assert took < 2.0


def test_a_run_is_joined_from_the_other_process(cluster: Cluster, key: str) -> None:
    """A second start of the same cell, while the first is waiting: one conversation, and one verdict for both."""
    here, there = cluster.products
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        first = pool.submit(_probe, here, key, silent.getsockname()[1])
        connection, _ = silent.accept()
        # Who says nothing at all is tried otherwise in the meantime.
        connection.sendall(b"220 mail.tosma.es ESMTP\r\n")
        with _start_probe(there, key, silent.getsockname()[1]) as second:
            # The answer begins once the run is there to be followed.
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.accept()
            connection.close()
            lines = list(second.iter_lines())

    assert json.loads(lines[-1]) == json.loads(first.result()[-1])
    assert json.loads(lines[-1])["verdict"] != "interrupted"


def test_calls_of_a_key_are_added_up_and_a_revoked_key_is_refused_everywhere(cluster: Cluster) -> None:
    """The first calls of a day come in both processes at once."""
    with cluster.workbench() as workbench:
        person = Person(workbench.identity.sessions.log_in(ADMIN, Secret(PASSWORD)).actor, PASSWORD)
        issued = issue_key(workbench, person)
        with ThreadPoolExecutor(6) as pool:
            places = [product.url for product in cluster.products] * 9
            assert set(pool.map(lambda url: _call(url, issued.key.reveal()), places)) == {200}
        until(lambda: _count_calls(workbench, person, issued.id) >= len(places))
        told = [_ask(product.url, issued.key.reveal(), "activity").text for product in cluster.products]
        workbench.keys.revoke(person.actor, issued.id)

        assert [_call(product.url, issued.key.reveal()) for product in cluster.products] == [401, 401]
    assert all(f'"{Action.KEY_ISSUED}"' in each for each in told)


def test_tries_of_a_password_are_counted_over_both(cluster: Cluster) -> None:
    """Who guesses at one process has to wait at the other."""
    answers = [
        httpx.post(
            f"{product.url}/entrar",
            data={"username": "berta", "password": "no es esta"},
            headers={"origin": product.url},
        ).status_code
        for product in cluster.products * 2
    ]

    assert answers[-1] == 429


@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
def test_a_proxy_keeps_each_browser_on_one_process_and_uses_both(proxies: dict[str, str], proxy: str) -> None:
    """By its cookie, as the files in ``deploy/`` say; a log-in counts wherever it was made."""
    seen: set[str] = set()
    for _ in range(12):
        with httpx.Client(base_url=proxies[proxy], verify=False, timeout=30) as client:  # noqa: S501
            names = {client.get("/salud").json()["instance"] for _ in range(4)}
        assert len(names) == 1
        seen |= names
    assert seen == {"uno", "dos"}
    with log_in(proxies[proxy]) as client:
        for _ in range(2):
            assert client.get("/cuenta-mail").status_code == 200
            # Another browser's place: the same log-in is let in there too.
            client.cookies.delete("cg_replica")


def test_a_process_that_is_told_to_stop_drains_while_a_run_goes_on(
    cluster: Cluster, key: str, proxies: dict[str, str]
) -> None:
    """503 at once on both addresses, nobody new; the run ends with its verdict. Who comes by a proxy notices nothing.

    The last test of the module: one of the two is gone behind it.
    """
    leaving, staying = cluster.products
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        ThreadPoolExecutor(1) as pool,
        log_in(leaving.url) as client,
        _log_in_at("uno", proxies["nginx"]) as by_nginx,
        _log_in_at("uno", proxies["caddy"]) as by_caddy,
    ):
        probing = pool.submit(_probe, leaving, key, silent.getsockname()[1])
        connection, _ = silent.accept()
        with connection:
            leaving.process.terminate()
            until(lambda: httpx.get(f"{leaving.url}/salud").status_code == 503)
            health = [httpx.get(f"{leaving.url}{path}") for path in ("/salud", "/_stcore/health")]
            refused, socket_refused = client.get("/cuenta-mail"), _open_socket(leaving, client)
            other = httpx.get(f"{staying.url}/salud")
            through = by_nginx.get("/cuenta-mail").status_code
            until(lambda: by_caddy.get("/salud").json()["instance"] == "dos")
        lines = probing.result()
        code = leaving.process.wait(20)
        after = [by.get("/cuenta-mail").status_code for by in (by_nginx, by_caddy)]

    assert [(answer.status_code, answer.json()["status"]) for answer in health] == [(503, "draining")] * 2
    assert (refused.status_code, "retry-after" in refused.headers, socket_refused) == (503, True, 503)
    assert (other.status_code, other.json()["instance"]) == (200, "dos")
    assert json.loads(lines[-1])["verdict"] not in ("interrupted", "ok")
    assert code in (0, -15)
    assert (through, after) == (200, [200, 200])


@contextmanager
def _log_in_at(instance: str, address: str) -> Iterator[httpx.Client]:
    """Yield a browser that has logged in through a proxy, and was put on the process of this name."""
    with log_in(address) as client:
        while client.get("/salud").json()["instance"] != instance:
            client.cookies.delete("cg_replica")
        yield client


def _open_socket(product: Product, client: httpx.Client) -> int:
    """Return the status that a websocket of somebody who is logged in is answered with."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Origin": product.url, "Cookie": cookies}
    try:
        connect(f"{product.url}/_stcore/stream".replace("http", "ws", 1), additional_headers=headers).close()
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


def _call(url: str, key: str) -> int:
    return _ask(url, key, "me").status_code


def _ask(url: str, key: str, name: str) -> httpx.Response:
    return httpx.get(f"{url}/api/v1/{name}", headers={"authorization": f"Bearer {key}"}, timeout=30)


def _count_calls(workbench: Workbench, person: Person, key_id: str) -> int:
    return sum(day.calls for day in workbench.keys.calls(person.actor, key_id).days)


@contextmanager
def _open_tab(product: Product, client: httpx.Client) -> Iterator[ClientConnection]:
    """Open a page's websocket, and yield it once its first run is over."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with connect(
        f"ws://localhost:{product.port}/_stcore/stream",
        additional_headers={"Origin": product.url, "Cookie": cookies},
        subprotocols=[Subprotocol("streamlit")],
        max_size=None,
        open_timeout=30,
    ) as tab:
        request = BackMsg()
        request.rerun_script.page_name = "mi-usuario"
        tab.send(request.SerializeToString())
        while (message := _receive(tab)) and not message.HasField("script_finished"):
            pass
        yield tab


def _receive(tab: ClientConnection) -> ForwardMsg | None:
    """Return the next message, None once the server has closed it."""
    try:
        return ForwardMsg.FromString(bytes(tab.recv(30, decode=False)))
    except ConnectionClosed:
        return None


def _probe(product: Product, key: str, port: int) -> list[str]:
    """Run a probe by the API of one process, and return its lines."""
    with _start_probe(product, key, port) as answer:
        return list(answer.iter_lines())


@contextmanager
def _start_probe(product: Product, key: str, port: int) -> Iterator[httpx.Response]:
    body = {"leg": "smtp", "smtp": {"host": "127.0.0.1", "port": port, "security": "none"}, "user": "ana@tosma.es"}
    headers = {"authorization": f"Bearer {key}"}
    address = f"{product.url}/api/v1/mail-account/probe"
    with httpx.stream("POST", address, json={**body, "password": "secreta"}, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        yield answer


def _ask_bare(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()
