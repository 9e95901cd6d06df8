"""«Rellenar a mano» on «Cuenta mail»: what an account without servers has folded, and what opens it."""

from __future__ import annotations

from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job
from tests.servers.pages import open_page, sign_in

SCRIPT = "mail_account.py"
_KEY = "mail_account_by_hand"
_HOST = "mail_account_smtp_host"


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """A user without an account."""
    return sign_in(workbench, "ana")


def _open(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor) -> AppTest:
    app = open_page(monkeypatch, workbench, actor, SCRIPT)
    assert not app.exception
    return app


def _is_open(app: AppTest) -> bool | None:
    """Return whether the cells are open; None where nothing folds them."""
    assert not app.exception
    found = [part.proto.expanded for part in app.expander if "Rellenar a mano" in part.label]
    return found[0] if found else None


def test_an_empty_account_shows_its_one_button_and_folds_the_rest(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """«Configurar mi correo» is the page's primary action; opened by hand, a run of the page leaves it open."""
    app = _open(monkeypatch, workbench, ana)
    assert _is_open(app) is False
    assert app.button(key="mail_account_setup").proto.type == "primary"
    folded = next(part for part in app.expander if "Rellenar a mano" in part.label)
    assert {"mail_account_smtp_host", "mail_account_imap_host", "mail_account_recipient"} <= {
        str(field.key) for field in folded.text_input
    }

    app.session_state[_KEY] = True
    app.run()
    app.text_input(key="mail_account_user").set_value("ana@tosma.example").run()
    assert _is_open(app) is True


@pytest.mark.parametrize("button", ["gmail", "sandbox"])
def test_servers_that_come_into_it_open_it_once(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, button: str
) -> None:
    """What was filled in is in sight; whoever folds it again has it folded, whatever else they type."""
    app = _open(monkeypatch, workbench, ana)
    app.session_state[f"mail_account_{button}"] = True
    app.run()
    app.button(key=f"mail_account_{button}_fill").click().run()
    assert _is_open(app) is True

    app.session_state[_KEY] = False
    app.run()
    app.text_input(key="mail_account_user").set_value("otra@tosma.example").run()
    assert _is_open(app) is False


def test_what_the_set_up_has_found_is_shown(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """The filled form stands below the button."""
    app = _open(monkeypatch, workbench, ana)
    server = {"host": "mail.tosma.example", "port": 465, "security": "ssl"}
    app.session_state["mail_account_setup_fill"] = {"user": "", "smtp": server, "imap": None, "folder": ""}
    app.run()
    assert app.text_input(key=_HOST).value == "mail.tosma.example"
    assert _is_open(app) is True


@pytest.mark.parametrize(("key", "is_open"), [("nothing_proven", True), ("no_such_domain", False)])
def test_a_set_up_whose_cure_is_to_fill_them_in_opens_them(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, key: str, is_open: bool
) -> None:
    """«Escribe abajo los servidores» is said of cells that are in sight; a slip in the address wants none of them."""
    nothing = {"user": "", "smtp": None, "imap": None, "folder": "", "folder_from": "", "questions": []}
    job = Job(
        lambda: iter((Step("smtp", "discover", Status.ERROR, key=key),)),
        lambda _steps, ms: Verdict(key, "discover", ms, {"domain": "tosma.example"}),
        lambda _steps, _verdict, _session: nothing,
    )
    start = partial(workbench.runs.start, ana, Cell.SETUP, "mark", job)
    monkeypatch.setattr(workbench.mail_setup, "start", lambda *_given, **_named: start())
    app = _open(monkeypatch, workbench, ana)
    app.button(key="mail_account_setup").click().run()

    assert _is_open(app) is is_open
    assert "De dónde sale cada dato" not in {part.label for part in app.expander}


def test_a_slip_in_the_domain_is_asked_about_by_a_button(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Its label is the question, and a click is the yes."""
    app = _open(monkeypatch, workbench, ana)
    app.text_input(key="mail_account_user").set_value("ana@gmial.com").run()
    asked = app.button(key="mail_account_setup_suggestion")
    asked.click().run()

    assert asked.label.replace("\\", "").replace("\u2060", "") == "¿Querías decir ana@gmail.com?"
    assert app.text_input(key="mail_account_user").value == "ana@gmail.com"


def test_what_is_wrong_in_it_opens_it(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """A port that is none, typed and folded away, keeps Guardar from saving: it is shown."""
    app = _open(monkeypatch, workbench, ana)
    app.text_input(key="mail_account_smtp_port").set_value("99999").run()
    assert _is_open(app) is True


def test_typed_servers_are_in_sight_after_another_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Streamlit forgets that it was open with the page; what was typed was not forgotten."""
    app = _open(monkeypatch, workbench, ana)
    app.text_input(key=_HOST).set_value("mail.tosma.example").run()
    app.switch_page("overview.py").run()
    app.switch_page(SCRIPT).run()
    assert app.text_input(key=_HOST).value == "mail.tosma.example"
    assert _is_open(app) is True


@pytest.mark.parametrize("leg", ["smtp", "imap"])
def test_an_account_that_has_a_server_folds_nothing(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, leg: str
) -> None:
    """Once saved, its cells are those of any page."""
    server = ServerDraft("mail.tosma.example")
    draft = MailAccountDraft(user="ana@tosma.example", **{leg: server})  # pyright: ignore[reportArgumentType]
    workbench.mail_account.save(ana, draft, version=0)
    assert _is_open(_open(monkeypatch, workbench, ana)) is None
