"""What people and servers call themselves is text on every page: no element, label or toast reads it as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlmodel import select, update
from streamlit.testing.v1 import AppTest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.identity.tokens import username_key
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.series.series import SeriesDraft
from cgcore.storage.tables import ApiKeyRow, MailAccountRow, SeriesRow, UserRow
from cgcore.workbench import Workbench
from cgcore.workbench.keys import ISSUE_ACTION
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.runs import Job
from pages.ui.toasts import announce
from tests.servers.pages import PASSWORD, open_page, panel, sign_in

assert announce  # the toasts are walked through as the rest

PIECES = ("**x**", "[a](http://b)", ":red[c]", "$x$", "<b>", ":smile:", "![i](http://e/x.png)")
HOSTILE = " ".join(PIECES)
# What the browser shows letter by letter, sends back, or never shows: the rest is read as Markdown.
PLAIN = {
    *("id", "key", "user_key", "value", "default", "raw_value", "set_value", "placeholder", "code_text", "url"),
    *("srcdoc", "json_args", "form_id", "help_url", "element_id", "formatted_options", "alt", "page_script_hash"),
    *("text.body", "selectbox.options", "page_link.page", "page_link.query_string", "iframe.title"),
}


def _strings(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        name = f"{path}.{field.name}" if path else field.name
        for each in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
            if isinstance(each, Message):
                yield from _strings(each, name)
            elif isinstance(each, str):
                yield name, each


def find_markup(page: AppTest) -> set[str]:
    """Return what of the page would show a hostile name as anything else than its letters."""
    found: set[str] = set()
    for node in _nodes(page):
        kind, proto = str(getattr(node, "type", "")), getattr(node, "proto", None)
        for path, text in _strings(proto) if isinstance(proto, Message) else ():
            if {path, path.rpartition(".")[2], f"{kind}.{path}"} & PLAIN or (kind == "markdown" and "`" in text):
                continue
            found |= {f"{kind}.{path}: {text[:200]}" for piece in PIECES if piece in text}
    for table in page.table:
        cells = [str(cell) for column in table.value.to_dict("list").values() for cell in column]
        found |= {f"table: {cell[:200]}" for cell in cells for piece in PIECES if piece in cell}
    return found


def _nodes(page: AppTest) -> Iterator[Any]:
    waiting: list[Any] = [page._tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += getattr(node, "children", {}).values()


def _rename(workbench: Workbench, actor: Actor) -> None:
    """Give everything the hostile name past all rules: a row of an older program, a restored one, a server's word."""
    with workbench.database.session() as session:
        session.exec(update(UserRow).values(full_name=HOSTILE, mail=HOSTILE))
        for user in session.exec(select(UserRow)).all():
            user.username = f"{user.username} {HOSTILE}"
            user.username_key = username_key(user.username)
        session.exec(update(SeriesRow).values(name=HOSTILE))
        session.exec(update(ApiKeyRow).values(device=HOSTILE, last_ip=HOSTILE))
        session.exec(update(MailAccountRow).values(user=HOSTILE, smtp_host=HOSTILE, sent_folder=HOSTILE))
    job = Job(_steps, lambda _steps, ms: Verdict("folder_missing", "append", ms, {"folder": HOSTILE}), _result)
    for cell in (Cell.SMTP, Cell.IMAP, Cell.TEST_MAIL, Cell.TEMPLATE_MAIL, Cell.API_KEY):
        list(workbench.runs.follow(actor, workbench.runs.start(actor, cell, "f", job)))


def _steps() -> Iterator[Step]:
    folders = [{"name": HOSTILE, "selectable": True, "use": ""}]
    listed = {"folders": folders, "recommended": HOSTILE, "reason": "name"}
    yield Step("imap", "dns", Status.OK, details={"a": [HOSTILE, HOSTILE]})
    yield Step("imap", "auth", Status.OK, reply=HOSTILE, details={"mechanism": HOSTILE})
    yield Step("imap", "list", Status.OK, details=listed)
    missing = {"folder": HOSTILE, "can_create": HOSTILE}
    yield Step("imap", "append", Status.ERROR, 1, HOSTILE, "folder_missing", details=missing, patch={"folder": HOSTILE})


def _result(*_given: object) -> dict[str, Any]:
    mail = {"sent": True, "recipient": HOSTILE, "queue_id": HOSTILE, "copy": "stored", "folder": HOSTILE}
    return {**mail, "status": 200, "phrase": HOSTILE, "answer": HOSTILE}


@pytest.fixture
def furnished(workbench: Workbench) -> Actor:
    """An administrator with one of everything, all of it called so."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    sign_in(workbench, "luis")
    workbench.mail_account.save(ana, workbench.sandbox.use_for(ana), version=0)
    workbench.series.add(ana, SeriesDraft("P", "x", next_numbers={DocumentType.QUOTE: 1}))
    workbench.series.defaults.save(ana, {DocumentType.QUOTE: "P"}, None)
    for version, words in enumerate((HOSTILE, f"{HOSTILE} {{nada}}")):
        workbench.templates.save(ana, DocumentType.QUOTE, words, "<p>x</p>", version=version)
    grant = workbench.identity.codes.issue_grant(ana, ISSUE_ACTION, PASSWORD)
    workbench.keys.issue(ana, grant, "App", frozenset(Scope))
    workbench.company.save(ana, CompanyDraft(HOSTILE, "", HOSTILE), workbench.company.get(ana).version)
    workbench.activity.list(ana)
    list(workbench.runs.follow(ana, workbench.series.checks.start(ana)))
    _deliver(workbench, ana)
    _hand_in(workbench, ana)
    _rename(workbench, ana)
    return ana


def _deliver(workbench: Workbench, actor: Actor) -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "ana@ejemplo.es", HOSTILE
    message.set_content("x")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename=HOSTILE)
    run = workbench.mail_runs.start_message(actor, Cell.TEMPLATE_MAIL, message, "cliente@ejemplo.es")
    list(workbench.runs.follow(actor, run))


def _hand_in(workbench: Workbench, actor: Actor) -> None:
    to = [f"{HOSTILE.replace('<b>', '')} <ana@ejemplo.es>"]
    texts: dict[str, Any] = {"subject": HOSTILE, "body": "<p>x</p>", "signature": "<p>x</p>"}
    document = DocumentRequest(DocumentType.QUOTE, "P", "**x** [a](http://b) $x$", to, customer=HOSTILE, **texts)
    workbench.outbox.send(actor, document, "k")


def _click(page: AppTest, *keys: str) -> AppTest:
    for key in keys:
        page = page.button(key).click().run()
    return page


def _users(page: AppTest) -> Iterator[AppTest]:
    page = panel(page, "users")
    yield page
    edits = [str(button.key) for button in page.button if str(button.key).startswith("administration_user_edit_")]
    page = _click(page, edits[-1])
    yield page
    for act in ("link", "end", "disable"):
        yield _click(page, f"administration_user_{act}")


def _series(page: AppTest) -> Iterator[AppTest]:
    page = panel(page, "series")
    yield page
    page = _click(page, "administration_series_edit_P")
    yield page
    yield _click(page, "administration_series_delete")


def _keys(page: AppTest) -> Iterator[AppTest]:
    for act in ("renew", "revoke"):
        key = next(str(each.key) for each in page.button if str(each.key).startswith(f"api_key_{act}_"))
        yield _click(page, key)


def _other(page: AppTest) -> Iterator[AppTest]:
    targets = page.segmented_control("series_defaults_target")
    for target in targets.options[1:]:
        yield page.segmented_control("series_defaults_target").set_value(target).run()


def _document(page: AppTest) -> Iterator[AppTest]:
    page.session_state["send_document_tab"] = "Enviados"
    yield page.run()


WAYS: dict[str, list[Callable[[AppTest], Iterator[AppTest]]]] = {
    "administration.py": [_users, _series],
    "api_key.py": [_keys],
    "series_defaults.py": [],
    "overview.py": [],
    "mail_account.py": [],
    "sending_defaults.py": [],
    "sandbox.py": [],
    "send_document.py": [_document],
    "activity.py": [],
    "profile.py": [],
}


@pytest.mark.parametrize("script", WAYS)
def test_a_hostile_name_is_text(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, furnished: Actor, script: str
) -> None:
    """Of a person, company, series, key, folder, host, subject, file: in every element, label, help and toast."""
    page = open_page(monkeypatch, workbench, furnished, script)
    found, seen = find_markup(page), str(page)
    for way in WAYS[script]:
        for step in way(page):
            assert not step.exception
            found |= find_markup(step)

    assert not page.exception
    assert found == set()
    assert "x.png" in seen.replace("\\", "")


def test_the_walk_finds_what_is_read_as_markdown() -> None:
    """In elements, labels, help, options, tables and toasts; what is shown letter by letter is left alone."""

    def script(name: str) -> None:
        import streamlit as st

        st.caption(name)
        st.button(name, key="a", help=name)
        st.radio("x", [name], captions=[name])
        st.expander(name)
        st.tabs([name])
        st.table({name: [name]})
        st.toast(name)
        st.error("x", title=name)
        st.progress(1.0, text=name)
        st.sidebar.markdown(name)
        st.text(name)
        st.code(name)
        st.text_input("x", value=name, placeholder=name)
        st.selectbox("x", [name])

    page = AppTest.from_function(script, args=(HOSTILE,), default_timeout=30).run()
    kinds = {each.partition(":")[0] for each in find_markup(page)}

    assert kinds >= {"caption.body", "button.label", "button.help", "table", "toast.body"}
    assert len(kinds) >= 10
    assert not any(kind.startswith(("text.", "code", "text_input", "selectbox")) for kind in kinds)
