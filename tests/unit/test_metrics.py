"""Metrics: what is counted, in which format, and who is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cgcore.identity.throttle import SESSION_IDLE
from cgcore.metrics import Family, Metrics, write_families
from cgcore.outbox.states import State
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.storage.totals import count_totals
from cgcore.workbench import Workbench
from tests.servers.asgi import TestClient, open_product
from tests.servers.identity import PASSWORD, add_user

SAMPLE = re.compile(r"[a-z_]+(\{[a-z_]+=\"[^\"\n]*\"(,[a-z_]+=\"[^\"\n]*\")*\})? ([0-9.e+-]+|\+Inf)")


@pytest.fixture
def client(workbench: Workbench) -> Iterator[TestClient]:
    """A browser on this machine."""
    with open_product(workbench) as client:
        # As a server hands a request of this machine on.
        client._transport.client = ("127.0.0.1", 50000)  # type: ignore[attr-defined]
        yield client


def test_each_line_is_one_of_the_format_and_tells_what_happened(client: TestClient, workbench: Workbench) -> None:
    """Requests by kind and status, log-ins, messages by state; a histogram's last bucket holds all."""
    add_user(workbench)
    client.post("/entrar", data={"username": "ana", "password": PASSWORD.reveal()})
    client.get("/salud")
    answer = client.get("/metrics")
    lines = answer.text.splitlines()

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert [line for line in lines if not line.startswith("# ") and not SAMPLE.fullmatch(line)] == []
    assert 'cg_requests_total{kind="page",status="303"} 1' in lines
    assert 'cg_requests_total{kind="health",status="200"} 1' in lines
    assert 'cg_request_seconds_bucket{kind="page",le="+Inf"} 1' in lines
    assert {"cg_sessions 1", "cg_users 1", "cg_database_up 1", "cg_outbox_overdue_seconds 0"} <= set(lines)
    assert 'cg_outbox_messages{state="queued"} 0' in lines
    assert not any("ana" in line for line in lines)


def test_what_waits_past_its_time_is_told(workbench: Workbench) -> None:
    """From the oldest one that is queued; one that is due later is not late, but may have been made long ago."""
    user_id = add_user(workbench)
    now = workbench.clock()
    with workbench.database.session() as session:
        for number, (state, late_s) in enumerate([("queued", 90), ("queued", -60), ("sent", 900)]):
            session.add(
                OutboundMessageRow(
                    id=str(number),
                    user_id=user_id,
                    idempotency_key=str(number),
                    request_hash="",
                    document_type="quote",
                    state=state,
                    created=now - timedelta(seconds=1000 + number),
                    due=now - timedelta(seconds=late_s),
                )
            )
        session.flush()
        totals = count_totals(session, now)

    assert (totals.oldest_s, totals.overdue_s) == (1001, 90)
    assert (totals.messages[State.QUEUED], totals.messages[State.SENT]) == (2, 1)


@pytest.mark.parametrize(
    "headers",
    [{"x-forwarded-for": "192.0.2.1"}, {"forwarded": "for=192.0.2.1"}, {"via": "1.1 x"}, {"x-real-ip": "192.0.2.1"}],
)
def test_whoever_comes_by_a_proxy_is_told_nothing(client: TestClient, headers: dict[str, str]) -> None:
    """It is an address behind the log-in, as any that nobody answers."""
    answer = client.get("/metrics", headers=headers)

    assert (answer.status_code, answer.headers["location"]) == (303, "/entrar")
    assert "cg_" not in answer.text


def test_another_machine_or_another_name_is_told_nothing(client: TestClient) -> None:
    """Only the address of this machine, by a name of this machine."""
    foreign = ("config.example.es", "localhost.example.es", "127.0.0.1.example.es:8501", "localhost:80x")
    named = [client.get("/metrics", headers={"host": name}) for name in foreign]
    client._transport.client = ("192.0.2.1", 50000)  # type: ignore[attr-defined]

    assert [(answer.status_code, "cg_" in answer.text) for answer in named] == [(400, False)] * 4
    assert client.get("/metrics").status_code == 303


def test_metrics_are_told_without_a_database(
    client: TestClient, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the process is told; that the database is away is among it."""
    from cgcore.errors import StorageError

    def fail() -> None:
        raise StorageError("away", code="storage_away")

    monkeypatch.setattr(workbench, "list_totals", fail)
    lines = client.get("/metrics").text.splitlines()

    assert "cg_database_up 0" in lines
    assert any(line.startswith("cg_info{") for line in lines)


def test_a_log_in_that_nobody_has_used_for_long_is_not_open(workbench: Workbench) -> None:
    """It is told as the gate judges it."""
    add_user(workbench)
    workbench.identity.sessions.log_in("ana", PASSWORD)
    with workbench.database.read() as session:
        now = workbench.clock()
        counted = [count_totals(session, moment).log_ins for moment in (now, now + SESSION_IDLE + timedelta(minutes=1))]

    assert counted == [1, 0]


def test_a_label_with_any_text_stays_one_line() -> None:
    """Quotes, line feeds and backslashes are escaped."""
    metrics = Metrics()
    metrics.count("cg_runs_total", cell='a"b\nc\\d')

    told = write_families([Family("cg_x", "gauge", 'a "b"\nc\\d')])

    assert told.splitlines()[0] == '# HELP cg_x a "b"\\nc\\\\d'
    assert 'cg_runs_total{cell="a\\"b\\nc\\\\d"} 1' in write_families(metrics.list_families()).splitlines()
