"""Two processes of the product on one PostgreSQL: what one is told holds in the other, and one may go."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from cgcore.vault.secret import Secret
from tests.servers.api_users import Person, issue_key
from tests.servers.cluster import Cluster, log_in, run_cluster, until
from tests.servers.postgres import PostgresServer
from tests.servers.product import ADMIN, PASSWORD, Product


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Cluster]:
    """Both, on an empty database."""
    with run_cluster(postgres_server, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


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


def test_a_process_that_is_told_to_stop_drains_while_a_run_goes_on(cluster: Cluster, key: str) -> None:
    """503 at once on both addresses, nobody new; the run ends with its verdict, and the other process serves on.

    The last test of the module: one of the two is gone behind it.
    """
    leaving, staying = cluster.products
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        probing = pool.submit(_probe, leaving, key, silent.getsockname()[1])
        connection, _ = silent.accept()
        with connection, log_in(leaving.url) as client:
            leaving.process.terminate()
            until(lambda: httpx.get(f"{leaving.url}/salud").status_code == 503)
            health = [httpx.get(f"{leaving.url}{path}") for path in ("/salud", "/_stcore/health")]
            refused = client.get("/cuenta-mail")
            other = httpx.get(f"{staying.url}/salud")
        lines = probing.result()
    code = leaving.process.wait(20)

    assert [(answer.status_code, answer.json()["status"]) for answer in health] == [(503, "draining")] * 2
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert (other.status_code, other.json()["instance"]) == (200, "dos")
    assert json.loads(lines[-1])["verdict"] not in ("interrupted", "ok")
    assert code in (0, -15)


def _probe(product: Product, key: str, port: int) -> list[str]:
    """Run a probe by the API of one process, and return its lines."""
    body = {"leg": "smtp", "smtp": {"host": "127.0.0.1", "port": port, "security": "none"}, "user": "ana@tosma.es"}
    answer = httpx.post(
        f"{product.url}/api/v1/mail-account/probe",
        json={**body, "password": "secreta"},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()


def _ask_bare(port: int, path: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()
