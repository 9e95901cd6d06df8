"""A demonstration for strangers: seeded, closed to every network, told on every page, made anew."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cgcore.errors import StorageError
from cgcore.identity.actor import Role
from cgcore.mail.https import RefusedRequest, exchange
from cgcore.mail.network.policy import is_allowed
from cgcore.mail.request import environment_from
from cgcore.storage.database import open_database
from cgcore.workbench import Workbench
from cgcore.workbench.demo_host import DEMO_PASSWORD, DEMO_USER, clear_demo, find_next_reset
from tests.conftest import make_settings
from tests.servers.cluster import log_in, until
from tests.servers.pages import open_page, sign_in, words
from tests.servers.product import product_environment, run_product


def test_a_demonstration_is_entered_at_once_and_starts_anew(tmp_path: Path) -> None:
    """The log-in page says how; what a visitor has left is gone behind the night, in the same process."""
    environment = product_environment(tmp_path, CG_DEMO="1", CG_ADMIN_USER="", CG_ADMIN_PASSWORD="")
    with run_product(tmp_path, environment=environment) as product:
        page = httpx.get(f"{product.url}/entrar").text
        before = httpx.get(f"{product.url}/salud").json()["instance"]
        with log_in(product.url, username=DEMO_USER, password=DEMO_PASSWORD) as client:
            (product.folder / "data" / "left-behind").touch()
            os.kill(product.process.pid, signal.SIGHUP)
            until(lambda: _instance(product.url) not in ("", before))
            after = client.get("/cuenta-mail")
        with log_in(product.url, username=DEMO_USER, password=DEMO_PASSWORD):
            pass
        left = (product.folder / "data" / "left-behind").exists()

    assert DEMO_USER in page
    assert DEMO_PASSWORD in page
    assert "demostración" in page
    assert (after.status_code, left) == (303, False)


def test_a_demonstration_reaches_no_network(tmp_path: Path) -> None:
    """No name is asked for, and no public address may be connected to, whatever the other settings say."""
    settings = make_settings(tmp_path, demo=True, sandbox="off", dns_server="192.0.2.53", ispdb=True)
    env = environment_from(settings)
    deadline = env.deadline(5)

    with pytest.raises(OSError, match="no name"):
        env.resolver("smtp.gmail.com", deadline)
    assert list(env.records.mx("gmail.com", deadline)) == []
    assert not is_allowed("8.8.8.8", "8.8.8.8", 587, env)
    assert not is_allowed("127.0.0.1", "127.0.0.1", 587, env)
    assert not env.ispdb
    with pytest.raises(RefusedRequest, match="forbidden_target"):
        exchange("GET", "https://8.8.8.8/", env, deadline, headers={})
    assert settings.sandbox_on
    assert is_allowed("8.8.8.8", "8.8.8.8", 587, environment_from(make_settings(tmp_path)))


@pytest.mark.parametrize("script", ["overview.py", "profile.py"])
def test_each_page_says_that_it_is_a_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """At its top, and nowhere else; an installation of somebody's says nothing of the kind."""
    found: list[int] = []
    for demo in (True, False):
        settings = make_settings(tmp_path / str(demo), demo=demo)
        workbench = Workbench(settings, open_database(settings.resolved_database_url()))
        page = open_page(monkeypatch, workbench, sign_in(workbench, "ana", Role.ADMIN), script)
        found.append(words(page).count("Demostración: no sale ningún correo"))
        workbench.close()

    assert found == [1, 0]


def test_nobodys_data_is_taken_for_a_demonstration(tmp_path: Path) -> None:
    """A folder with something in it, another place for the database, a server's: refused, and nothing is touched."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cloud-gestion.db").write_bytes(b"somebody's")
    elsewhere = {"database_url": f"sqlite:///{tmp_path / 'other.db'}"}
    for overrides in ({}, elsewhere, {"database_url": "postgresql://db.example/cloud"}):
        with pytest.raises(StorageError) as refused:
            clear_demo(make_settings(tmp_path, demo=True, **overrides))
        assert refused.value.code == "demo_folder"

    assert (tmp_path / "data" / "cloud-gestion.db").read_bytes() == b"somebody's"


def test_the_night_comes_once_a_day() -> None:
    """At three; at three itself the next one is tomorrow's."""
    three = datetime(2026, 11, 30, 3, tzinfo=UTC)

    assert find_next_reset(datetime(2026, 11, 30, 2, 59, tzinfo=UTC)) == three
    assert find_next_reset(three) == datetime(2026, 12, 1, 3, tzinfo=UTC)


def _instance(url: str) -> str:
    try:
        return str(httpx.get(f"{url}/salud").json().get("instance", ""))
    except (httpx.HTTPError, ValueError):
        return ""
