"""The files of the browser's part: behind the gate, packed, kept; and the modules that are announced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import streamlit

from cgcore.identity.actor import Role
from cgcore.web.app_page import AppPage
from cgcore.web.assets import AssetFolder
from cgcore.workbench import Workbench
from pages.ui.server import ADMIN_PAGES, FIRST_PAGE, PAGES, WANTED_MODULES
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


INDEX = """<!-- licence -->
<!DOCTYPE html>
<html lang="en"><head><title>Streamlit</title>
    <!-- the agent API -->
    <link rel="service-desc" href="./_stcore/agent/openapi.json" />
    <script>flag = false</script>
    <link rel="modulepreload" crossorigin href="./static/js/Deeper.3.js">
  </head><body><noscript><p>You need</p> it</noscript></body></html>
"""


@pytest.fixture
def page(tmp_path: Path, folder: AssetFolder) -> AppPage:
    """The page of an app that has one page more, and one for administrators."""
    (tmp_path / "index.html").write_text(INDEX)
    return AppPage(tmp_path / "index.html", folder, ["cuenta-mail", "administracion"], ["administracion"], "resumen")


def test_the_page_is_in_spanish_and_names_the_wanted_modules_and_what_they_import(page: AppPage) -> None:
    """Each once, also where the page names it already; the inline script stays as it is, for its hash."""
    html = page.html.decode()

    assert html.startswith('<!DOCTYPE html>\n<html lang="es">')
    assert "<title>Cloud Gestion · Configuración</title>" in html
    assert "hace falta JavaScript" in html
    assert "<script>flag = false</script>" in html
    assert [html.count(word) for word in ("You need", "agent", "licence", ">Streamlit<")] == [0, 0, 0, 0]
    for name in ("Deep.2.js", "Deeper.3.js", "TextInput.1.js"):
        assert html.count(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">') == 1
    assert "TextInputs" not in html


def test_the_installed_page_can_be_made_ours() -> None:
    """An update of Streamlit that words its page otherwise is noticed here."""
    static = Path(streamlit.__file__).parent / "static"
    page = AppPage(static / "index.html", AssetFolder(static / "static", WANTED_MODULES))
    html = page.html.decode()

    assert '<html lang="es">' in html
    assert all(html.count(f"./static/{name}") == 1 for name in page.assets.wanted_files)
    assert len(page.assets.wanted_files) > 50
    assert [html.count(word) for word in ("You need", "agent", "<title>Streamlit", "service-desc")] == [0, 0, 0, 0]


def test_the_script_beside_it_is_kept_by_its_content(workbench: Workbench, page: AppPage) -> None:
    """Behind the log-in, and named in the page with a mark that changes with it."""
    person = add_person(workbench, "ana")
    client = open_product(workbench, page=page)
    before = client.get("/companion.js")
    client.post("/entrar", data={"username": "ana", "password": person.password}, headers={"origin": SITE})
    found = re.findall(r'src="\.(/companion\.js\?v=[0-9a-f]{12})"', page.html.decode())
    script = client.get(found[0])

    assert len(found) == 1
    assert before.status_code == 303
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert "MutationObserver" in script.text


def test_each_address_is_a_page_or_none(workbench: Workbench, page: AppPage) -> None:
    """The page at «/» and at each known address; elsewhere our own Spanish page says so, with the way back."""
    add_person(workbench, "jefa")
    person = add_person(workbench, "ana")
    client = open_product(workbench, page=page)
    client.post("/entrar", data={"username": "ana", "password": person.password}, headers={"origin": SITE})

    pages = [client.get(path) for path in ("/", "/cuenta-mail", "/cuenta-mail?x=1")]
    gone = [
        client.get(path) for path in ("/nada", "/cuenta-mail/x", "/administracion", "/Cuenta-mail", "/oauth2callback")
    ]
    moved = [client.get(path).headers["location"] for path in ("/resumen", "/cuenta-mail/", "/resumen/")]

    assert {(answer.status_code, answer.content) for answer in pages} == {(200, page.html)}
    assert pages[0].headers["content-encoding"] == "gzip"
    assert client.get("/", headers={"accept-encoding": "br"}).content == page.html
    assert client.head("/").status_code == 200
    assert {answer.status_code for answer in gone} == {404}
    assert all("Aquí no hay ninguna página" in answer.text and 'href="/"' in answer.text for answer in gone)
    assert all('<html lang="es">' in answer.text and "static/js" not in answer.text for answer in gone)
    assert moved == ["/", "/cuenta-mail", "/"]
    assert client.get("/salir").status_code == 200
    assert client.get("/nada", headers={"cookie": ""}).status_code == 303


def test_the_page_for_administrators_is_theirs(workbench: Workbench, page: AppPage) -> None:
    """To others it does not exist."""
    person = add_person(workbench, "jefa", role=Role.ADMIN)
    client = open_product(workbench, page=page)
    client.post("/entrar", data={"username": "jefa", "password": person.password}, headers={"origin": SITE})

    assert client.get("/administracion").content == page.html


def test_the_addresses_are_those_of_the_router() -> None:
    """A page that is added there is added to the list as well."""
    router = (Path(__file__).parents[2] / "pages" / "workbench.py").read_text("utf-8")
    found = set(re.findall(r'_page\(\s*"\w+", "([a-z-]+)"', router))

    assert found == PAGES | {FIRST_PAGE}
    assert ADMIN_PAGES < PAGES
