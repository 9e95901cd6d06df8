"""A running product that is watched: its log as lines of JSON, its numbers on a port of their own."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.servers.cluster import log_in
from tests.servers.daemon import free_ports
from tests.servers.product import PASSWORD, product_environment, run_product


def test_every_line_is_an_event_and_numbers_have_their_own_port(tmp_path: Path) -> None:
    """From the first line to the last, libraries' lines too; nobody's password is in one."""
    (port,) = free_ports(1)
    environment = product_environment(tmp_path, CG_LOG="json", CG_METRICS=f"127.0.0.1:{port}", CG_INSTANCE="uno")
    with run_product(tmp_path, environment=environment) as product:
        with log_in(product.url) as client:
            assert client.get("/cuenta-mail").status_code == 200
            client.post("/entrar", data={"username": "ana\nbob", "password": "S3cr3t"})
        numbers = httpx.get(f"http://127.0.0.1:{port}/metrics?by=prometheus").text.splitlines()
        here = httpx.get(f"{product.url}/metrics").text
        elsewhere = httpx.get(f"http://127.0.0.1:{port}/").status_code
    events = [json.loads(line) for line in product.log.read_text().splitlines()]

    assert 'cg_info{instance="uno"} 1' in numbers
    assert "cg_sessions 1" in numbers
    assert any(line.startswith('cg_requests_total{kind="page",status="200"}') for line in numbers)
    assert ("cg_sessions 1" in here, elsewhere) == (True, 404)
    assert events
    assert all({"time", "level", "logger", "message"} <= set(event) for event in events)
    assert any("CG_ADMIN_USER" in event["message"] for event in events)
    assert PASSWORD not in product.log.read_text()
