"""«Probar la clave»: the running API is called with the key, and what comes back is told apart."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from cgcore.api_keys.form import build_key, new_parts
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Scope
from cgcore.runs import Cell, Run
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.api_server import serve_api
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.certificates import Certificates
from tests.servers.daemon import free_ports


@pytest.fixture
def ana(workbench: Workbench) -> Person:
    return add_person(workbench, "ana")


def check(workbench: Workbench, person: Person, key: Secret, address: str) -> Run:
    """Try the key and return the run when it has ended."""
    run = workbench.keys.start_check(person.actor, key, address)
    return list(workbench.runs.follow(person.actor, run))[-1]


def told(run: Run) -> tuple[str, int, str]:
    """Return verdict, status and phrase of a check."""
    assert run.verdict is not None
    assert run.result is not None
    return run.verdict.key, run.result["status"], run.result["phrase"]


def test_a_key_is_tried_against_the_running_api(workbench: Workbench, ana: Person) -> None:
    """Status, answer and time are told; a key without «read» is known all the same, a revoked or unknown one is not."""
    good, sender, revoked = (issue_key(workbench, ana, "App", scopes) for scopes in (Scope, [Scope.SEND], Scope))
    workbench.keys.revoke(ana.actor, revoked.id)
    with serve_api(workbench) as server:
        address = server.url.removesuffix("/api/v1")
        runs = [
            check(workbench, ana, key, address)
            for key in (good.key, Secret(f"  {sender.key.reveal()}\n"), revoked.key, build_key(new_parts()))
        ]
    used = {key.id for key in workbench.keys.list_keys(ana.actor) if key.last_used is not None}

    assert [told(run) for run in runs] == [
        ("ok", 200, "OK"),
        ("ok", 403, "Forbidden"),
        ("refused", 401, "Unauthorized"),
        ("refused", 401, "Unauthorized"),
    ]
    assert [run.failed for run in runs] == [False, False, True, True]
    assert runs[0].result is not None
    assert '"username":"ana"' in runs[0].result["answer"]
    assert runs[0].duration_ms is not None
    assert used == {good.id, sender.id}
    assert good.key.reveal() not in repr(runs)


def test_a_mistyped_key_is_told_without_a_call(workbench: Workbench, ana: Person) -> None:
    """By its checksum: nothing is run, and the field is named."""
    key = issue_key(workbench, ana).key.reveal()

    with pytest.raises(InvalidInput) as caught:
        workbench.keys.start_check(ana.actor, Secret(key[:-1]), "http://127.0.0.1:9")
    assert [(found.field, found.code) for found in caught.value.problems] == [("key", "typing_error")]
    assert workbench.runs.find_last(ana.actor, Cell.API_KEY) is None


def test_nobody_who_answers_is_no_refusal(workbench: Workbench, ana: Person) -> None:
    """A port without a server says that the API does not answer, not that the key is bad."""
    run = check(workbench, ana, issue_key(workbench, ana).key, f"http://127.0.0.1:{free_ports(1)[0]}")

    assert told(run) == ("unreachable", 0, "")


class _Teapot(BaseHTTPRequestHandler):
    """Answers every request with 418, and keeps the host that it was asked for."""

    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        self.send_response(418)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def teapot(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on 127.0.0.1 and yield the port."""
    _Teapot.hosts.clear()
    with HTTPServer(("127.0.0.1", 0), _Teapot) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, name="teapot")
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(20)


def test_the_own_server_is_asked_by_the_name_it_goes_by(
    workbench: Workbench, ana: Person, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate and the certificate know the public name alone; a certificate for another name gets no key."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    key = issue_key(workbench, ana).key
    vars(workbench.context)["settings"] = workbench.settings.model_copy(
        update={"public_url": "https://facturas.hoster.example"}
    )
    with teapot(certificates.wrong_name.server_context()) as port:  # wrong for 127.0.0.1, right for the public name
        right = check(workbench, ana, key, f"https://127.0.0.1:{port}")
        hosts = list(_Teapot.hosts)
    with teapot(certificates.trusted.server_context()) as port:
        wrong = check(workbench, ana, key, f"https://127.0.0.1:{port}")
    with teapot() as port:
        plain = check(workbench, ana, key, f"http://127.0.0.1:{port}")

    assert told(right)[:2] == told(plain)[:2] == ("unexpected", 418)
    assert hosts == ["facturas.hoster.example"]
    assert told(wrong)[0] == "unreachable"
