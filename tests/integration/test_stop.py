"""A server that is told to stop while it is used: it ends soon, and what went on is closed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cgcore.identity.actor import Scope
from cgcore.runs import Cell
from cgcore.texts import lookup
from cgcore.vault.secret import Secret
from cgcore.workbench.keys import ISSUE_ACTION
from tests.servers.cluster import until
from tests.servers.house import furnish
from tests.servers.product import ROOT, Product, product_environment, run_product

# What containers give by themselves before they kill is ten seconds.
_SOON_S = 10.0


@contextmanager
def silent_server() -> Iterator[int]:
    """A mail server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def stop(product: Product) -> float:
    """Tell it to stop, and not to wait for what is under way; return the seconds until it has ended."""
    began = time.monotonic()
    product.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{product.url}/salud").status_code == 503)
    product.process.send_signal(signal.SIGTERM)
    product.process.wait(60)
    return time.monotonic() - began


def test_a_server_that_is_told_twice_to_stop_ends_with_a_run_and_an_answer_open(tmp_path: Path) -> None:
    """The run is closed as interrupted by the process that ends, and the open answer ends."""
    house = furnish(tmp_path / "house")
    with house.workbench() as workbench:
        inside = workbench.identity.sessions.log_in("luis", Secret(house.password)).actor
        grant = workbench.identity.codes.issue_grant(inside, ISSUE_ACTION, Secret(house.password))
        key = workbench.keys.issue(inside, grant, "App", frozenset(Scope)).key.reveal()
    lines: list[str] = []
    begun = threading.Event()
    with silent_server() as port, run_product(house.folder, environment=product_environment(house.folder)) as product:

        def read() -> None:
            body = {
                "leg": "smtp",
                "user": "luis@tosma.es",
                "password": "una clave",
                "smtp": {"host": "127.0.0.1", "port": port, "security": "none"},
            }
            headers = {"X-API-Key": key}
            try:
                with httpx.stream(
                    "POST", f"{product.url}/api/v1/mail-account/probe", json=body, headers=headers, timeout=60
                ) as answer:
                    lines.append(str(answer.status_code))
                    for line in answer.iter_lines():
                        lines.append(line)
                        begun.set()
            except httpx.HTTPError:
                lines.append("cut off")
            begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(30)
        assert lines[0] == "200", lines
        took = stop(product)
        reader.join(30)
        log = product.log.read_text()
    with house.workbench() as workbench:
        run = workbench.runs.find_last(inside, Cell.SMTP)

    assert "Traceback" not in log
    assert took < _SOON_S
    assert product.process.returncode in (0, -signal.SIGTERM)
    assert run is not None
    assert run.verdict is not None
    assert run.verdict.key == "interrupted"


def test_the_sentence_of_a_refused_start_is_the_last_line(tmp_path: Path) -> None:
    """No English line of the server's comes after it, no traceback, and the exit code says that nothing runs."""
    done = subprocess.run(
        [sys.executable, "-m", "cgcore", "run", "--port", "0"],
        env=product_environment(tmp_path, CG_DATABASE_URL="mysql://u:S3cr3t@127.0.0.1/cloud"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert done.stdout.strip().endswith(lookup("cgcore.storage", "")["storage_url"])
    assert done.stderr.strip() == ""
    assert "S3cr3t" not in said
