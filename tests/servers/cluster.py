"""Two processes of the product on one PostgreSQL, as two machines would run it: own folders, one master key."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cgcore.settings import load_settings
from cgcore.workbench import Workbench, open_workbench
from tests.servers.postgres import PostgresServer
from tests.servers.product import ADMIN, PASSWORD, Product, product_environment, run_product

__all__ = ["Cluster", "log_in", "run_cluster", "until"]

_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Cluster:
    """The processes, by name, and what they share."""

    url: str
    key: str
    folder: Path
    products: tuple[Product, ...]

    @contextmanager
    def workbench(self) -> Iterator[Workbench]:
        """Open a workbench over the same database, as one process more."""
        own = self.folder / "beside"
        settings = load_settings(
            database_url=self.url, master_key=self.key, data_dir=own / "data", config_dir=own / "config", outbox="off"
        )
        workbench = open_workbench(settings)
        try:
            yield workbench
        finally:
            workbench.close()


@contextmanager
def run_cluster(
    server: PostgresServer,
    folder: Path,
    *,
    names: tuple[str, ...] = ("uno", "dos"),
    settings: Mapping[str, str] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Cluster]:
    """Start a process for each name in the same moment over an empty database.

    ``settings`` are of all of them, ``own`` of the one named.
    """
    url = server.create_database("t_" + secrets.token_hex(6))
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with ExitStack() as stack:
        starts: list[AbstractContextManager[Product]] = []
        for name in names:
            shared = {"CG_DATABASE_URL": url, "CG_MASTER_KEY": key, "CG_INSTANCE": name, **(settings or {})}
            environment = product_environment(folder / name, **{**shared, **(own or {}).get(name, {})})
            environment.pop("PYTHON_KEYRING_BACKEND", None)
            starts.append(run_product(folder / name, environment=environment))
        pool = stack.enter_context(ThreadPoolExecutor(len(starts)))

        def enter(start: AbstractContextManager[Product]) -> Product:
            return stack.enter_context(start)

        products = tuple(pool.map(enter, starts))
        # Nobody is left whom a proxy would still send.
        stack.callback(lambda: [_stop_at_once(product) for product in products])
        yield Cluster(url, key, folder, products)


@contextmanager
def log_in(address: str, *, username: str = ADMIN, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """Yield a browser that has logged in at ``address``."""
    with httpx.Client(base_url=address, headers={"origin": address}, timeout=30, verify=False) as client:  # noqa: S501
        answer = client.post("/entrar", data={"username": username, "password": password, "next": "/"})
        assert answer.status_code == 303, answer.text
        yield client


def until(is_so: Callable[[], bool], patience_s: float = _PATIENCE_S) -> float:
    """Ask until it is so, and return the seconds that it took; fails after ``patience_s``."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < patience_s, "it has not become so"
        time.sleep(0.05)
    return time.monotonic() - began


def _stop_at_once(product: Product) -> None:
    if product.process.poll() is None:
        os.kill(product.process.pid, signal.SIGINT)
