"""The editor's page and its script, as they are handed out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cgcore.web.editor_page import EditorPages
from pages.ui.server import find_framed_pages
from tests.servers.asgi import TestClient

_PAGE = "/component/streamlit_quill.streamlit_quill/index.html"


def ask(pages: list[Path]) -> TestClient:
    passed = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("passed"))])
    return TestClient(EditorPages(passed, pages=pages))


def test_the_installed_page_is_spanish_and_loads_our_script_first() -> None:
    """An update of the component that words its page otherwise is noticed here; its own scripts stay."""
    page = ask(find_framed_pages()).get(_PAGE)
    scripts = re.findall(r'<script src="([^"?]+)', page.text)

    assert '<html lang="es">' in page.text
    assert "<title>Editor de texto</title>" in page.text
    assert scripts[:3] == ["../../editor.js", "../../variables.js", "../../images.js"]
    assert len(scripts) == 5
    assert find_framed_pages()[0].read_text("utf-8").split("<body>")[1] in page.text
    assert page.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("name", ["editor", "variables", "images"])
def test_a_script_is_kept_by_its_content(name: str) -> None:
    """Its address holds a mark of it."""
    client = ask(find_framed_pages())
    address = re.findall(rf'src="\.\./\.\.(/{name}\.js\?v=[0-9a-f]{{12}})"', client.get(_PAGE).text)[0]
    script = client.get(address)

    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert "Streamlit component" not in script.text


def test_what_is_not_the_editors_page_passes(tmp_path: Path) -> None:
    """Its other files, other components, and a page that cannot be read."""
    gone = tmp_path / "streamlit_quill" / "frontend" / "build" / "index.html"

    assert ask([gone]).get(_PAGE).text == "passed"
    for address in (_PAGE.replace("index.html", "style.css"), _PAGE.replace("quill", "other"), "/", "/editor.json"):
        assert ask(find_framed_pages()).get(address).text == "passed"
