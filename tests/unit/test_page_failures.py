"""A run that fails, wherever and however: a sentence of ours, no traceback, and nothing typed is lost."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from streamlit import config
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.testing.v1 import AppTest, local_script_runner

from cgcore.errors import NotAllowed, StorageError
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.storage.database import WriterQueue
from cgcore.texts import Text, lookup
from cgcore.workbench import Workbench
from cgcore.workbench.keys import ISSUE_ACTION
from pages.ui.admin import users
from pages.ui.markdown import escape
from pages.ui.server import tell_failure
from pages.ui.texts import common
from tests.servers.pages import PASSWORD, open_page, panel, sign_in, words

ROOT = Path(__file__).parents[2]
FAILURES: dict[str, tuple[Exception, str]] = {
    "storage": (StorageError("S3cr3t", code="storage_away"), lookup("cgcore.storage", "")["storage_away"]),
    "refused": (NotAllowed("S3cr3t"), common.NOT_ALLOWED),
    "fault": (KeyError("S3cr3t"), common.OUR_FAULT),
}
each_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)


@pytest.fixture
def ana(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """An administrator, on a server that tells failures as the product does, set up to show every traceback."""
    begin = local_script_runner.LocalScriptRunner.__init__

    def with_hook(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self._on_script_error = tell_failure

    monkeypatch.setattr(local_script_runner.LocalScriptRunner, "__init__", with_hook)
    monkeypatch.setitem(config._config_options or {}, "client.showErrorDetails", _Full())
    return sign_in(workbench, "ana", Role.ADMIN)


class _Full:
    """An option of Streamlit's that somebody has set."""

    value = "full"


def fail_with(error: Exception) -> Callable[..., NoReturn]:
    """A function that fails."""

    def fail(*_arguments: object, **_named: object) -> NoReturn:
        raise error

    return fail


def shown(page: AppTest) -> str:
    """All that the page says, toasts among it."""
    return words(page) + "\n".join(str(toast.value) for toast in page.toast)


@each_failure
def test_a_callback_that_fails_leaves_the_page_and_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, failure: tuple[Exception, str]
) -> None:
    """The page is drawn as before the click, with what was typed in the same moment, and the sentence stays."""
    error, sentence = failure
    page = panel(open_page(monkeypatch, workbench, ana, "administration.py"), "users")
    before = [button.key for button in page.button]
    monkeypatch.setattr(users, "_open", fail_with(error))
    page.run()
    page.text_input("administration_users_search").set_value("an")
    page.button("administration_user_new").click().run()
    said = shown(page)
    page.run()

    assert sentence in said
    assert not page.exception
    assert "S3cr3t" not in said
    assert [button.key for button in page.button] == before
    assert page.text_input("administration_users_search").value == "an"
    assert sentence not in shown(page)


@each_failure
def test_a_page_that_fails_says_so_and_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, failure: tuple[Exception, str]
) -> None:
    """Whatever a use case raises; when it works again the page is there."""
    error, sentence = failure
    page = open_page(monkeypatch, workbench, ana, "activity.py")
    healthy = [button.key for button in page.button]
    with monkeypatch.context() as broken:
        broken.setattr(type(workbench.activity), "list", fail_with(error))
        page.run()
    said, exceptions = shown(page), list(page.exception)
    next(button for button in page.button if button.label == common.TRY_AGAIN).click().run()

    assert sentence in said
    assert (exceptions, "S3cr3t" in said, "Traceback" in said) == ([], False, False)
    assert [button.key for button in page.button] == healthy


@each_failure
def test_a_fragment_that_fails_says_so_in_its_place(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, failure: tuple[Exception, str]
) -> None:
    """The rest of the page stands."""
    error, sentence = failure
    workbench.keys.issue(
        ana, workbench.identity.codes.issue_grant(ana, ISSUE_ACTION, PASSWORD), "App", frozenset(Scope)
    )
    page = open_page(monkeypatch, workbench, ana, "api_key.py")
    title = [each.value for each in page.title]
    monkeypatch.setattr(type(workbench.keys), "calls", fail_with(error))
    page.run()

    assert sentence in shown(page)
    assert not page.exception
    assert [each.value for each in page.title] == title


def test_a_save_says_that_it_is_under_way_before_it_waits(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The browser has «Guardando…» before the turn to write is asked for; without a click nothing of the kind."""
    events: list[str] = []
    enqueue, turn = ForwardMsgQueue.enqueue, WriterQueue.turn

    def sent(self: ForwardMsgQueue, message: Any) -> None:
        events.append(message.delta.new_element.markdown.body)
        enqueue(self, message)

    def asked(self: WriterQueue, patience_s: float) -> Any:
        events.append("turn")
        return turn(self, patience_s)

    page = open_page(monkeypatch, workbench, ana, "profile.py")
    monkeypatch.setattr(ForwardMsgQueue, "enqueue", sent)
    monkeypatch.setattr(WriterQueue, "turn", asked)
    page.text_input("profile_full_name").set_value("Ana Tosma").run()
    typed = list(events)
    events.clear()
    page.button("profile_save").click().run()
    told = [number for number, event in enumerate(events) if common.SAVING in event]

    assert not any(common.SAVING in event for event in typed)
    assert len(told) == 1
    assert "turn" in events[told[0] :]
    assert workbench.users.get(ana, "ana").full_name == "Ana Tosma"
    assert common.SAVING not in words(page)


def test_an_exception_is_logged_line_by_line() -> None:
    """Through the log, whose lines are ours; the coloured frames of a library's beside it are switched off."""
    assert tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["logger"]["enableRich"] is False


def test_the_product_has_this_hook() -> None:
    """The app that is served tells failures so, whatever Streamlit's own option says."""
    tree = ast.parse((ROOT / "streamlit_app.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "st.App"]

    assert [
        ast.unparse(keyword.value) for call in calls for keyword in call.keywords if keyword.arg == "on_script_error"
    ] == ["tell_failure"]


@pytest.mark.parametrize("field", ["activity_search", "activity_user"])
def test_a_search_that_is_too_long_says_so(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, field: str
) -> None:
    """Nothing can be found then, and not because nothing is there; a shorter one takes the sentence away."""
    page = open_page(monkeypatch, workbench, ana, "activity.py")
    page.text_input(field).set_value("a" * 201).run()
    told = words(page)
    page.text_input(field).set_value("a").run()
    limit = escape(str(Text("cgcore", "text_rules.text_too_long", (("limit", 200),))))

    assert limit in told
    assert limit not in words(page)
    assert page.text_input(field).value == "a"


def test_every_search_of_a_page_says_when_it_is_too_long() -> None:
    """Each module with a search field draws what is wrong with it."""
    modules = {path: path.read_text("utf-8") for path in sorted((ROOT / "pages").rglob("*.py"))}
    searching = {path.name for path, source in modules.items() if ":material/search:" in source}
    telling = {path.name for path, source in modules.items() if "draw_search_problem(" in source}

    assert searching
    assert searching - telling == set()


@pytest.mark.parametrize("script", ["overview.py", "sending_defaults.py"])
def test_pages_that_rot_under_the_product_are_told_on_the_page(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, script: str
) -> None:
    """The file of the database is damaged while a tab is open: one sentence, and what the page had is not shown."""
    page = open_page(monkeypatch, workbench, ana, script)
    path = workbench.database.path
    assert path is not None
    with workbench.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    workbench.database.engine.dispose()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    page.run()

    assert lookup("cgcore.storage", "")["storage_damaged"] in words(page)
    assert not page.exception
    assert not page.title
