"""The product itself as a process of its own, for browser tests, live tests, screenshots and benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.daemon import free_ports

__all__ = ["ADMIN", "PASSWORD", "Product", "product", "product_environment", "run_product"]

ROOT = Path(__file__).parents[2]
ADMIN = "ana"
PASSWORD = "correcto caballo"
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Product:
    """A running product: where it listens, where its data is, and its process."""

    url: str
    port: int
    folder: Path
    process: subprocess.Popen[str]
    log: Path


def product_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return an environment that touches nothing outside ``folder``; ``settings`` are variables of the product."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CG_", "STREAMLIT_"))}
    own = {
        "CG_DATA_DIR": str(folder / "data"),
        "CG_CONFIG_DIR": str(folder / "config"),
        "CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8",
        "CG_ADMIN_USER": ADMIN,
        "CG_ADMIN_PASSWORD": PASSWORD,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    merged = {**inherited, **own, **settings}
    return {name: value for name, value in merged.items() if value}


@contextmanager
def run_product(folder: Path, *, port: int = 0, environment: Mapping[str, str] | None = None) -> Iterator[Product]:
    """Start the product over ``folder`` as a user would, wait until it is healthy, stop it at the end."""
    port = port or free_ports(1)[0]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "product.log"
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    with log.open("a") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment or product_environment(folder)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Product(f"http://localhost:{port}", port, folder, process, log)
    try:
        _wait_until_healthy(running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)
        _fail_for_tracebacks(log)


def _fail_for_tracebacks(log: Path) -> None:
    """Fail for an error that the product met: the browser shows one sentence, the log the whole."""
    found = log.read_text()
    if (start := found.find("Traceback (most recent call last)")) >= 0:
        pytest.fail(found[max(0, start - 500) : start + 6000], pytrace=False)


def _wait_until_healthy(product: Product) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        # A busy port makes the program exit while another one answers there: look at our own process as well.
        if product.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{product.url}/salud", timeout=2) as answer:  # noqa: S310  loopback
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("the product did not start:\n" + product.log.read_text()[-3000:])


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One running product for a module, with the administrator of :data:`ADMIN` and :data:`PASSWORD`."""
    with run_product(tmp_path_factory.mktemp("product")) as running:
        yield running
