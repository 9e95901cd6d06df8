"""«API Key» as a script: refused without a log-in, blank at first, and nothing of a shown key stays in the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.activity import Action
from cgcore.errors import InvalidInput, Throttled
from cgcore.identity.actor import Scope
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, get_workbench
from cgcore.workbench.keys import ISSUE_ACTION, ROLL_ACTION
from tests.servers.api_users import Person, add_person, issue_key

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """The process's own workbench, over a temporary folder."""
    monkeypatch.setenv("CG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CG_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("CG_PUBLIC_URL", "https://facturas.ejemplo.es")
    get_workbench.cache_clear()
    workbench = get_workbench()
    yield workbench
    workbench.close()
    get_workbench.cache_clear()


@pytest.fixture
def ana(bench: Workbench) -> Person:
    return add_person(bench, "ana")


@pytest.fixture
def open_page(bench: Workbench, ana: Person) -> Callable[[], AppTest]:
    """Open the page as ana."""

    def open_page() -> AppTest:
        at = AppTest.from_file(str(ROOT / "pages" / "workbench.py"), default_timeout=60)
        at.user = {"login": bench.identity.sign_identity(ana.actor.session_hash)}
        at.run()
        at.switch_page("api_key.py").run()
        assert not at.exception
        return at

    return open_page


def texts_of(at: AppTest) -> str:
    """Return every text that the page shows."""
    return "\n".join(str(element.value) for kind in (at.markdown, at.caption, at.code) for element in kind)


def session_dump(at: AppTest) -> str:
    """Return every text reachable from the state that the server keeps for this session, secrets opened."""
    return " ".join(_texts_in(at.session_state._state, {}))


def _texts_in(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    if id(value) in seen:
        return
    seen[id(value)] = value  # kept alive: the number of a dead object is given to another one
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, (str, bytes)):
        yield str(value)
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _texts_in(pair, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts_in(part, seen)
    elif type(value).__module__.startswith(("streamlit.runtime.state", "streamlit.testing", "cgcore.")):
        names = [*getattr(type(value), "__slots__", ()), *getattr(value, "__dict__", {})]
        for name in names:
            yield from _texts_in(getattr(value, name, None), seen)


def test_without_a_log_in_there_is_nothing(bench: Workbench) -> None:
    """No title, no button, no key: only the way to the log-in."""
    add_person(bench, "ana")
    at = AppTest.from_file(str(ROOT / "pages" / "workbench.py"), default_timeout=60)
    at.run()

    assert not at.exception
    assert at.error
    assert not at.button


def test_the_first_time_there_is_one_sentence_and_one_button(open_page: Callable[[], AppTest]) -> None:
    """No empty cells, no field to fill."""
    at = open_page()

    assert [button.label for button in at.main.button] == ["Generar nueva API Key"]
    assert "Aún no hay ninguna clave" in texts_of(at)
    assert not at.main.text_input


def test_a_shown_key_leaves_nothing_in_the_session(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person
) -> None:
    """While the dialog is open it is on the page; after «Ya la he copiado» it is reachable from nothing."""
    issued = issue_key(bench, ana)
    at = open_page()
    at.session_state["api_key_held"] = issued
    at.run()
    shown, held = texts_of(at), session_dump(at)
    at.button(key="api_key_copied").click().run()
    at.run()
    left = session_dump(at)

    assert not at.exception
    assert issued.key.reveal() in shown
    assert issued.key.reveal() in held
    assert issued.key.reveal() not in left
    assert issued.key.reveal()[12:44] not in left
    assert issued.key.reveal() not in texts_of(at)


def test_a_shown_key_is_forgotten_on_another_page(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person
) -> None:
    """Whoever leaves without copying it does not find it again."""
    issued = issue_key(bench, ana)
    at = open_page()
    at.session_state["api_key_held"] = issued
    at.run()
    at.switch_page("profile.py").run()
    left = session_dump(at)
    at.switch_page("api_key.py").run()

    assert issued.key.reveal() not in left
    assert issued.key.reveal() not in texts_of(at)


def test_a_pasted_key_is_taken_out_of_its_field(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person
) -> None:
    """Also when the server cannot be reached: the result is stored, the key is not."""
    key = issue_key(bench, ana).key.reveal()
    at = open_page()
    at.text_input(key="api_key_check_key").input(key)
    at.button(key="api_key_check_run").click().run()
    at.run()

    assert not at.exception
    assert at.text_input(key="api_key_check_key").value == ""
    assert key not in session_dump(at)
    assert key not in texts_of(at)


def test_the_facts_and_the_examples_are_those_of_the_key(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person
) -> None:
    """Name (never as Markdown), last four, scopes, real address; renew only where it helps; the revoked one apart."""
    first = issue_key(bench, ana, "App [x](http://malo.es) **b**", [Scope.READ])
    revoked = issue_key(bench, ana, "Vieja")
    bench.keys.revoke(ana.actor, revoked.id)
    rolled = bench.keys.roll(ana.actor, ana.grant(bench, ROLL_ACTION), first.id)
    at = open_page()
    labels = {button.key: button.label for button in at.main.button if button.key}
    text = texts_of(at)

    assert labels[f"api_key_revoke_{first.id}"] == "Revocar ya"
    assert f"api_key_renew_{first.id}" not in labels
    assert labels[f"api_key_renew_{rolled.id}"] == "Renovar"
    assert f"api_key_revoke_{revoked.id}" not in labels
    assert "[x](http" not in text
    assert f"…{first.key.reveal()[-4:]}" in text
    assert "https://facturas.ejemplo.es/api/v1/me" in text
    assert "escribir" not in text


def test_a_wrong_password_makes_no_key_and_is_in_the_trail(bench: Workbench, ana: Person) -> None:
    """The trail says for what it was asked; the throttle of the log-in counts it."""
    refusals: list[type[Exception]] = []
    while not refusals or refusals[-1] is InvalidInput:
        with pytest.raises((InvalidInput, Throttled)) as caught:
            bench.identity.issue_grant(ana.actor, ISSUE_ACTION, Secret("no es esta"))
        refusals.append(caught.type)
    lines = bench.activity.list(ana.actor)["items"]

    assert refusals[0] is InvalidInput
    assert refusals[-1] is Throttled
    assert bench.keys.list_keys(ana.actor) == []
    assert (lines[0].action, lines[0].object, lines[0].result) == (
        Action.REAUTHENTICATED,
        ISSUE_ACTION,
        "password_wrong",
    )
