"""A second language switches all that somebody reads, without a restart; nothing keeps an old sentence."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from cgcore.cli import main
from cgcore.documents import DocumentType
from cgcore.errors import StorageError
from cgcore.identity.actor import Actor, Role
from cgcore.language import speaking
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.mail.message import build_test_message
from cgcore.settings import Settings
from cgcore.storage.tables import UserRow
from cgcore.vault import PlaceKind, Secret, VaultPlace
from cgcore.vault.texts import place_text
from cgcore.web.app_page import AppPage
from cgcore.web.assets import AssetFolder
from cgcore.workbench import Workbench
from tests.servers.api_server import serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.asgi import SITE, open_product
from tests.servers.house import add_series
from tests.servers.pages import PASSWORD, open_page, panel, sign_in
from tests.servers.pseudo import LANGUAGE, find_unmarked, speak_pseudo

ROOT = Path(__file__).parents[2]
SCRIPTS = (
    "overview.py", "mail_account.py", "sending_defaults.py", "series_defaults.py", "api_key.py", "sandbox.py",
    "activity.py", "administration.py", "profile.py", "send_document.py",
)  # fmt: skip
JSON = {"Content-Type": "application/json", "If-Match": '"0"'}
# What an element holds that nobody reads: identities, addresses, icons, code, and what a person wrote.
_UNREAD = {
    "id", "element_id", "form_id", "url", "icon", "page", "page_script_hash", "body_hash", "script_path", "language",
    "query_string", "page_name_hash", "src", "url_pathname", "default", "raw_values", "default_value", "label_type",
}  # fmt: skip
# The same of what the editor takes: codes, names of variables as they are written, a customer's words.
_UNREAD_BY_THE_EDITOR = {"default", "defaultValue", "key", "name", "palette", "sample", "subject", "toolbar"}


@pytest.fixture(autouse=True)
def _pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from speak_pseudo(monkeypatch)


def _set_locale(workbench: Workbench, actor: Actor) -> None:
    with workbench.database.session() as session:
        row = session.get(UserRow, actor.user_id)
        assert row is not None
        row.locale = LANGUAGE
        session.add(row)


@pytest.fixture
def admin(workbench: Workbench) -> Actor:
    """An administrator who reads the second language, with a series and a key."""
    actor = sign_in(workbench, "anna", Role.ADMIN)
    _set_locale(workbench, actor)
    add_series(workbench, actor, "F", DocumentType.SALES_INVOICE)
    return actor


def _strings(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.name in _UNREAD:
            continue
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                yield from _strings(item)
            elif field.name == "json_args":
                yield from _values(json.loads(item), _UNREAD_BY_THE_EDITOR)
            elif isinstance(item, str):
                yield item


def _shown(block: Block) -> Iterator[str]:
    proto = block.proto
    if isinstance(proto, Message):
        yield from _strings(proto)
    for child in block.children.values():
        if isinstance(child, Block):
            yield from _shown(child)
        elif isinstance(child.proto, Message):
            yield from _strings(child.proto)


def _unmarked(page: AppTest) -> list[str]:
    assert not page.exception
    found = {find_unmarked(words) for root in (page.main, page.sidebar) for words in _shown(root)}
    return sorted(found - {""})


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_page_is_read_in_the_language_of_its_reader(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, script: str
) -> None:
    """No word of the first language is left; somebody else reads the same page in it."""
    page = open_page(monkeypatch, workbench, admin, script)
    left = [_unmarked(page)]
    if script == "administration.py":
        with speaking(LANGUAGE):  # the driver formats what is chosen by itself
            left += [_unmarked(panel(page, name)) for name in ("series", "users", "copy")]
    other = open_page(monkeypatch, workbench, sign_in(workbench, "luis", Role.ADMIN), script)

    assert [words for of_panel in left for words in of_panel] == []
    assert "⟦" not in "".join(_shown(other.main))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_button_of_a_page_answers_in_the_language_of_its_reader(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, admin: Actor, script: str
) -> None:
    """The dialogs, what a run shows, what is wrong with an empty or a false field, what was done."""
    workbench.mail_account.save(admin, MailAccountDraft("anna@a.example", smtp=ServerDraft("127.0.0.1", 1)), version=0)
    page = open_page(monkeypatch, workbench, admin, script)
    left: dict[str, list[str]] = {}
    with speaking(LANGUAGE):  # the driver formats what is chosen by itself
        for key in [button.key for button in page.button if button.key and not button.disabled]:
            found = [button for button in page.button if button.key == key and not button.disabled]
            if found:
                left[key] = _unmarked(found[0].click().run())

    assert {key: words for key, words in left.items() if words} == {}


def test_the_api_answers_in_the_language_of_its_caller(workbench: Workbench) -> None:
    """Answers, refusals, the stream of a probe and the description; without a key the browser's list counts."""
    person = add_person(workbench, "anna", role=Role.ADMIN)
    _set_locale(workbench, person.actor)
    key = issue_key(workbench, person, "App").key.reveal()
    with serve_api(workbench) as server, server.client() as client:
        client.headers["Authorization"] = f"Bearer {key}"
        answers = [
            client.get("/document-types"),
            client.get("/nothing"),
            client.put("/mail-account", json={"smtp": {"port": "x"}}, headers={"If-Match": '"0"'}),
            client.patch("/mail-account", json={"smtp": {"host": "a..b"}}, headers={"If-Match": '"0"'}),
            client.post("/templates/quote/render", json={"subject": "{numerp}"}),
            client.post("/explain", json={"protocol": "smtp", "text": "535 5.7.8 bad credentials"}),
            client.get("/openapi.json", headers={"Accept-Language": "xx"}),
        ]
        known = [client.get("/openapi.json").text, *(answer.text for answer in answers)]
        client.headers.pop("Authorization")
        refused = [client.get("/me", headers={"Accept-Language": wanted}).text for wanted in ("de, xx;q=0.5", "es")]

    left = [find_unmarked(words) for answer in answers for words in _values(answer.json())]
    assert [words for words in left if words] == []
    assert all("⟦" in text for text in known[2:])
    assert ["⟦" in text for text in (*refused, known[0])] == [True, False, False]


def test_every_reading_and_every_probe_of_the_api_is_in_the_language_of_its_caller(workbench: Workbench) -> None:
    """Each address that is read, one that takes no such body, and the lines of a probe as they come."""
    person = add_person(workbench, "anna", role=Role.ADMIN)
    _set_locale(workbench, person.actor)
    key = issue_key(workbench, person, "App").key.reveal()
    server = {"host": "127.0.0.1", "port": 1, "security": "none"}
    with serve_api(workbench) as served, served.client() as client:
        client.headers.update({"Authorization": f"Bearer {key}", "Accept-Language": LANGUAGE})
        paths = client.get("/openapi.json").json()["paths"]
        ways = [(way, path.replace("{type}", "quote")) for path, known in paths.items() for way in known]
        read = [path for way, path in ways if way == "get"]
        written = [(way, path) for way, path in ways if way not in ("get", "delete")]
        answers = [client.get(path) for path in read]
        answers += [client.request(way, path, content=b"{", headers=JSON) for way, path in written]
        probe = client.post("/mail-account/probe", json={"leg": "smtp", "user": "a@b.example", "smtp": server})
    lines = [json.loads(line) for line in probe.text.splitlines()]
    told = [words for answer in answers if answer.content for words in _values(answer.json())]
    left = [find_unmarked(words) for words in [*told, *_values(lines)]]

    assert (len(read) > 6, len(written) > 8) == (True, True)
    assert [words for words in left if words] == []
    assert "⟦" in lines[-1]["title"]


def _values(value: Any, unread: Collection[str] = ()) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name not in unread:
                yield from _values(entry, unread)
    elif isinstance(value, list):
        for entry in value:
            yield from _values(entry, unread)


def test_the_log_in_pages_speak_the_browsers_language(workbench: Workbench) -> None:
    """The page, its refusal, and the page of a link that is dead; another browser reads Spanish all the while."""
    sign_in(workbench, "anna")
    client = open_product(workbench)
    wanted = {"Accept-Language": "xx-XX, es;q=0.3"}
    form = {"username": "anna", "password": "wrong", "next": "/"}
    texts = [
        client.get("/entrar", headers=wanted).text,
        client.post("/entrar", data=form, headers={**wanted, "Origin": "http://localhost:8501"}).text,
        client.get("/nueva-contrasena/nothing", headers=wanted).text,
    ]
    lines = [line for text in texts for line in _body_lines(text)]

    assert [words for words in map(find_unmarked, lines) if words] == []
    assert "⟦" in texts[0]
    assert "⟦" not in client.get("/entrar").text


def test_what_surrounds_the_pages_speaks_the_language_of_the_person(workbench: Workbench, tmp_path: Path) -> None:
    """The first use; the frame of a page, where there is no page, and where the database fails; others read Spanish."""
    wanted = {"Accept-Language": "xx"}
    (tmp_path / "index.html").write_text('<html lang="en"><head><title>x</title></head><noscript>x</noscript></html>')
    app = AppPage(tmp_path / "index.html", AssetFolder(tmp_path), ["actividad"])
    first = open_product(workbench).get("/primer-uso", headers=wanted)
    _set_locale(workbench, sign_in(workbench, "anna"))
    sign_in(workbench, "luis")
    answers: dict[str, list[str]] = {}
    for name in ("anna", "luis", "anna"):
        client = open_product(workbench, page=app)
        client.post("/entrar", data={"username": name, "password": PASSWORD.reveal()}, headers={"Origin": SITE})
        answers[name] = [client.get(path).text for path in ("/actividad", "/nada")]
    with closing_database(workbench):
        failed = client.get("/actividad", headers=wanted)
    lines = [line for text in (first.text, answers["anna"][1], failed.text) for line in _body_lines(text)]

    assert [words for words in map(find_unmarked, lines) if words] == []
    assert ("⟦" in first.text, failed.status_code, "⟦" in failed.text) == (True, 503, True)
    assert ["⟦" in text for text in (*answers["anna"], *answers["luis"])] == [True, True, False, False]


@contextmanager
def closing_database(workbench: Workbench) -> Iterator[None]:
    """Let the log-in be looked up in a database that fails."""

    def fail(token: Secret) -> Actor:
        del token
        raise StorageError("gone", code="storage_away")

    sessions = workbench.identity.sessions
    kept, sessions.find_actor_by_cookie = sessions.find_actor_by_cookie, fail
    try:
        yield
    finally:
        sessions.find_actor_by_cookie = kept


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"], ["check"], ["explain", "--protocol", "smtp", "535 5.7.8 bad credentials"],
        ["probe", "smtp", "--host", "127.0.0.1", "--port", "1", "--security", "none"], ["user", "password", "nobody"],
        ["vault", "move", "nowhere"], ["export", "--user", "nobody"],
    ],
)  # fmt: skip
def test_the_command_line_speaks_the_language_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    """What is done, what is wrong and what to do, whatever language the one before was told in."""
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    monkeypatch.setenv("CG_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a long enough phrase\n")))
    with pytest.raises(SystemExit):
        copy_context().run(main, arguments)
    told = "".join(capsys.readouterr())

    assert "⟦" in told
    assert [words for words in map(find_unmarked, told.splitlines()) if words] == []


def _body_lines(html: str) -> list[str]:
    import re

    body = html[html.index("<body") :] if "<body" in html else html
    return re.sub(r"<[^>]*>", "\n", re.sub(r"(?s)<(script|style).*?</\1>", "", body)).splitlines()


def test_a_mail_of_ours_is_written_in_the_language_of_its_sender() -> None:
    """Subject, text and HTML of the test mail."""
    with speaking(LANGUAGE):
        message = build_test_message(sender="a@b.example", recipient="c@d.example", read_receipt=True)
    plain = message.get_body(("plain",))
    assert plain is not None

    assert find_unmarked(str(message["Subject"])) == ""
    assert find_unmarked(plain.get_content()) == ""


@pytest.mark.parametrize("place", [
    VaultPlace(PlaceKind.ENCRYPTED, location="here", reason="keyring_none"),
    VaultPlace(PlaceKind.BLOCKED, reason="master_key_wrong"),
])  # fmt: skip
def test_what_is_said_of_the_vault_is_made_where_it_is_shown(settings: Settings, place: VaultPlace) -> None:
    """Told once, read in two languages: title, detail with its reason, and what to do."""
    said = place_text(place, settings)
    spanish = str(said)
    with speaking(LANGUAGE):
        other = str(said)

    assert ("⟦" in spanish, "⟦" in other) == (False, True)
    assert find_unmarked(other) == ""


def test_no_wording_is_read_while_a_module_is_imported() -> None:
    """A module body, a class body, a decorator or a default would keep the language of the first visitor."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((*(ROOT / "pages/ui").rglob("*.py"), *(ROOT / "cgcore").rglob("*.py")))
        for line in _read_at_import(ast.parse(path.read_text("utf-8")))
    ]

    assert found == []


def _read_at_import(tree: ast.Module) -> Iterator[int]:
    files = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pages.ui.texts"
        for alias in node.names
    }
    calls = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("cgcore.texts", "cgcore.documents")
        for alias in node.names
        if alias.name in ("sentence", "lookup", "wordings", "type_label")
    }
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
            continue
        if isinstance(node, ast.Attribute | ast.Subscript) and getattr(node.value, "id", "") in files:
            yield node.lineno
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in calls:
            yield node.lineno
        waiting += ast.iter_child_nodes(node)
