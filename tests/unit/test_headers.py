"""The security headers: on every kind of answer, with the exception the editor needs."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import streamlit
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from cgcore.web.headers import SecurityHeaders, hash_inline_scripts
from cgcore.web.origins import AllowedOrigins
from pages.ui.server import find_framed_pages
from tests.servers.asgi import TestClient, answer_lifespan

LOADER = "start(1)"
COOKIES = (b"_streamlit_xsrf=2|a; Path=/; SameSite=Lax", b"secure=1; Path=/", b"own=1; secure; HttpOnly")


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    if scope["path"] == "/broken":
        raise RuntimeError("S3cr3t-ñ")
    headers = [(b"content-security-policy", b"default-src 'none'")] if scope["path"] == "/api/v1/docs" else []
    headers.append((b"cache-control", b"public, max-age=600"))
    headers += [(b"set-cookie", cookie) for cookie in COOKIES]
    headers.append(
        (b"content-disposition", b"attachment; filename*=utf-8''" + b"%C3%B1" * int(scope["query_string"] or 1))
    )
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Path]:
    """The page of an app and the page of a component, each with a script of its own."""
    app_page, component = tmp_path / "index.html", tmp_path / "component.html"
    app_page.write_text("<script>flag = 1</script><script type='module' src='a.js'></script>")
    component.write_text(f"<script>{LOADER}</script>")
    return app_page, component


@pytest.fixture
def client(pages: tuple[Path, Path]) -> Iterator[TestClient]:
    """A browser before an app that answers, and breaks on request."""
    app = SecurityHeaders(_app, origins=AllowedOrigins(), app_page=pages[0], component_pages=[pages[1]])
    with TestClient(app, base_url="http://localhost:8501") as client:
        yield client


def _source(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"


@pytest.mark.parametrize("path", ["/", "/entrar", "/static/a.js", "/component/quill/index.html", "/broken"])
def test_every_answer_has_them(client: TestClient, path: str) -> None:
    """Pages, files, frames and failures; nothing without TLS asks for TLS."""
    headers = client.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "object-src 'none'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


def test_nobody_frames_a_page_and_only_we_frame_a_component(client: TestClient) -> None:
    """The editor lives in a frame, with its loader allowed by hash; the app's page allows its own script only."""
    page = client.get("/").headers["content-security-policy"]
    frame = client.get("/component/quill/index.html").headers["content-security-policy"]

    assert "frame-ancestors 'none'" in page
    assert f"script-src 'self' {_source('flag = 1')};" in page
    assert "frame-ancestors 'self'" in frame
    assert f"script-src 'self' {_source(LOADER)};" in frame


def test_log_in_and_api_are_not_stored(client: TestClient) -> None:
    """Whatever the app said; files may be."""
    for path in ("/entrar", "/primer-uso", "/nueva-contrasena/x", "/api/v1/series", "/salir"):
        assert client.get(path).headers.get_list("cache-control") == ["no-store, no-transform"]
    assert client.get("/static/a.js").headers["cache-control"] == "public, max-age=600"


def test_a_policy_of_the_app_itself_stands(client: TestClient) -> None:
    """A page that knows better what it loads is not overruled, nor given two policies."""
    assert client.get("/api/v1/docs").headers.get_list("content-security-policy") == ["default-src 'none'"]


def test_a_failure_shows_no_traceback(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The browser gets one Spanish sentence; the log gets the rest."""
    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken")

    assert (answer.status_code, answer.text) == (500, "Algo ha fallado en el programa. Vuelve a intentarlo.")
    assert "a request broke" in caplog.text


def test_a_browser_that_leaves_in_the_middle_is_no_failure(
    pages: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled upload, a reload: no traceback in the log, and no answer to nobody."""
    sent: list[Any] = []

    async def cut() -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        async def read(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)

        scope = {"type": "http", "path": "/_stcore/upload_file/a/b", "method": "PUT", "headers": []}
        await SecurityHeaders(read, origins=AllowedOrigins(), app_page=pages[0])(scope, receive, send)

    with caplog.at_level(logging.INFO):
        anyio.run(cut)

    assert caplog.messages == ["a browser left in the middle of its request"]
    assert sent == []


def test_under_tls_the_browser_is_told_to_stay_there(pages: tuple[Path, Path]) -> None:
    """A public https address is enough: the proxy in front speaks TLS."""
    origins = AllowedOrigins(public_url="https://config.example.es")
    with TestClient(SecurityHeaders(_app, origins=origins, app_page=pages[0]), base_url="http://localhost") as tls:
        headers = tls.get("/").headers

    assert headers["strict-transport-security"] == "max-age=31536000"


def test_under_tls_every_cookie_is_secure_whoever_sets_it(pages: tuple[Path, Path], client: TestClient) -> None:
    """Streamlit's own as well; one that is already stays, and without TLS a browser would not take them."""
    origins = AllowedOrigins(public_url="https://config.example.es")
    with TestClient(SecurityHeaders(_app, origins=origins, app_page=pages[0]), base_url="http://localhost") as tls:
        cookies = tls.get("/").headers.get_list("set-cookie")

    assert cookies == [f"{COOKIES[0].decode()}; Secure", f"{COOKIES[1].decode()}; Secure", COOKIES[2].decode()]
    assert client.get("/").headers.get_list("set-cookie") == [cookie.decode() for cookie in COOKIES]


def test_a_long_name_of_a_download_does_not_burst_the_head(client: TestClient) -> None:
    """It is left out, and the file is still a download; a usual one stays."""
    assert client.get("/media/a.pdf?900").headers["content-disposition"] == "attachment"
    assert client.get("/media/a.pdf?9").headers["content-disposition"].endswith("%C3%B1" * 9)


def test_a_page_that_is_not_there_does_not_stop_the_start(tmp_path: Path) -> None:
    """Its inline script is not allowed then; everything else works."""
    assert hash_inline_scripts(tmp_path / "moved.html") == []


def test_the_installed_pages_have_the_scripts_we_allow() -> None:
    """An update that moves the files or drops the scripts is noticed here, not by a blank editor."""
    app_page = Path(streamlit.__file__).parent / "static" / "index.html"

    framed = find_framed_pages()
    assert [len(hash_inline_scripts(page)) for page in (app_page, *framed)] == [1, 1]
