"""The gate around a small app: who passes, what the app sees, which claims of a request count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cgcore.web.gate import Gate, LiveSockets, Socket
from cgcore.web.origins import AllowedOrigins
from cgcore.web.paths import build_enter_link, is_api, is_public, safe_next
from cgcore.workbench import Workbench
from tests.servers.asgi import SITE, TestClient, WebSocketDisconnect, answer_lifespan
from tests.servers.identity import PASSWORD, add_user

ROOT = Path(__file__).parents[2]
STREAM = "ws://localhost:8501/_stcore/stream"


class Echo:
    """An app that answers with the identity headers it was given, and keeps its websockets open."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.places: list[bytes] = []
        self.claims: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        self.paths.append(scope["path"])
        self.places += [value for name, value in scope["headers"] if name == b"x-cg-place"]
        self.claims += [header for header in scope["headers"] if header[0] in (b"host", b"origin")]
        seen = b"|".join(value for name, value in scope["headers"] if name == b"x-cg-user")
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": seen})
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": seen})
        while (await receive())["type"] != "websocket.disconnect":
            pass


@pytest.fixture
def echo() -> Echo:
    """What stands behind the gate."""
    return Echo()


@pytest.fixture
def client(workbench: Workbench, echo: Echo) -> Iterator[TestClient]:
    """A browser before the gate that follows no redirect."""
    gate = Gate(echo, get_workbench=lambda: workbench, origins=AllowedOrigins(), last_message=b"adios")
    with TestClient(gate, base_url=SITE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def session_hash(workbench: Workbench, client: TestClient) -> str:
    """Ana, logged in with the cookie in ``client``."""
    add_user(workbench)
    result = workbench.identity.sessions.log_in("ana", PASSWORD)
    client.cookies.set("cg_session", result.token.reveal())
    return result.actor.session_hash


def test_who_is_not_in_goes_to_the_log_in_page(client: TestClient, echo: Echo) -> None:
    """Nothing of the app answers; the way back is kept for pages, not for what pages load."""
    page, asset = client.get("/cuenta-mail?x=1"), client.get("/_stcore/health")

    assert (page.status_code, page.headers["location"]) == (303, "/entrar?next=%2Fcuenta-mail%3Fx%3D1")
    assert (asset.status_code, asset.headers["location"]) == (303, "/entrar")
    assert echo.paths == []


def test_every_page_is_behind_the_log_in(client: TestClient, echo: Echo) -> None:
    """Each address of the menu leads to the log-in page and back, with no cookie and with one that opens nothing."""
    router = (ROOT / "pages/workbench.py").read_text("utf-8")
    addresses = re.findall(r'_page\("\w+", "([a-z-]+)"', router)
    answers = [
        client.get(f"/{address}", headers={"cookie": cookie})
        for address in addresses
        for cookie in ("", "cg_session=nothing")
    ]

    assert len(addresses) == len(list((ROOT / "pages").glob("*.py"))) - 1  # the router itself is none
    assert {answer.status_code for answer in answers} == {303}
    assert {answer.headers["location"] for answer in answers} == {f"/entrar?next=%2F{page}" for page in addresses}
    assert echo.paths == []


def test_a_forged_identity_never_reaches_the_app(client: TestClient, workbench: Workbench, session_hash: str) -> None:
    """The client's own header is dropped, on public paths too; the gate's stands alone and verifies."""
    forged = {"X-CG-User": workbench.identity.sessions.sign_identity("f" * 64)}

    inside, public = client.get("/", headers=forged).text, client.get("/salud", headers=forged).text

    assert workbench.identity.sessions.verify_identity(inside) == session_hash
    assert public == ""


@pytest.mark.usefixtures("session_hash")
def test_the_app_learns_which_socket_was_asked(client: TestClient, echo: Echo) -> None:
    """By page and by websocket, from the server and never from the client, who could name any other."""
    claim = {"X-CG-Place": "127.0.0.1:1"}
    client.get("/", headers=claim)
    client.get("/salud", headers=claim)
    with client.websocket_connect(STREAM, headers={**claim, "origin": SITE}):
        pass

    assert echo.places == [b"localhost:8501"] * 2


@pytest.mark.usefixtures("session_hash")
def test_the_app_has_nothing_left_to_judge(client: TestClient, echo: Echo) -> None:
    """Host and Origin were judged: a proxy that asks for another host than the browser gives the app no riddle."""
    client.get("/", headers={"origin": SITE, "host": "127.0.0.1:9"})
    with client.websocket_connect(STREAM, headers={"origin": SITE}):
        pass

    assert echo.claims == [(b"host", b"127.0.0.1:9"), (b"origin", SITE.encode()), (b"host", b"localhost:8501")]


def test_the_public_list_is_exact() -> None:
    """The four pages, the health answer and the API; no prefix of them, no neighbour."""
    public = ["/entrar", "/primer-uso", "/salud", "/nueva-contrasena/7K2MQ-1", "/api/v1/series", "/api/v1/openapi.json"]
    guarded = ["/entrar/", "/entrar/x", "/nueva-contrasena/", "/nueva-contrasena/a/b", "/api/v1", "/api/v10", "/salir"]
    guarded += ["/api/v1/docs", "/api/v1/docs/", "/api/v1/assets/a.js", "/api/v1/../salud", "//entrar", "/Entrar"]

    assert [path for path in public if not is_public(path)] == []
    assert [path for path in guarded if is_public(path)] == []
    assert not is_api("/api/v1/openapi.jsonx/../../..")


@pytest.mark.usefixtures("session_hash")
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "", "[::1"])
def test_a_foreign_host_is_refused_everywhere(client: TestClient, host: str) -> None:
    """DNS rebinding: pages, public paths and websockets alike."""
    headers = {"host": host}

    assert client.get("/", headers=headers).status_code == 400
    assert client.get("/entrar", headers=headers).status_code == 400
    for origin in (SITE, f"http://{host}"):
        rebound = {**headers, "origin": origin}
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=rebound):
            pass


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"referer": "https://evil.example/form"},
    ],
)
def test_a_form_of_another_site_is_refused(client: TestClient, headers: dict[str, str], echo: Echo) -> None:
    """Every change is checked by where it comes from; the app does not see it."""
    assert client.post("/entrar", headers=headers).status_code == 403
    assert echo.paths == []


@pytest.mark.parametrize("headers", [{"origin": SITE}, {"sec-fetch-site": "same-origin"}, {"referer": f"{SITE}/x"}, {}])
def test_our_own_forms_and_tools_pass(client: TestClient, headers: dict[str, str]) -> None:
    """A browser that names our origin, and a tool that is no browser."""
    assert client.post("/entrar", headers=headers).status_code == 200


def test_the_api_is_not_judged_by_origin(client: TestClient) -> None:
    """It identifies its callers by key, not by cookie."""
    assert client.post("/api/v1/x", headers={"origin": "https://app.example"}).status_code == 200


@pytest.mark.usefixtures("session_hash")
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"user-agent": "Mozilla/5.0"}]
)
def test_a_websocket_of_another_site_is_closed(client: TestClient, headers: dict[str, str], echo: Echo) -> None:
    """Closed before it is accepted, cookie or not; a browser that names no origin as well."""
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=headers):
        pass

    assert echo.paths == []


def test_a_websocket_without_a_log_in_is_closed(client: TestClient, echo: Echo) -> None:
    """No cookie, or one that opens nothing."""
    for cookie in ("", "cg_session=nothing"):
        headers = {"origin": SITE, "cookie": cookie}
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM, headers=headers):
            pass

    assert echo.paths == []


def test_a_websocket_carries_the_signed_log_in(client: TestClient, workbench: Workbench, session_hash: str) -> None:
    """The header names the log-in, not the user."""
    with client.websocket_connect(STREAM, headers={"origin": SITE, "x-cg-user": "forged"}) as socket:
        seen = socket.receive_bytes().decode()

    assert workbench.identity.sessions.verify_identity(seen) == session_hash


def test_a_log_out_ends_the_open_tabs_of_that_log_in_only(
    client: TestClient, workbench: Workbench, session_hash: str
) -> None:
    """The tab is told where to go and closed; the next socket with that cookie is refused; another log-in goes on."""
    other = workbench.identity.sessions.log_in("ana", PASSWORD)
    others = {"origin": SITE, "cookie": f"cg_session={other.token.reveal()}"}
    with (
        client.websocket_connect(STREAM, headers={"origin": SITE}) as mine,
        client.websocket_connect(STREAM, headers=others) as theirs,
    ):
        mine.receive_bytes()
        theirs.receive_bytes()

        workbench.identity.sessions.log_out(session_hash)

        assert mine.receive_bytes() == b"adios"
        with pytest.raises(WebSocketDisconnect) as closed:
            mine.receive_bytes()
        assert closed.value.code == 1008
        workbench.identity.sessions.log_out(other.actor.session_hash)
        assert theirs.receive_bytes() == b"adios"
    assert client.get("/").status_code == 303


def test_a_socket_that_ended_sends_nothing_more() -> None:
    """What a script still draws after the log-out does not reach the browser; ending twice is once."""
    import asyncio

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def live() -> None:
        socket = Socket(send)
        await socket.send({"type": "websocket.accept"})
        await socket.end(b"adios")
        await socket.send({"type": "websocket.send", "bytes": b"secret"})
        await socket.end(b"adios")

    asyncio.run(live())

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["bytes"] == b"adios"


def test_a_log_out_before_any_socket_is_fine() -> None:
    """Nobody listens; nothing happens."""
    LiveSockets(b"adios").end(["a" * 64])


@pytest.mark.parametrize(
    "target",
    [
        *[
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
        ],
        *["javascript:alert(1)", "evil.example", "", "/salir", "/entrar", "/api/v1/series", "/_stcore/health"],
        *["/a\r\nSet-Cookie: x=1", "/" + "a" * 3000],
    ],
)
def test_a_log_in_leads_to_pages_of_ours_only(target: str) -> None:
    """Anything else becomes the start page (open redirect, CWE-601)."""
    assert safe_next(target) == "/"


def test_the_way_back_survives_the_log_in() -> None:
    """Path and query, quoted once."""
    assert safe_next("/cuenta-mail?x=1&y=ñ") == "/cuenta-mail?x=1&y=ñ"
    assert build_enter_link("/cuenta mail", "x=1") == "/entrar?next=%2Fcuenta%2520mail%3Fx%3D1"


def test_a_long_way_back_is_left_out() -> None:
    """It would stand in a header, written out: letters that take nine signs each count so."""
    assert safe_next("/cuenta-mail?x=" + "a" * 1400) != "/"
    assert safe_next("/cuenta-mail?x=" + "ñ" * 300) == "/"
    assert build_enter_link("/" + "x" * 2000, "") == build_enter_link("/x", "ñ" * 400) == "/entrar"


def _scope(client: str, scheme: str = "http") -> dict[str, Any]:
    return {"client": (client, 1234), "scheme": scheme}


def test_forwarded_headers_count_only_from_a_trusted_proxy() -> None:
    """Without CG_TRUSTED_PROXIES a client cannot choose its own address or pretend TLS, not even from loopback."""
    plain = AllowedOrigins()
    behind = AllowedOrigins(trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")))
    claim = {"x-forwarded-for": "198.51.100.9, 203.0.113.5", "x-forwarded-proto": "https"}

    assert plain.find_client_ip(_scope("192.0.2.1"), claim) == "192.0.2.1"
    assert not plain.is_secure(_scope("192.0.2.1"), claim)
    # The server has put the last hop in the place of 127.0.0.1, and the claimed scheme in the place of http.
    assert plain.find_client_ip(_scope("203.0.113.5"), claim) == "127.0.0.1"
    assert not plain.is_secure(_scope("203.0.113.5", "https"), claim)
    assert behind.find_client_ip(_scope("203.0.113.5"), claim) == "203.0.113.5"
    assert behind.find_client_ip(_scope("10.1.1.1"), claim) == "203.0.113.5"
    assert behind.find_client_ip(_scope("10.1.1.1"), {"x-forwarded-for": "198.51.100.9, 10.2.2.2"}) == "198.51.100.9"
    assert behind.is_secure(_scope("10.1.1.1"), claim)


def test_a_public_address_is_a_host_and_an_origin_of_ours() -> None:
    """Its plain namesake is not; loopback stays reachable."""
    origins = AllowedOrigins(public_url="https://config.example.es")

    assert origins.is_host_allowed("config.example.es")
    assert origins.is_origin_allowed("https://config.example.es", "127.0.0.1:8501")
    assert origins.is_origin_allowed(SITE, "localhost:8501")
    assert not origins.is_origin_allowed("http://config.example.es", "config.example.es")
    assert not origins.is_origin_allowed("https://config.example.es:444", "config.example.es:444")
    assert not origins.is_host_allowed("config.example.es.evil.example")
