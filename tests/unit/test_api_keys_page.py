"""«API Key» as a script: refused without a log-in, blank at first, and nothing of a shown key stays in the session."""

from __future__ import annotations

import io
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import segno
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from cgcore.activity import Action
from cgcore.api_keys.calls import CallRecord
from cgcore.errors import InvalidInput, Throttled
from cgcore.identity.actor import Scope
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, get_workbench
from cgcore.workbench.keys import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from pages.ui.keys.view import KeysPage
from tests.servers.api_server import serve_api
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.identity import carry_log_in

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
        at.user = {"login": bench.identity.sessions.sign_identity(ana.actor.session_hash)}
        at.run()
        at.switch_page("api_key.py").run()
        assert not at.exception
        return at

    return open_page


@pytest.fixture
def open_dialog(bench: Workbench, ana: Person) -> Callable[[Callable[[], None]], AppTest]:
    """Open a dialog as ana; in a test a click runs the page again, which does not open it again by itself."""

    def open_dialog(script: Callable[[], None]) -> AppTest:
        at = AppTest.from_function(script, default_timeout=60)
        at.user = {"login": bench.identity.sessions.sign_identity(ana.actor.session_hash)}
        return at

    return open_dialog


def _issue_dialog() -> None:
    from cgcore.workbench import get_workbench
    from pages.ui.identity import require_actor
    from pages.ui.keys.dialogs import ask_issue
    from pages.ui.keys.view import KeysPage

    ask_issue(KeysPage(get_workbench(), require_actor()))


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
    """The activity log says for what it was asked; the throttle of the log-in counts it."""
    refusals: list[type[Exception]] = []
    while not refusals or refusals[-1] is InvalidInput:
        with pytest.raises((InvalidInput, Throttled)) as caught:
            bench.identity.codes.issue_grant(ana.actor, ISSUE_ACTION, Secret("no es esta"))
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


def test_the_dialog_makes_the_key_that_was_asked_for(
    open_dialog: Callable[[Callable[[], None]], AppTest], bench: Workbench, ana: Person
) -> None:
    """Name, scopes and expiry are those chosen; without choosing it does everything and has no end."""
    at = open_dialog(_issue_dialog)
    for device, chosen in (("App móvil", {}), ("Tienda", {"scopes": [Scope.READ], "expiry": "30 días"})):
        for name, value in chosen.items():
            at.session_state[f"api_key_issue_{name}"] = value
        at.run()
        at.text_input(key="api_key_issue_device").input(device)
        at.text_input(key="api_key_issue_password").input(ana.password)
        at.button(key="api_key_issue_run").click().run()
        assert not at.exception
    keys = {key.device: key for key in bench.keys.list_keys(ana.actor)}
    tienda, app = keys["Tienda"], keys["App móvil"]

    assert len(keys) == 2
    assert (app.scopes, app.expires) == (frozenset(Scope), None)
    assert tienda.scopes == {Scope.READ}
    assert tienda.expires is not None
    assert timedelta(days=29, hours=23) < tienda.expires - tienda.created <= timedelta(days=30)
    assert at.session_state["api_key_held"].id == tienda.id


def test_a_wrong_password_in_the_dialog_counts_for_the_log_in_too(
    open_dialog: Callable[[Callable[[], None]], AppTest],
    bench: Workbench,
    ana: Person,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First it is wrong, then one has to wait, and so has the log-in; no key is made."""
    now = bench.clock()
    monkeypatch.setitem(vars(bench.context), "clock", lambda: now)
    at = open_dialog(_issue_dialog).run()
    said: list[str] = []
    for _ in range(3):
        at.text_input(key="api_key_issue_password").input("no es esta")
        at.button(key="api_key_issue_run").click().run()
        said.append(texts_of(at))

    with pytest.raises(Throttled):
        bench.identity.sessions.log_in("ana", Secret(ana.password))
    assert not at.exception
    assert "no es correcta" in said[0]
    assert "Demasiados intentos" in said[2]
    assert bench.keys.list_keys(ana.actor) == []
    assert "api_key_held" not in at.session_state


def test_the_use_of_a_key_is_shown_by_day_and_call_by_call(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two weeks as a chart, the last twenty calls as a table, when it was made, last used and from where."""
    monkeypatch.setitem(vars(bench.context), "clock", lambda: datetime(2025, 3, 1, 12, 3, tzinfo=UTC))
    carry_log_in(bench, ana.actor)
    issued = issue_key(bench, ana)
    for number in range(25):
        call = CallRecord(bench.clock(), "GET", f"/templates/{number}", 404, 7, "192.0.2.9")
        bench.keys.access.record_call(issued.id, call)
    at = open_page()
    table = at.main.dataframe[0].value
    chart = at.main.get("vega_lite_chart")[0].proto.datasets[0].data.data
    days = convert_arrow_bytes_to_pandas_df(chart)
    facts = next(caption.value for caption in at.main.caption if "creada" in caption.value)

    assert list(table.columns) == ["Cuándo", "Llamada", "Estado", "ms", "Desde"]
    assert list(table["Llamada"]) == [f"GET /templates/{number}" for number in range(24, 4, -1)]
    assert set(zip(table["Estado"], table["ms"], table["Desde"], strict=True)) == {(404, 7, "192.0.2.9")}
    assert list(days["Llamadas"]) == [0] * 13 + [25]
    assert "creada 01/03/2025 12:03" in facts
    assert "último uso 01/03/2025 12:03 desde 192\\.0\\.2\\.9" in facts
    assert "no caduca" in facts


def test_an_expiry_is_told_before_and_after(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two weeks before it «Caduca pronto», afterwards «Caducada»; renewing is offered both times."""
    expires = bench.clock() + timedelta(days=5)
    issued = bench.keys.issue(ana.actor, ana.grant(bench, ISSUE_ACTION), "App", [Scope.READ], expires)
    before = open_page()
    monkeypatch.setitem(vars(bench.context), "clock", lambda: expires)
    carry_log_in(bench, ana.actor)
    after = open_page()

    assert "Caduca pronto" in texts_of(before)
    assert "caduca " in texts_of(before)
    assert "Caducada" not in texts_of(before)
    assert "Caducada" in texts_of(after)
    assert before.button(key=f"api_key_renew_{issued.id}").label == "Renovar"
    assert after.button(key=f"api_key_renew_{issued.id}").label == "Renovar"


def test_the_examples_name_the_real_address_and_the_python_one_runs(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One a language, none with a key in it; copied as it stands, it answers who calls."""
    key = issue_key(bench, ana).key.reveal()
    with serve_api(bench) as server:
        settings = bench.settings.model_copy(update={"public_url": server.url.removesuffix("/api/v1")})
        monkeypatch.setitem(vars(bench.context), "settings", settings)
        names = ("bash", "python", "javascript")
        examples = dict(zip(names, [code.value for code in open_page().main.code], strict=True))
        environment = {"CG_API_KEY": key, "PATH": ""}
        program = [sys.executable, "-c", examples["python"]]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert examples["javascript"].startswith("const response")
    assert all(f"{server.url}/me" in example for example in examples.values())
    assert examples["bash"].startswith("curl -H")
    assert "'username': 'ana'" in done.stdout, done.stderr


def test_the_address_shown_is_the_browsers_and_the_one_tried_is_the_own_socket(
    bench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the server was started; where Streamlit's setting points, another program may listen."""
    page = KeysPage(bench, ana.actor)
    headers = {"Host": "localhost:9000", "x-cg-place": "127.0.0.1:9001"}
    monkeypatch.setattr("pages.ui.server.st.context", SimpleNamespace(headers=headers))
    public = page.address
    monkeypatch.setitem(vars(bench.context), "settings", bench.settings.model_copy(update={"public_url": ""}))

    assert public == "https://facturas.ejemplo.es/api/v1"
    assert (page.address, page.own_address) == ("http://localhost:9000/api/v1", "http://127.0.0.1:9001")


def test_the_qr_code_says_address_and_code_and_no_key(
    open_page: Callable[[], AppTest], bench: Workbench, ana: Person
) -> None:
    """The picture is that of this text; nothing of it stays in the session afterwards."""
    at = open_page()
    pairing = bench.keys.pair_start(ana.actor, ana.grant(bench, PAIR_ACTION), "https://facturas.ejemplo.es/api/v1")
    code = pairing.code.reveal()
    drawing = io.BytesIO()
    expected = f"cloud-gestion:pair?api=https%3A%2F%2Ffacturas.ejemplo.es%2Fapi%2Fv1&code={quote(code)}"
    segno.make_qr(expected, error="m").save(drawing, kind="svg", xmldecl=False, nl=False, scale=6, light="white")
    at.session_state["api_key_held"] = pairing
    at.run()
    shown = str(at.get("image")[0].proto)
    at.button(key="api_key_pair_close").click().run()

    assert not at.exception
    assert b64encode(drawing.getvalue()).decode() in shown
    assert bench.keys.list_keys(ana.actor) == []
    assert code not in session_dump(at)
