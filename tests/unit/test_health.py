"""Health checks and the drain: who is told what, before any Host is judged, and who still comes in."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cgcore.process import name_instance
from cgcore.server_facts import ServerFacts
from cgcore.settings import load_settings
from cgcore.storage.database import open_database
from cgcore.web.assembly import Assembly
from cgcore.web.drain import Drain
from cgcore.web.gate import Gate
from cgcore.web.health import HealthChecks
from cgcore.web.origins import AllowedOrigins
from cgcore.workbench import Workbench
from tests.conftest import make_settings
from tests.servers.asgi import SITE, NoTabs, TestClient, WebSocketDisconnect, answer_lifespan
from tests.servers.identity import PASSWORD, add_user

STREAM = "ws://localhost:8501/_stcore/stream"
BOTH = ("/salud", "/_stcore/health")


@pytest.fixture
def drain() -> Drain:
    """That of the process under test."""
    return Drain()


@pytest.fixture
def client(workbench: Workbench, drain: Drain) -> Iterator[TestClient]:
    """Somebody before the health checks, the gate, and an app that says yes and hands out a cookie."""
    gate = Gate(_say_yes, get_workbench=lambda: workbench, origins=AllowedOrigins(), drain=drain)
    checks = HealthChecks(gate, get_workbench=lambda: workbench, drain=drain, instance="uno")
    with TestClient(checks, base_url=SITE, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost:8501", "proxy.example", "", "10.1.2.3:9", "]["])
def test_both_addresses_answer_whatever_the_host_header_says(client: TestClient, host: str) -> None:
    """A check of a proxy names itself, an address or nobody; a cookie that opens nothing changes nothing."""
    answers = [
        client.request(method, path, headers={"host": host, "cookie": cookie})
        for path in BOTH
        for method in ("GET", "HEAD")
        for cookie in ("", "cg_session=nothing")
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["instance"] for answer in answers if answer.request.method == "GET"} == {"uno"}
    assert client.get("/entrar", headers={"host": "proxy.example"}).status_code == 400


def test_both_addresses_say_no_together(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Where the database is away, and before somebody who is logged in too: the app's own yes does not count."""
    _log_in(client, workbench)
    monkeypatch.setattr(workbench.database, "is_reachable", lambda: False)
    answers = [client.get(path) for path in BOTH]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["status"] for answer in answers} == {"error"}


def test_the_page_of_somebody_who_is_logged_in_gets_the_cookie_for_uploads(
    client: TestClient, workbench: Workbench
) -> None:
    """From Streamlit, which hands it out with its own answer; a stranger gets none."""
    assert "_xsrf" not in client.get("/_stcore/health").cookies
    _log_in(client, workbench)

    assert client.get("/_stcore/health").cookies["_xsrf"] == "x"
    assert "_xsrf" not in client.get("/salud").cookies


def test_who_drains_lets_nobody_in_and_keeps_who_is_there(
    client: TestClient, workbench: Workbench, drain: Drain
) -> None:
    """Documents and websockets are refused, with a sentence; what an open tab asks for, and the API, go on."""
    _log_in(client, workbench)
    with client.websocket_connect(STREAM, headers={"origin": SITE}) as socket:
        drain.begin()
        answers = [client.get(path) for path in (*BOTH, "/", "/cuenta-mail", "/entrar")]
        entering = client.post("/entrar", data={"username": "ana"}, headers={"origin": SITE})
        going_on = [client.get(path) for path in ("/api/v1/me", "/media/a.png", "/_stcore/host-config", "/static/a.js")]
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers={"origin": SITE}):
            pass
        assert socket.receive_bytes() == b"open"

    assert [answer.status_code for answer in (*answers, entering)] == [503] * 6
    assert answers[0].json()["status"] == answers[1].json()["status"] == "draining"
    assert "dentro de unos segundos" in answers[2].text
    assert answers[2].headers["retry-after"]
    assert {answer.status_code for answer in going_on} == {200}


def test_sigterm_reaches_the_server_when_the_last_run_has_ended() -> None:
    """It begins the drain and tells the workbench; a second one does not wait."""
    told = asyncio.run(_drain(runs=3, signals=1))
    impatient = asyncio.run(_drain(runs=10**9, signals=2))
    never_ending = asyncio.run(_drain(runs=10**9, signals=1, most_s=0.0))

    assert told == ["retired", "looked", "looked", "looked", "stopped"]
    assert "stopped" in impatient
    assert never_ending == ["retired", "stopped"]


def test_a_process_has_one_name_unless_it_is_given_one() -> None:
    """Made up at its start, the same all the time."""
    assert name_instance(load_settings(instance="rack-2.a")) == "rack-2.a"
    assert name_instance(load_settings()) == name_instance(None) != ""


async def _drain(*, runs: int, signals: int, most_s: float = 3600.0) -> list[str]:
    told: list[str] = []
    stopped = asyncio.Event()

    def is_working() -> bool:
        told.append("looked")
        return told.count("looked") < runs

    def stop(_number: int, _frame: Any) -> None:
        told.append("stopped")
        stopped.set()

    before = signal.signal(signal.SIGTERM, stop)
    drain = Drain(most_s=most_s)
    try:
        with drain.on_sigterm(is_working, retire=lambda: told.append("retired")):
            for _ in range(signals):
                assert not stopped.is_set()
                os.kill(os.getpid(), signal.SIGTERM)
            assert drain.is_under_way
            await asyncio.wait_for(stopped.wait(), 30)
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
    return told


def _log_in(client: TestClient, workbench: Workbench) -> None:
    add_user(workbench)
    client.cookies.set("cg_session", workbench.identity.sessions.log_in("ana", PASSWORD).token.reveal())


async def _say_yes(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"_xsrf=x")]})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": b"open"})
        await receive()


def test_a_master_key_that_is_not_this_vaults_is_told_from_the_first_answer(tmp_path: Path) -> None:
    """A process that was given another key than the others serves nobody, before anybody has tried."""

    async def start(key: bytes) -> tuple[int, str]:
        settings = make_settings(tmp_path, master_key=base64.b64encode(key).decode())
        workbench = Workbench(settings, open_database(settings.resolved_database_url()))
        assembly = Assembly(
            lambda: workbench,
            AllowedOrigins(),
            find_address=lambda: SITE,
            read_facts=lambda: ServerFacts("127.0.0.1"),
            tabs=NoTabs(),
            settings=settings,
        )
        async with assembly.lifespan(None):
            checks = HealthChecks(_say_yes, get_workbench=lambda: workbench, drain=Drain(), instance="uno")
            with TestClient(checks, base_url=SITE) as client:
                answer = await asyncio.to_thread(client.get, "/salud")
        return answer.status_code, answer.json()["vault"]

    first, other = asyncio.run(start(b"1" * 32)), asyncio.run(start(b"2" * 32))

    assert (first, other) == ((200, "ok"), (503, "error"))
