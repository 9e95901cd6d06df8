"""«Bandeja de pruebas» on the page: refused without a log-in, empty, full, emptied; nothing of a mail is Markdown."""

from __future__ import annotations

import html
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor, Role
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, get_workbench
from cgcore.workbench.identity import NewUser
from pages.ui.preview import build_frame

ROOT = Path(__file__).parents[2]
PASSWORD = Secret("caballo correcto pila")
OPERATOR = Actor(user_id=0, username="consola", role=Role.ADMIN)


@pytest.fixture
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """The process's own workbench, over a temporary folder."""
    monkeypatch.setenv("CG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CG_CONFIG_DIR", str(tmp_path / "config"))
    get_workbench.cache_clear()
    workbench = get_workbench()
    workbench.identity.accounts.add_user(
        OPERATOR, NewUser("ana", PASSWORD, full_name="Ana Gil", mail="ana@tosma.example")
    )
    yield workbench
    workbench.close()
    get_workbench.cache_clear()


@pytest.fixture
def actor(workbench: Workbench) -> Actor:
    """The person who is logged in."""
    found = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    assert found is not None
    return found


@pytest.fixture
def open_page(workbench: Workbench, actor: Actor) -> Callable[[], AppTest]:
    """Open the page as that person."""

    def open_page() -> AppTest:
        at = AppTest.from_file(str(ROOT / "pages" / "workbench.py"), default_timeout=30)
        at.user = {"login": workbench.identity.sessions.sign_identity(actor.session_hash)}
        at.run()
        at.switch_page("sandbox.py").run()
        assert not at.exception
        return at

    return open_page


@pytest.fixture
def deliver(workbench: Workbench, actor: Actor) -> Callable[[EmailMessage], None]:
    """Send a message through the test mailbox."""

    def deliver(message: EmailMessage) -> None:
        draft = workbench.sandbox.use_for(actor)
        context = ssl.create_default_context(cafile=workbench.sandbox.probe_targets()[0].ca_file)
        with smtplib.SMTP(draft.smtp.host, int(draft.smtp.port), timeout=10) as client:
            client.starttls(context=context)
            assert draft.password is not None
            client.login(draft.user, draft.password.reveal())
            client.send_message(message)

    return deliver


def _message(subject: str, body: str = "<p>hola</p>", text: str = "texto llano") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ana <ana@tosma.example>", "cliente@example.test", subject
    message.set_content(text)
    message.add_alternative(body, subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Factura *7*.pdf")
    return message


def _markdown(at: AppTest) -> str:
    shown: list[Any] = [*at.markdown, *at.caption, *at.header, *at.info, *at.warning, *at.error]
    return "\n".join(str(element.value) for element in shown)


@pytest.mark.usefixtures("workbench")
def test_without_a_login_nothing_is_shown() -> None:
    """The page refuses a browser that the gate does not vouch for."""
    at = AppTest.from_file(str(ROOT / "pages" / "workbench.py"), default_timeout=30).run()

    assert len(at.error) == 1
    assert "bandeja" not in _markdown(at).lower()


def test_an_empty_mailbox_says_what_to_do(open_page: Callable[[], AppTest]) -> None:
    """It names the way to the first message, and there is nothing to empty."""
    at = open_page()

    assert "Aún no ha llegado nada" in _markdown(at)
    assert at.button(key="sandbox_clear").disabled is True
    assert not at.radio


def test_messages_are_listed_the_newest_first_and_opened(
    open_page: Callable[[], AppTest], deliver: Callable[[EmailMessage], None]
) -> None:
    """The newest is open; choosing another one opens that; text and headers are shown as they are."""
    deliver(_message("primera"))
    deliver(_message("segunda"))
    at = open_page()

    assert at.radio[0].options == ["segunda", "primera"]
    assert at.header[0].value == "segunda"

    at.radio[0].set_value(at.session_state["sandbox_selected"] - 1).run()

    assert not at.exception
    assert at.header[0].value == "primera"
    assert any("texto llano" in code.value for code in at.code)
    assert any("Delivered-To: cliente@example.test" in code.value for code in at.code)


def test_a_message_is_shown_by_its_parts(
    open_page: Callable[[], AppTest], deliver: Callable[[EmailMessage], None]
) -> None:
    """HTML in a frame that may run nothing and be nobody, then text, headers and attachments, each in its tab."""
    deliver(_message("Factura 7", body='<p id="body">hola</p><script>alert(1)</script>'))
    at = open_page()
    html_tab, text_tab, headers_tab, files_tab = at.tabs
    (frame,) = html_tab.get("iframe")
    drawn = frame.proto.srcdoc  # pyright: ignore[reportAttributeAccessIssue]

    assert [tab.label for tab in at.tabs] == ["HTML", "Texto", "Cabeceras", "Adjuntos (1)"]
    assert re.findall(r"<(?!/)(\w+)", drawn) == ["body", "iframe"]
    assert re.findall(r"sandbox=\S*", drawn) == ['sandbox=""']
    assert html.escape('<p id="body">hola</p>') in drawn
    assert at.get("html") == []
    assert [code.value.strip() for code in text_tab.code] == ["texto llano"]
    assert "Subject: Factura 7\n" in headers_tab.code[0].value
    assert [button.label for button in files_tab.download_button] == [r"Factura \_7\_\.pdf · 8 bytes"]


def test_messages_with_one_subject_are_told_apart(
    open_page: Callable[[], AppTest], deliver: Callable[[EmailMessage], None]
) -> None:
    """Whoever tries the same document again: the newest is open, and each of them can be."""
    for text in ("primera", "segunda", "tercera"):
        deliver(_message("Presupuesto 7", text=text))
    at = open_page()

    opened: list[str] = []
    for step in (0, 1, 1):
        at.radio[0].set_value(at.session_state["sandbox_selected"] - step).run()
        opened.append(at.code[0].value.strip())

    assert opened == ["tercera", "segunda", "primera"]


def test_nothing_of_a_message_becomes_markdown(
    open_page: Callable[[], AppTest], deliver: Callable[[EmailMessage], None]
) -> None:
    """A subject that is an image, a link or a colour is shown letter by letter: nothing is fetched."""
    hostile = "![x](https://tracker.example/p.png) [link](https://evil.example) :red[rojo] **negrita** <b>"
    deliver(_message(hostile))
    at = open_page()
    shown = "\n".join([_markdown(at), *at.radio[0].options])

    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(|(?<!\\):red|(?<!\\)\*\*neg|(?<!\\)<b>", shown)
    # The joiner is invisible, and keeps addresses from becoming links.
    assert re.sub(r"\\(.)", r"\1", at.header[0].value).replace("\u2060", "") == hostile


def test_emptying_asks_first_and_names_what_goes(
    workbench: Workbench, actor: Actor, open_page: Callable[[], AppTest], deliver: Callable[[EmailMessage], None]
) -> None:
    """The dialog says how many and which; nothing is gone before it is confirmed (the browser test confirms it)."""
    deliver(_message("la única"))
    at = open_page()
    at.button(key="sandbox_clear").click().run()

    assert "Se borrará el mensaje «la única»" in _markdown(at)
    assert len(workbench.sandbox.list_messages(actor)) == 1


def test_switched_off_it_says_who_can_switch_it_on(
    open_page: Callable[[], AppTest], workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the test mailbox there is neither a list nor a button."""
    monkeypatch.setattr(type(workbench.sandbox), "is_available", lambda _: False)
    at = open_page()

    assert "CG_SANDBOX=on" in _markdown(at)
    assert "sandbox_clear" not in [button.key for button in at.button]


def test_the_frame_has_no_rights_and_its_document_cannot_leave_it() -> None:
    """Whatever the document holds, the outer page has one frame, with an empty ``sandbox`` and a policy first."""
    document = '"></iframe><p>Texto</p><script>parent.document.title="x"</script><iframe src="https://evil.example">'
    frame = build_frame(document, 'título " onload="x')
    attributes = re.findall(r'srcdoc="([^"]*)"', frame)

    assert frame.count("<iframe") == 1
    assert "<script" not in frame
    assert 'sandbox=""' in frame
    assert " onload=" not in frame.replace("&quot; onload=", "")
    inner = html.unescape(attributes[0])
    assert "evil.example" not in inner
    assert "parent.document" not in inner
    assert -1 < inner.index("default-src 'none'") < inner.index("<p>Texto</p>")
