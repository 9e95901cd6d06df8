"""The files of the browser's part: behind the gate, packed, kept; and the modules that are announced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, PlainTextResponse

from cgcore.web.assets import AssetFolder, Assets
from cgcore.web.gate import IDENTITY_HEADER
from cgcore.workbench import Workbench
from tests.servers.api_users import add_person
from tests.servers.asgi import SITE, TestClient, open_product

SCRIPT = 'import{a}from"./Deep.2.js";' + "x" * 5000
FILES = {
    "js/TextInput.1.js": SCRIPT,
    "js/Deep.2.js": 'import"./Deeper.3.js";import{b}from"./TextInput.1.js"',
    "js/Deeper.3.js": "1",
    "js/TextInputs.9.js": "2",
    "media/font.woff2": "font",
}


@pytest.fixture
def folder(tmp_path: Path) -> AssetFolder:
    """A folder of modules that import each other, with a secret beside it."""
    for name, content in FILES.items():
        path = tmp_path / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "secret.js").write_text("secret")
    return AssetFolder(tmp_path / "static", ("TextInput", "Gone"))


@pytest.fixture
def visitor(workbench: Workbench, folder: AssetFolder) -> TestClient:
    """A browser that is logged in."""
    ana = add_person(workbench, "ana")
    client = open_product(workbench, assets=folder)
    client.post("/entrar", data={"username": "ana", "password": ana.password}, headers={"origin": SITE})
    return client


def test_a_file_is_packed_for_who_takes_it_and_kept_for_good(visitor: TestClient) -> None:
    """Same content either way; a font is packed already."""
    packed = visitor.get("/static/js/TextInput.1.js", headers={"accept-encoding": "br, gzip"})
    plain = visitor.get("/static/js/TextInput.1.js", headers={"accept-encoding": "gzip;q=0, br"})
    font = visitor.get("/static/media/font.woff2", headers={"accept-encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 200
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text == SCRIPT
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert packed.headers["content-type"] == "text/javascript"
    assert "content-encoding" not in font.headers
    assert font.text == "font"
    for answer in (packed, plain, font):
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("address", ["/static/js/gone.js", "/static/../secret.js", "/static/js/..%2f..%2fsecret.js"])
def test_what_is_not_in_the_folder_is_not_answered(visitor: TestClient, address: str) -> None:
    """No address leads out of it."""
    answer = visitor.get(address)

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_without_a_log_in_there_is_no_file(workbench: Workbench, folder: AssetFolder) -> None:
    """The gate stands before it."""
    add_person(workbench, "ana")

    answer = open_product(workbench, assets=folder).get("/static/js/TextInput.1.js")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/entrar")


def test_a_page_behind_the_log_in_announces_the_wanted_modules_and_what_they_import(folder: AssetFolder) -> None:
    """Each once, by its own name only; a page before the log-in and other answers announce nothing."""

    async def page(scope: Any, receive: Any, send: Any) -> None:
        answer = HTMLResponse("") if scope["path"] == "/" else PlainTextResponse("")
        await answer(scope, receive, send)

    client = TestClient(Assets(page, assets=folder))
    known = {IDENTITY_HEADER.decode(): "somebody"}
    links = client.get("/", headers=known).headers["link"].split(", ")

    assert sorted(links) == [
        f"</static/js/{name}>; rel=modulepreload" for name in ("Deep.2.js", "Deeper.3.js", "TextInput.1.js")
    ]
    assert "link" not in client.get("/").headers
    assert "link" not in client.get("/text", headers=known).headers
