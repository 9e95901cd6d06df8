"""NUL, lone surrogates, escapes and a hundred thousand letters, at every edge: told in words, and nothing breaks."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.activity import Action, ActivityFilters
from cgcore.errors import InvalidInput, NotAllowed
from cgcore.identity.actor import Actor, Role
from cgcore.storage.tables import CompanyRow
from cgcore.vault.secret import Secret
from cgcore.web.api.app import build_app
from cgcore.web.api.scopes import Allowance
from cgcore.workbench import Workbench
from tests.servers.api_server import ApiServer, serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.asgi import open_product
from tests.servers.house import add_user
from tests.servers.pages import open_page, sign_in
from tests.servers.product import ROOT, product_environment

HOSTILE = {
    "nul": "a\x00b",
    "surrogate": "a\ud800b",
    "long": "a%_" * 33_000,
    "escapes": "a\x1b[2J\r\nb",
    "joined": "👩‍👩‍👧\u00a0\u200b\u00ad",
}
PAGES = [
    "overview.py", "mail_account.py", "sending_defaults.py", "series_defaults.py", "api_key.py", "sandbox.py",
    "activity.py", "administration.py", "profile.py",
]  # fmt: skip
# Each dialog that asks for a text, and the button that takes it.
DIALOGS = [
    ("ask_issue", "api_key_issue_run"),
    ("ask_renew", "api_key_renew_run"),
    ("ask_pairing", "api_key_pair_run"),
    ("ask_preferences", "send_document_preferences_save"),
]
each_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@pytest.fixture
def ana(workbench_on_each: Workbench) -> Actor:
    """An administrator, logged in."""
    return sign_in(workbench_on_each, "ana", Role.ADMIN)


@each_text
def test_every_search_finds_nothing_or_something(workbench_on_each: Workbench, ana: Actor, text: str) -> None:
    """On both databases: no fault, and what is not there is not found."""
    workbench_on_each.context.activity.record(ana, Action.KEY_REVOKED, text, detail=text)
    found: list[object] = [
        *workbench_on_each.users.list(ana, text=text)["items"],
        *workbench_on_each.series.list(ana, text=text)["items"],
        *workbench_on_each.activity.list(ana, filters=ActivityFilters(text=text))["items"],
        *workbench_on_each.activity.list(ana, filters=ActivityFilters(username=text, action=text))["items"],
    ]

    assert found == []
    assert workbench_on_each.users.list(ana, text="AN")["items"]
    assert workbench_on_each.series.defaults.get(ana, search=text).rows


@each_text
def test_a_log_in_with_it_is_the_normal_refusal(workbench_on_each: Workbench, ana: Actor, text: str) -> None:
    """Nobody of that name, in the form and below it, without a log-in: 401, never 500."""
    with pytest.raises(NotAllowed):
        workbench_on_each.identity.sessions.log_in(text, Secret(text), ip="192.0.2.1")
    with open_product(workbench_on_each) as client:
        body = "username=" + quote(text[:5000], errors="surrogatepass") + "&password=x"
        answer = client.post("/entrar", content=body, headers={"content-type": "application/x-www-form-urlencoded"})

    assert answer.status_code in (401, 429)
    assert workbench_on_each.identity.sessions.log_in("ana", Secret("una frase bastante larga"), ip="192.0.2.2")
    assert ana.username == "ana"


@each_text
def test_the_other_forms_refuse_it(workbench_on_each: Workbench, ana: Actor, text: str) -> None:
    """First use and new password, with it in the path, in each field and in headers."""
    del ana
    typed, kind = quote(text[:3000], errors="surrogatepass"), {"content-type": "application/x-www-form-urlencoded"}
    # What a server takes for a header at all.
    plain = "".join(sign for sign in text[:3000] if sign.isascii() and sign.isprintable())
    with open_product(workbench_on_each) as client:
        answers = [
            client.get("/nueva-contrasena/" + typed),
            client.post("/nueva-contrasena/" + typed, content="password=" + typed, headers=kind),
            client.post("/primer-uso", content=f"code={typed}&username={typed}&password={typed}", headers=kind),
            client.get("/entrar?next=" + typed + "&aviso=" + typed),
            client.get("/salud", headers={"user-agent": plain, "x-forwarded-for": plain}),
        ]

    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []


def smallest(schema: dict[str, Any], whole: dict[str, Any]) -> Any:
    """A value that a schema of the API's own description takes."""
    if "$ref" in schema:
        return smallest(whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0], whole)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind == "object":
        return {name: smallest(part, whole) for name, part in schema.get("properties", {}).items()}
    return {"string": "a", "integer": 1, "boolean": False, "array": []}.get(str(kind))


def with_each_text(value: Any, text: str) -> Iterator[Any]:
    """``value`` with ``text`` in the place of one of its texts after the other; and as a name of each object."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, dict):
        yield {**value, text: text}
        for name, part in value.items():
            for changed in with_each_text(part, text):
                yield {**value, name: changed}


@pytest.fixture
def api(workbench_on_each: Workbench) -> Iterator[ApiServer]:
    """The API over each database, without a limit of calls."""
    with serve_api(workbench_on_each, allowance=Allowance(capacity=10**9)) as server:
        yield server


@each_text
def test_every_parameter_and_member_of_the_api_refuses_it(
    workbench_on_each: Workbench, api: ApiServer, text: str
) -> None:
    """Each path, query, header and each text of each body: never 5xx, and a 422 names the field with a sentence."""
    key = issue_key(workbench_on_each, add_person(workbench_on_each, "ana")).key.reveal()
    whole = json.loads(api.client().get("/openapi.json").text)
    typed = quote(text[:2000], errors="surrogatepass")
    refusals: list[dict[str, Any]] = []
    tried = 0
    with api.client(key, **{"If-Match": "*"}) as client:
        for path, operations in whole["paths"].items():
            for method, operation in operations.items():
                if path.endswith(("/probe", "/roll")) or method == "delete":
                    continue  # they act on the key and the servers, and take no text that others do not
                place = path.removeprefix("/api/v1").replace("{type}", "quote")
                media = operation.get("requestBody", {}).get("content", {}).get("application/json")
                bodies = list(with_each_text(smallest(media["schema"], whole), text)) if media else [None]
                for body in bodies:
                    content = None if body is None else json.dumps(body)
                    headers = {"content-type": "application/json"} if content else {}
                    for url in (place, f"{place}?cursor={typed}&limit={typed}", path.replace("{type}", typed)):
                        answer = client.request(method, url.removeprefix("/api/v1"), content=content, headers=headers)
                        tried += 1
                        assert answer.status_code < 500, (method, url[:80], str(body)[:200], answer.text[:300])
                        if answer.status_code == 422:
                            refusals += answer.json()["errors"]

    assert tried > 30
    assert all(refusal["field"] and refusal["message"] for refusal in refusals)
    assert build_app(workbench_on_each)


# What is typed comes to more than a look: each page's buttons for it.
_TAKES_IT = ("Guardar", "profile_change_password", "api_key_check_run")


def _type_each(page: Any, where: tuple[object, ...]) -> Any:
    """Type each hostile text into each field of the page, one after the other, and press what takes it."""
    # A surrogate has no UTF-8: it does not come through the socket of a page.
    for text in (text for name, text in HOSTILE.items() if name != "surrogate"):
        for kind in ("text_input", "text_area"):
            for index in range(len(page.get(kind))):
                field = page.get(kind)[index]
                if not field.disabled:
                    page = field.set_value(text).run()
                    assert not page.exception, (*where, field.label, page.exception)
    for name in _TAKES_IT:
        for button in [button for button in page.button if name in (button.label, button.key) and not button.disabled]:
            page = button.click().run()
            assert not page.exception, (*where, name, page.exception)
            break
    return page


@pytest.mark.parametrize("script", PAGES)
def test_every_text_field_of_a_page_survives_it(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Typed into one field after the other, also those behind a button, and saved: no exception is drawn."""
    page: Any = open_page(monkeypatch, workbench, sign_in(workbench, "ana", Role.ADMIN), script)
    behind = {"series": "administration_series_new", "users": "administration_user_new"}
    panels = ("company", "series", "users", "sign_in") if script == "administration.py" else ("",)
    for panel in panels:
        page = page.segmented_control("administration_panel").set_value(panel).run() if panel else page
        page = _type_each(page, (script, panel))
        if panel in behind:
            page = page.button(behind[panel]).click().run()
            assert not page.button or behind[panel] not in [button.key for button in page.button]
            page = _type_each(page, (script, panel, "new"))


def _dialog_script(name: str) -> None:
    from cgcore.workbench import get_workbench
    from pages.ui.identity import require_actor
    from pages.ui.keys import dialogs
    from pages.ui.keys.view import KeysPage
    from pages.ui.outbox import preferences

    if name == "ask_preferences":
        preferences.ask_preferences(get_workbench(), require_actor())
        return
    page = KeysPage(get_workbench(), require_actor())
    getattr(dialogs, name)(page, *(page.keys[:1] if name == "ask_renew" else ()))


@pytest.mark.parametrize(("name", "submit"), DIALOGS)
def test_every_text_field_of_a_dialog_survives_it(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, name: str, submit: str
) -> None:
    """Typed into each field and sent: it is refused in the dialog, and nothing comes of it."""
    ana = add_person(workbench, "ana")
    issue_key(workbench, ana)
    for module in ("pages.ui.identity", "cgcore.workbench"):
        monkeypatch.setattr(f"{module}.get_workbench", lambda: workbench)
    page = AppTest.from_function(_dialog_script, kwargs={"name": name}, default_timeout=60)
    page.user = {"login": workbench.identity.sessions.sign_identity(ana.actor.session_hash)}
    page.run()
    fields = len(page.text_input)
    for text in (text for kind, text in HOSTILE.items() if kind != "surrogate"):
        for index in range(fields):
            page.text_input[index].set_value(text)
        page.button(submit).click().run()
        assert not page.exception, (text[:20], page.exception)

    assert fields > 0
    assert len(workbench.keys.list_keys(ana.actor)) == 1


def test_no_dialog_with_a_field_is_left_out() -> None:
    """Each dialog that asks for a text is walked through above; the others only ask yes or no."""
    asking: set[str] = set()
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("dialog" in ast.unparse(mark) for mark in node.decorator_list):
                calls = {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
                if calls & {"st.text_input", "st.text_area", "st.number_input", "st.chat_input", "ask_password"}:
                    asking.add(node.name)

    assert asking == {name for name, _submit in DIALOGS}


COMMANDS = [
    ["user", "add", "{}", "--role", "user", "--full-name", "{}", "--mail", "{}", "--password-stdin"],
    ["user", "password", "{}", "--password-stdin"],
    ["user", "disable", "{}"],
    ["export", "--user", "{}"],
    ["import", "{}", "--user", "{}"],
    ["render", "{}", "--json", "--user", "{}"],
    ["explain", "{}", "--stage", "{}", "--provider", "{}"],
    ["probe", "smtp", "--host", "{}", "--security", "{}", "--user", "{}", "--folder", "{}", "--password-stdin"],
    ["vault", "move", "{}"],
    ["{}"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_bytes_of_the_command_line_need_be_no_text(tmp_path: Path, command: list[str]) -> None:
    """As a shell gives them, on standard input too: an exit code of ours, and no traceback. Texts of every kind are in
    ``unit/test_cli_refusals.py``, for every option.
    """
    text = "a\x1b[2J\n👩‍👩‍👧".encode() + b"\xff\xfe"
    arguments = [text if part == "{}" else part.encode() for part in command]
    done = subprocess.run(
        [sys.executable, "-m", "cgcore", *arguments],
        env={**product_environment(tmp_path), "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"},
        input=text + b"\n",
        capture_output=True,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode in (0, 1, 2)
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr


@each_text
def test_whatever_edge_forgets_the_rule_the_database_is_never_asked(workbench_on_each: Workbench, text: str) -> None:
    """The same refusal on both databases for what one of them could not store; what is text is stored."""
    add_user(workbench_on_each, "luis")
    unstorable = "\x00" in text or "\ud800" in text

    def store() -> None:
        with workbench_on_each.database.session() as session:
            session.add(CompanyRow(name=text))

    if unstorable:
        with pytest.raises(InvalidInput) as caught:
            store()
        assert [problem.code for problem in caught.value.problems] == ["text_unprintable"]
    else:
        store()
    with workbench_on_each.database.read() as session:
        row = session.get(CompanyRow, 1)
        assert (row.name if row else None) == (None if unstorable else text)
