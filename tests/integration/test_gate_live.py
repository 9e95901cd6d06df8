"""The gate in the running product: takeover, foreign callers, headers, restart, and pages without it."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from sqlmodel import col, update
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from cgcore.company.company import CompanyDraft
from cgcore.identity.actor import Actor, Role
from cgcore.storage.tables import LoginSessionRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, get_workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars
from tests.servers.daemon import free_ports
from tests.servers.house import open_beside
from tests.servers.product import ADMIN, PASSWORD, ROOT, Product, product_environment, run_product

OPERATOR = Actor(0, "", role=Role.ADMIN)
ROUTER = ROOT / "pages" / "workbench.py"


@contextmanager
def _log_in(product: Product, user: str = ADMIN) -> Generator[httpx.Client]:
    with httpx.Client(base_url=product.url, headers={"origin": product.url}, timeout=20) as client:
        answer = client.post("/entrar", data={"username": user, "password": PASSWORD, "next": "/"})
        assert answer.status_code == 303
        yield client


def _connect(
    product: Product, client: httpx.Client | None = None, resume: str = "", **headers: str
) -> AbstractContextManager[ClientConnection]:
    """Open the page's websocket with the client's cookies, asking to resume the session ``resume``."""
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items()) if client else ""
    sent = {"Origin": product.url, "Cookie": cookies, **headers}
    return connect(
        f"ws://{urlsplit(product.url).netloc}/_stcore/stream",
        additional_headers={name: value for name, value in sent.items() if value},
        subprotocols=[Subprotocol(part) for part in ("streamlit", "none", resume) if part],
        max_size=None,
        open_timeout=20,
    )


def _run_script(socket: ClientConnection, page: str = "") -> tuple[str, str]:
    """Ask for a run; return the Streamlit session id, and everything the page was sent, as text."""
    request = BackMsg()
    request.rerun_script.query_string = ""
    request.rerun_script.page_name = page
    socket.send(request.SerializeToString())
    session_id, texts = "", []
    while True:
        message = ForwardMsg.FromString(bytes(socket.recv(timeout=30, decode=False)))
        texts.append(str(message))
        if message.HasField("new_session"):
            session_id = message.new_session.initialize.session_id
        if message.HasField("script_finished"):
            return session_id, "\n".join(texts)


def _read_to_the_end(socket: ClientConnection) -> ForwardMsg:
    """Return the last message before the server closed."""
    last = ForwardMsg()
    try:
        while True:
            last = ForwardMsg.FromString(bytes(socket.recv(timeout=30, decode=False)))
    except ConnectionClosed:
        return last


@pytest.fixture(scope="module")
def victim(product: Product) -> Iterator[httpx.Client]:
    """The administrator, logged in."""
    with _log_in(product) as client:
        yield client


@pytest.mark.parametrize("connected", [True, False], ids=["while connected", "after it left"])
def test_somebodys_session_id_is_worth_nothing(product: Product, victim: httpx.Client, connected: bool) -> None:
    """Neither a stranger nor another log-in resumes it; its owner does."""
    with ExitStack() as stack:
        socket = stack.enter_context(_connect(product, victim))
        session_id, _ = _run_script(socket)
        if not connected:
            stack.close()
        with pytest.raises(InvalidStatus) as stranger, _connect(product, resume=session_id):
            pass
        with _log_in(product) as other, _connect(product, other, resume=session_id) as attack:
            stolen_id, _ = _run_script(attack)

    with _connect(product, victim, resume=session_id) as own:
        resumed_id, _ = _run_script(own)
    assert stranger.value.response.status_code == 403
    assert stolen_id not in ("", session_id)
    assert resumed_id == session_id != ""


def test_one_tab_too_many_is_told_so_and_harms_nobody(product: Product, victim: httpx.Client) -> None:
    """It is sent to a page that says it; the others go on, a colleague gets in, and one that is closed makes room."""
    with open_beside(product) as workbench:
        workbench.identity.accounts.add_user(
            Actor(0, "", role=Role.ADMIN), NewUser("colega", Secret(PASSWORD), "", "", Role.USER)
        )
    with ExitStack() as stack, _log_in(product) as again:
        tabs = [stack.enter_context(_connect(product, client)) for client in (victim, again) for _ in range(15)]
        with _connect(product, again) as crowded:
            told = _read_to_the_end(crowded)
        page = victim.get(told.auth_redirect.url)
        first, _ = _run_script(tabs[0])
        with _log_in(product, "colega") as colleague, _connect(product, colleague) as other:
            theirs, _ = _run_script(other)
        tabs[0].close()
        with _connect(product, again) as fits:
            mine, _ = _run_script(fits)

    assert told.auth_redirect.url == "/demasiadas-pestanas"
    assert page.status_code == 429
    assert "Demasiadas pestañas abiertas" in page.text
    assert "" not in (first, theirs, mine)


def test_a_thousand_silent_connections_stop_nobody_and_fill_no_log(product: Product, victim: httpx.Client) -> None:
    """Requests are answered, the page is drawn, and the log says next to nothing of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    before = product.log.stat().st_size
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(socket.create_connection(("127.0.0.1", product.port), timeout=20))
        with httpx.Client(base_url=product.url, timeout=20) as stranger:
            health = stranger.get("/salud")
        with _connect(product, victim) as tab:
            drawn, _ = _run_script(tab)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert health.status_code == 200
    assert drawn
    assert product.log.stat().st_size - before < 20_000


def _put(client: httpx.Client, tab: str, file: str, size: int) -> int:
    token = client.cookies["_streamlit_xsrf"]
    files = {"file": ("a.json", b"x" * size, "application/json")}
    address = f"/_stcore/upload_file/{tab}/{file}"
    return client.put(address, files=files, headers={"x-xsrftoken": token}).status_code


def test_a_file_is_taken_by_the_own_page_while_it_draws_an_uploader(product: Product, victim: httpx.Client) -> None:
    """Not by one without, not from another log-in of the same person; five of 24 MB at once are too many."""
    victim.get("/_stcore/health")
    with _log_in(product) as other, _connect(product, victim) as socket:
        other.get("/_stcore/health")
        tab, _ = _run_script(socket, "api-key")
        without = _put(victim, tab, "a", 10)
        assert _run_script(socket, "administracion")[0] == tab
        foreign = _put(other, tab, "a", 10)
        own = [_put(victim, tab, f"file{number}", 24 << 20) for number in range(5)]
        assert _run_script(socket, "api-key")[0] == tab
        left = _put(victim, tab, "b", 10)

    assert without == foreign == left == 403
    assert own == [204, 204, 204, 204, 413]


def _ask_for(socket: ClientConnection, tab: str, file_id: str) -> tuple[str, str]:
    """Ask, in the session ``tab``, for the download that waits under ``file_id``, as its button does.

    Return its address, or ``""`` and what is said instead; of a tab that is sent away, where to.
    """
    request = BackMsg()
    request.backend_operation_request.request_id = request.backend_operation_request.session_id = tab
    request.backend_operation_request.deferred_file.file_id = file_id
    socket.send(request.SerializeToString())
    while True:
        message = ForwardMsg.FromString(bytes(socket.recv(timeout=30, decode=False)))
        if message.HasField("auth_redirect"):
            return "", message.auth_redirect.url
        if message.HasField("backend_operation_response"):
            answer = message.backend_operation_response
            return answer.deferred_file.url, answer.error_msg


def _found(what: str, texts: str) -> str:
    found = re.search(what, texts)
    assert found is not None
    return found[1]


def _add_person(product: Product, name: str, role: Role = Role.USER) -> None:
    with open_beside(product) as workbench:
        workbench.identity.accounts.add_user(OPERATOR, NewUser(name, Secret(PASSWORD), "", "", role))


def test_a_download_is_made_and_given_only_where_it_was_drawn(product: Product, victim: httpx.Client) -> None:
    """Whoever copies its ids, colleague or second log-in of the same person, gets neither; the pictures likewise."""
    _add_person(product, "eva")
    with ExitStack() as stack:
        clients = victim, *(stack.enter_context(_log_in(product, user)) for user in ("eva", ADMIN))
        sockets = [stack.enter_context(_connect(product, client)) for client in clients]
        tabs = [_run_script(socket, "mi-usuario") for socket in sockets]
        waiting = _found(r'deferred_file_id: "(\w+)"', tabs[0][1])
        stolen = [_ask_for(socket, tab, waiting) for socket, (tab, _) in list(zip(sockets, tabs, strict=True))[1:]]
        claimed = _ask_for(sockets[1], tabs[0][0], waiting)
        made, _ = _ask_for(sockets[0], tabs[0][0], waiting)
        with open_beside(product) as workbench:
            draft = CompanyDraft("Tosma", logo=_png())
            workbench.company.save(OPERATOR, draft, workbench.company.get(OPERATOR).version)
        picture = _found(r"(/media/\w+\.(?:png|jpg))", _run_script(sockets[0], "administracion")[1])
        with httpx.Client(base_url=product.url) as stranger:
            for client in (*clients[1:], stranger):
                statuses = {client.request(how, made).status_code for how in ("GET", "HEAD")}
                statuses |= {client.get(each).status_code for each in (picture, made.replace("/media", "/%6dedia"))}
                assert statuses == {404}
        own = [victim.get(made), victim.get(picture)]

    assert stolen == [("", "Esta descarga ya no está. Vuelve a cargar la página.")] * 2
    assert claimed[0] == ""
    assert [answer.status_code for answer in own] == [200, 200]
    assert own[0].json()["users"][0]["name"] == ADMIN
    assert own[1].headers["content-type"].startswith("image/")
    assert {answer.headers["cache-control"] for answer in own} == {"no-store, no-transform"}


def _png() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 20), "navy").save(out, "PNG")
    return out.getvalue()


def _end(workbench: Workbench, name: str) -> None:
    workbench.identity.accounts.end_sessions_of(OPERATOR, name)


def _demote(workbench: Workbench, name: str) -> None:
    workbench.users.save(OPERATOR, name, Particulars("", "", Role.USER), workbench.users.get(OPERATOR, name).version)


def _leave_alone(workbench: Workbench, name: str) -> None:
    idle, own = workbench.clock() - timedelta(minutes=31), workbench.users.get(OPERATOR, name).id
    with workbench.database.session() as session:
        session.exec(update(LoginSessionRow).where(col(LoginSessionRow.user_id) == own).values(last_seen=idle))


_OVER = "Tu sesión ha terminado. Entra de nuevo para seguir."


# Whoever finds out that a log-in is overdue ends it, and all its tabs.
@pytest.mark.parametrize(("withdraw", "said"), [(_end, _OVER), (_demote, _OVER), (_leave_alone, "/entrar?aviso=fin")])
def test_an_open_tab_whose_log_in_is_over_gets_no_file(
    product: Product, withdraw: Callable[[Workbench, str], None], said: str
) -> None:
    """Its waiting download says so in Spanish and in one line of the log; what was made before is gone."""
    name = f"zoe{withdraw.__name__}"
    _add_person(product, name, Role.ADMIN)
    with _log_in(product, name) as client, _connect(product, client) as socket:
        tab, drawn = _run_script(socket, "actividad")
        waiting = _found(r'deferred_file_id: "(\w+)"', drawn)
        made, _ = _ask_for(socket, tab, waiting)
        before = client.get(made)
        with open_beside(product) as workbench:
            withdraw(workbench, name)
        refused, after = _ask_for(socket, tab, waiting), client.get(made)
        log = product.log.read_text()

    assert before.status_code == 200
    assert name in before.text
    assert refused == ("", said)
    assert (after.status_code, name in after.text) == (404, False)
    assert "a download was not made (login_ended)" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "", "User-Agent": "Mozilla/5.0"},
        {"Cookie": ""},
        {"Cookie": "cg_session=forged"},
    ],
)
def test_a_foreign_websocket_is_not_opened(product: Product, victim: httpx.Client, headers: dict[str, str]) -> None:
    """Even with the victim's cookie: that is what a foreign page would make the browser send."""
    with pytest.raises(InvalidStatus) as refused, _connect(product, victim, **headers):
        pass

    assert refused.value.response.status_code == 403


def test_a_foreign_host_or_form_is_refused(victim: httpx.Client) -> None:
    """DNS rebinding and cross-site forms, for a logged-in browser."""
    assert victim.get("/", headers={"host": "evil.example"}).status_code == 400
    assert victim.post("/salir", headers={"origin": "https://evil.example"}).status_code == 403
    assert victim.put("/_stcore/upload_file/a/b", headers={"origin": "null"}).status_code == 403
    assert victim.get("/").status_code == 200


def test_a_client_cannot_choose_its_source(product: Product) -> None:
    """A forwarded address from a peer that is no trusted proxy does not start the count anew."""
    answers = []
    with httpx.Client(base_url=product.url) as client:
        for number in range(8):
            claim = {"x-forwarded-for": f"198.51.100.{number}"}
            fields = {"username": f"nadie{number}", "password": "no es esta"}
            answers.append(client.post("/entrar", data=fields, headers=claim).status_code)

    assert 429 in answers


def test_every_kind_of_answer_has_the_headers(product: Product, victim: httpx.Client) -> None:
    """Pages, files, redirects, refusals, unknown paths, the API."""
    with httpx.Client(base_url=product.url) as stranger:
        answers = [
            *(victim.get(path) for path in ("/", "/cuenta-mail", "/_stcore/health", "/static/none.js", "/favicon.png")),
            *(
                stranger.get(path)
                for path in ("/", "/entrar", "/salud", "/api/v1/none", "/primer-uso", "/nueva-contrasena/x")
            ),
            stranger.post("/entrar", data={"username": "eva", "password": "no es esta"}),
            stranger.post("/entrar", headers={"origin": "null"}),
            stranger.get("/", headers={"host": "evil.example"}),
            stranger.delete("/entrar"),
        ]
        editor = victim.get("/component/streamlit_quill.streamlit_quill/index.html")

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url
        assert answer.headers["referrer-policy"] == "same-origin", answer.url
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], answer.url
    assert {answer.status_code for answer in answers} >= {200, 303, 400, 401, 403, 405, 410}
    assert "frame-ancestors 'self'" in editor.headers["content-security-policy"]


def test_nothing_of_streamlit_answers_a_stranger(product: Product) -> None:
    """Its own open addresses stand behind the gate as well; that of its health is ours."""
    paths = ["host-config", "metrics", "agent/openapi.json", "agent/interact", "script-health-check"]
    with httpx.Client(base_url=product.url) as stranger:
        statuses = {path: stranger.get(f"/_stcore/{path}").status_code for path in paths}
        shell, health = stranger.get("/api/v1"), stranger.get("/_stcore/health")

    assert "instance" in health.json()
    assert "set-cookie" not in health.headers
    assert set(statuses.values()) == {303}
    assert shell.status_code == 303


def test_a_restart_keeps_the_log_in_and_a_log_out_ends_it(tmp_path: Path) -> None:
    """The cookie opens the new process too; after the log-out the open websocket is closed and no other opens."""
    with run_product(tmp_path) as first, _log_in(first) as client:
        cookies = dict(client.cookies)
    with (
        run_product(tmp_path) as second,
        httpx.Client(base_url=second.url, headers={"origin": second.url}, cookies=cookies) as client,
    ):
        with _connect(second, client) as socket:
            _, page = _run_script(socket)
            left = client.post("/salir")
            last = _read_to_the_end(socket)
        client.cookies.update(cookies)
        with pytest.raises(InvalidStatus), _connect(second, client):
            pass
        log = second.log.read_text()

    assert ADMIN in page
    assert left.status_code == 303
    assert last.auth_redirect.url == "/entrar?aviso=fin"
    assert cookies["cg_session"] not in page + log


def test_pages_run_without_the_gate_show_nothing(tmp_path: Path) -> None:
    """The script alone, as somebody might serve it: whatever identity the client claims, it refuses."""
    port = free_ports(1)[0]
    environment = {**product_environment(tmp_path), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "streamlit", "run", str(ROUTER), "--server.port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
    bare = Product(f"http://localhost:{port}", port, tmp_path, process, tmp_path / "log")
    try:
        _wait_for_port(bare)
        with _connect(bare, None, **{"X-CG-User": f"{'a' * 64}.{'b' * 64}"}) as socket:
            _, page = _run_script(socket)
    finally:
        process.terminate()
        process.wait(15)

    assert "Tu sesión ha terminado" in page
    assert "navigation" not in page
    assert "Cuenta mail" not in page


@pytest.mark.parametrize("claim", [None, "", "ana", f"{'a' * 64}.{'b' * 64}"])
def test_a_script_without_a_signed_identity_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claim: str | None
) -> None:
    """What the page test tool sends by default, and forged claims: an error, a link, no page."""
    for name, value in product_environment(tmp_path).items():
        if name.startswith("CG_"):
            monkeypatch.setenv(name, value)
    get_workbench.cache_clear()
    page = AppTest.from_file(ROUTER, default_timeout=20)
    if claim is not None:
        page.user = {"login": claim}

    page.run()

    assert not page.exception
    assert [error.value for error in page.error] != []
    assert not page.sidebar
    assert not page.button
    get_workbench().close()
    get_workbench.cache_clear()


def _wait_for_port(product: Product) -> None:
    for _ in range(300):
        assert product.process.poll() is None, product.log.read_text()
        try:
            if httpx.get(f"{product.url}/_stcore/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            continue
    raise AssertionError(product.log.read_text())
