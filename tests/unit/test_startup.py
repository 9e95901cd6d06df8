"""What production refuses to start with, and how trouble with the master key shows after a start."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from cgcore.server_facts import ServerFacts
from cgcore.settings import find_unsafe
from cgcore.storage.database import open_database
from cgcore.web.assembly import Assembly
from cgcore.web.origins import AllowedOrigins
from cgcore.web.startup import find_refusals, list_server_problems
from cgcore.workbench import Workbench, open_workbench
from tests.conftest import make_settings
from tests.servers.asgi import NoTabs, open_product
from tests.servers.identity import PASSWORD, add_user

PUBLIC, PLAIN = "https://config.example.es", "http://config.example.es"


@pytest.mark.parametrize(
    ("public_url", "facts", "problems"),
    [
        (PUBLIC, ServerFacts("192.0.2.2"), []),
        (PLAIN, ServerFacts("127.0.0.1"), ["plain_public_url"]),
        (PLAIN, ServerFacts("192.0.2.2"), ["plain_public_url", "no_tls"]),
        (PLAIN, ServerFacts("192.0.2.2", tls=True), ["plain_public_url"]),
        ("http://localhost:8501", ServerFacts("127.0.0.1"), []),
        ("", ServerFacts("::1"), ["no_public_url"]),
        (PUBLIC, ServerFacts("localhost", cors=False, xsrf=False, workers=2), ["cors_off", "xsrf_off", "workers"]),
    ],
)
def test_production_wants_tls_a_public_address_and_its_guards(
    tmp_path: Path, public_url: str, facts: ServerFacts, problems: list[str]
) -> None:
    """Each unsafe fact is named; a safe start has none."""
    settings = make_settings(tmp_path, public_url=public_url, production=True)

    assert find_unsafe(settings) + list_server_problems(settings, facts) == problems


def test_several_processes_are_refused_over_a_file_and_not_over_postgresql(tmp_path: Path) -> None:
    """Which is theirs to share."""
    facts = ServerFacts("127.0.0.1", workers=2)
    shared = make_settings(tmp_path, database_url="postgresql://db.example/cloud")

    assert list_server_problems(make_settings(tmp_path), facts) == ["workers"]
    assert list_server_problems(shared, facts) == []


def test_each_refusal_is_a_spanish_sentence_and_only_production_refuses(tmp_path: Path) -> None:
    """A wrong master key is among them, told without the key."""
    facts = ServerFacts("192.0.2.2", cors=False, xsrf=False, workers=2)
    settings = make_settings(tmp_path, production=True, master_key="S3cr3t-no-base64")
    workbench = Workbench(settings, open_database(settings.resolved_database_url()))

    refusals = find_refusals(workbench, facts)

    assert len(refusals) == 6
    assert not any(refusal.startswith("unsafe_") for refusal in refusals)
    assert "clave maestra" in refusals[-1]
    assert "S3cr3t" not in "".join(refusals)
    assert find_refusals(Workbench(make_settings(tmp_path), workbench.database), facts) == []
    workbench.close()


def test_a_wrong_master_key_is_said_at_the_gate_and_by_health(tmp_path: Path) -> None:
    """Nobody gets in unvouched for; the answer says what to do, and health takes the process out."""
    settings = make_settings(tmp_path, master_key="S3cr3t-no-base64")
    workbench = Workbench(settings, open_database(settings.resolved_database_url()))
    add_user(workbench)
    with open_product(workbench) as client:
        client.post("/entrar", data={"username": "ana", "password": PASSWORD.reveal()})
        page, health = client.get("/cuenta-mail"), client.get("/salud")

    assert page.status_code == 503
    assert "clave maestra" in page.text
    assert "S3cr3t" not in page.text
    assert (health.status_code, health.json()["vault"]) == (503, "error")
    workbench.close()


def test_every_start_prints_the_address_and_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A code until there is a user. At the first start before the first answer; at a later one, whose database needs
    nothing, behind it.
    """

    def start() -> str:
        workbench = open_workbench(make_settings(tmp_path))
        assembly = Assembly(
            lambda: workbench,
            AllowedOrigins(),
            find_address=lambda: "http://localhost:8501",
            read_facts=lambda: ServerFacts("127.0.0.1"),
            tabs=NoTabs(),
        )

        async def live() -> None:
            async with assembly.lifespan(None):
                pass

        anyio.run(live)
        return capsys.readouterr().out

    first, later = start(), start()
    workbench = open_workbench(make_settings(tmp_path))
    add_user(workbench)
    workbench.close()

    assert "http://localhost:8501/primer-uso" in first
    assert "http://localhost:8501/primer-uso" in later
    assert first != later
    assert start() == "Cloud Gestion: abre http://localhost:8501 y entra con tu usuario.\n"
