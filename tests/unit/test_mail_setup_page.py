"""«Configurar mi correo» in a page that was loaded again, in a second tab, and for another address than was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import pages.ui.runs as results
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.mail_setup import setup_mark
from cgcore.workbench.runs import Job
from tests.servers.pages import open_page, sign_in, words

SCRIPT = "mail_account.py"
ADDRESS = "ana@tosma.example"
_USER = "mail_account_user"
_HOST = "mail_account_smtp_host"
_TAKE = "mail_account_setup_take"
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


def _see_it_end(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, app: AppTest | None) -> AppTest:
    """Return ``app``, or a page that is opened for it, after a set-up for ADDRESS has gone on elsewhere to its end."""
    gate = threading.Event()
    _start(workbench, ana, ADDRESS, gate)
    monkeypatch.setattr(results, "give_way", gate.set)
    app = app.run() if app is not None else open_page(monkeypatch, workbench, ana, SCRIPT)
    assert not app.exception
    return app


def _typed(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, user: str, host: str = "") -> AppTest:
    app = open_page(monkeypatch, workbench, ana, SCRIPT)
    app.text_input(key=_USER).set_value(user).run()
    return app.text_input(key=_HOST).set_value(host).run()


def _keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def test_a_page_that_is_loaded_again_follows_the_set_up_and_offers_what_it_finds(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Its fields are empty: nothing is said to be filled in before it is, and then it can be saved."""
    app = _see_it_end(monkeypatch, workbench, ana, None)
    before, offered = app.text_input(key=_HOST).value, _keys(app)
    app.button(key=_TAKE).click().run()

    assert (before, "mail_account_setup_save" in offered) == ("", False)
    assert app.text_input(key=_HOST).value == "mail.tosma.example"
    assert app.text_input(key=_USER).value == ADDRESS
    assert "mail_account_setup_save" in _keys(app)
    assert _TAKE not in _keys(app)


def test_what_was_found_while_the_page_was_closed_is_offered_until_an_account_is_stored(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Whoever comes back finds it; with other servers in their account nobody is bothered by it."""
    gate = threading.Event()
    gate.set()
    _start(workbench, ana, ADDRESS, gate)
    list(workbench.runs.follow(ana, workbench.runs.find_last(ana, Cell.SETUP) or pytest.fail("no run")))
    empty = open_page(monkeypatch, workbench, ana, SCRIPT)
    server = ServerDraft("mail.otra.example", 465, Security.SSL)
    workbench.mail_account.save(ana, MailAccountDraft(ADDRESS, Secret("x"), server, server), version=0)
    stored = open_page(monkeypatch, workbench, ana, SCRIPT)

    assert _TAKE in _keys(empty)
    assert _TAKE not in _keys(stored)


@pytest.mark.parametrize("user", ["berta@otra.example", ADDRESS])
def test_what_is_typed_stays_while_another_tab_sets_up(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, user: str
) -> None:
    """Of another address, or of this one with servers by hand: what was found elsewhere overwrites nothing."""
    app = _see_it_end(monkeypatch, workbench, ana, _typed(monkeypatch, workbench, ana, user, "a.mano.example"))

    assert app.text_input(key=_HOST).value == "a.mano.example"
    assert app.text_input(key=_USER).value == user
    assert (_STALE in words(app)) is (user != ADDRESS)
    assert (_TAKE in _keys(app)) is (user == ADDRESS)
    assert "mail_account_setup_save" not in _keys(app)


def test_a_run_that_was_joined_by_a_click_fills_in_nothing_of_another_address(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The click meant the address that is typed."""
    app = _typed(monkeypatch, workbench, ana, "berta@otra.example")
    gate = threading.Event()
    _start(workbench, ana, ADDRESS, gate)
    running = workbench.runs.find_last(ana, Cell.SETUP)
    monkeypatch.setattr(workbench.mail_setup, "start", lambda *_given, **_named: running)
    monkeypatch.setattr(results, "give_way", gate.set)
    app.button(key="mail_account_setup").click().run()

    assert not app.exception
    assert app.text_input(key=_HOST).value == ""
    assert app.text_input(key=_USER).value == "berta@otra.example"
    assert _STALE in words(app)


def test_an_outcome_is_no_longer_offered_once_the_address_is_another(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """«Guardar» under a proof would store what was proven of somebody else."""
    app = _see_it_end(monkeypatch, workbench, ana, None)
    app.button(key=_TAKE).click().run()
    app.text_input(key=_USER).set_value("berta@otra.example").run()

    assert _STALE in words(app)
    assert "mail_account_setup_save" not in _keys(app)
