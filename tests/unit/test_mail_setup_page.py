"""«Configurar mi correo» in a page that was loaded again, in a second tab, and for another address than was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import pages.ui.runs as results
from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.workbench import Workbench
from cgcore.workbench.mail_setup import setup_mark
from cgcore.workbench.runs import Job
from tests.servers.pages import open_page, sign_in, words

SCRIPT = "mail_account.py"
ADDRESS = "ana@tosma.example"
_USER = "mail_account_user"
_HOST = "mail_account_smtp_host"
_STALE = "Este resultado es de antes del último cambio"


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """A user without an account."""
    return sign_in(workbench, "ana")


def _start(workbench: Workbench, ana: Actor, address: str, gate: threading.Event) -> None:
    """Start a set-up for ``address`` that has found its servers once ``gate`` is open."""
    server = {"host": "mail.tosma.example", "port": 465, "security": "ssl", "source": "srv"}
    found: dict[str, Any] = {"smtp": server, "imap": server | {"port": 993}, "folder": "", "folder_from": ""}

    def steps() -> Iterator[Step]:
        yield Step("smtp", "discover", Status.OK)
        assert gate.wait(20)

    job = Job(
        steps,
        lambda _steps, ms: Verdict("ok", "auth", ms),
        lambda _steps, _verdict, _session: found | {"user": address, "questions": []},
    )
    workbench.runs.start(ana, Cell.SETUP, setup_mark(address), job)


def _open_during(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, *, address: str, typed: str
) -> AppTest:
    """Return a page with ``typed`` in its field, one run after a set-up for ``address`` has begun elsewhere."""
    gate = threading.Event()
    app = open_page(monkeypatch, workbench, ana, SCRIPT)
    app.text_input(key=_USER).set_value(typed).run()
    _start(workbench, ana, address, gate)
    monkeypatch.setattr(results, "_give_way", gate.set)
    app.run()
    assert not app.exception
    return app


def test_a_page_that_is_loaded_again_follows_the_set_up_and_takes_what_it_finds(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The draft has brought the address back; the run goes on, and fills in as if nothing had happened."""
    app = _open_during(monkeypatch, workbench, ana, address=ADDRESS, typed=f" {ADDRESS.title()}")

    assert app.text_input(key=_HOST).value == "mail.tosma.example"
    assert "mail_account_setup_save" in {str(button.key) for button in app.button}


def test_what_another_address_has_found_is_not_filled_in(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """It is shown as what it is, the result of another input."""
    app = _open_during(monkeypatch, workbench, ana, address=ADDRESS, typed="berta@otra.example")

    assert app.text_input(key=_HOST).value == ""
    assert app.text_input(key=_USER).value == "berta@otra.example"
    assert _STALE in words(app)
    assert "mail_account_setup_save" not in {str(button.key) for button in app.button}


def test_fields_at_rest_stay_as_they_are_while_another_tab_sets_up(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The second tab has typed nothing: it shows the run to its end, and fills nothing in."""
    app = _open_during(monkeypatch, workbench, ana, address=ADDRESS, typed="")

    assert app.text_input(key=_HOST).value == ""
    run = workbench.mail_setup.find_last(ana)
    assert run is not None
    assert not run.is_running


def test_an_outcome_is_no_longer_offered_once_the_address_is_another(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """«Guardar» under a proof would store what was proven of somebody else."""
    app = _open_during(monkeypatch, workbench, ana, address=ADDRESS, typed=ADDRESS)
    app.text_input(key=_USER).set_value("berta@otra.example").run()

    assert _STALE in words(app)
    assert "mail_account_setup_save" not in {str(button.key) for button in app.button}
