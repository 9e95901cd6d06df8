"""Behind nginx as Debian delivers it: page, websocket, upload, log-in, deep link, and a save by API that it packs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from cgcore.vault.secret import Secret
from tests.servers.api_users import Person, issue_key
from tests.servers.certificates import Certificates
from tests.servers.daemon import free_ports
from tests.servers.house import open_beside
from tests.servers.leftout import leave_out
from tests.servers.nginx import Nginx, nginx_installed
from tests.servers.product import ADMIN, PASSWORD, Product, product_environment, run_product

# What a careful installation passes on; the bare one passes nothing, and asks for the host of proxy_pass.
CAREFUL = (
    "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; "
    "proxy_set_header X-Forwarded-Proto $scheme;"
)
PACK_ALL = "gzip_proxied any; gzip_types application/json; gzip_min_length 1;"
ADDRESSES = ["/", "/cuenta-mail", "/entrar", "/salir", "/salud", "/nada", "/resumen", "/_stcore/health", "/api/v1/docs"]
ADDRESSES += ["/_stcore/host-config", "/favicon.png", "/api/v1/openapi.json", "/api/v1/me", "/static/gone.js"]
LONG = "/" + "x" * 4000


@pytest.fixture(scope="module", params=["", CAREFUL], ids=["bare", "careful"])
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[tuple[Nginx, Product]]:
    """nginx before a running product that knows its public address."""
    if not nginx_installed():
        leave_out("nginx")
    port = free_ports(1)[0]
    folder = tmp_path_factory.mktemp("behind-nginx")
    with Nginx(certificates.trusted, port, headers=request.param, extra=PACK_ALL) as nginx:
        settings = {"CG_PUBLIC_URL": nginx.url, "CG_TRUSTED_PROXIES": "127.0.0.1/32"}
        with run_product(folder, port=port, environment=product_environment(folder, **settings)) as product:
            yield nginx, product
        assert "too big header" not in nginx.log


@pytest.fixture
def proxy(behind: tuple[Nginx, Product]) -> Nginx:
    """The proxy."""
    return behind[0]


@pytest.fixture
def product(behind: tuple[Nginx, Product]) -> Product:
    """The product behind it."""
    return behind[1]


@pytest.fixture
def client(proxy: Nginx) -> Iterator[httpx.Client]:
    """A browser that has logged in through the proxy."""
    with httpx.Client(base_url=proxy.url, headers={"origin": proxy.url}, verify=False, timeout=30) as client:  # noqa: S501
        answer = client.post("/entrar", data={"username": ADMIN, "password": PASSWORD, "next": "/"})
        assert answer.status_code == 303
        yield client


def test_every_answer_fits_the_buffer_of_a_proxy(client: httpx.Client) -> None:
    """Three kilobytes of headers at most, whatever is asked for, logged in or not; nothing comes back as 502."""
    known, unknown = dict(client.cookies), {"cookie": ""}
    addresses = [*ADDRESSES, LONG, LONG + "/", f"/entrar?next={LONG}", f"/cuenta-mail?x={LONG}"]
    answers = [client.get(address, headers=headers) for address in addresses for headers in ({}, unknown)]

    sizes = [sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) for answer in answers]
    assert known
    assert {answer.status_code for answer in answers} <= {200, 303, 401, 404}
    assert max(sizes) <= 3000


def test_log_in_cookies_go_over_tls_only(client: httpx.Client) -> None:
    """Ours, and those that Streamlit sets."""
    client.get("/_stcore/health")
    cookies = {cookie.name: cookie.secure for cookie in client.cookies.jar}

    assert cookies == {"__Host-cg": True, "_streamlit_xsrf": True}


def test_websocket_and_upload_pass(client: httpx.Client, proxy: Nginx) -> None:
    """The page is drawn, and a file goes into it."""
    client.get("/_stcore/health")
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    request = BackMsg()
    request.rerun_script.page_name = "administracion"
    tab = ""
    with connect(
        f"wss://{urlsplit(proxy.url).netloc}/_stcore/stream",
        additional_headers={"Origin": proxy.url, "Cookie": cookies},
        subprotocols=[Subprotocol("streamlit")],
        ssl=httpx.create_ssl_context(verify=False),
        max_size=None,
        open_timeout=20,
    ) as socket:
        socket.send(request.SerializeToString())
        while not (message := ForwardMsg.FromString(bytes(socket.recv(60, decode=False)))).HasField("script_finished"):
            if message.HasField("new_session"):
                tab = message.new_session.initialize.session_id
        stored = client.put(
            f"/_stcore/upload_file/{tab}/logo",
            files={"file": ("a.json", b"x" * 500_000)},
            headers={"x-xsrftoken": client.cookies["_streamlit_xsrf"]},
        )

    assert stored.status_code == 204


def test_a_save_by_api_works_with_the_tag_that_the_proxy_has_changed(product: Product, proxy: Nginx) -> None:
    """Packed, so that its tag is weak; the one read before the save is refused after it."""
    with open_beside(product) as workbench:
        person = Person(workbench.identity.sessions.log_in(ADMIN, Secret(PASSWORD)).actor, PASSWORD)
        key = issue_key(workbench, person).key.reveal()
    with httpx.Client(base_url=proxy.url, verify=False, timeout=30, headers={"authorization": f"Bearer {key}"}) as api:  # noqa: S501
        read = api.get("/api/v1/mail-account")
        tag = read.headers["etag"]
        saved = api.patch("/api/v1/mail-account", json={"sent_folder": "Otra"}, headers={"if-match": tag})
        stale = api.patch("/api/v1/mail-account", json={"sent_folder": "Tercera"}, headers={"if-match": tag})

    assert read.headers["content-encoding"] == "gzip"
    assert tag.startswith('W/"')
    assert "no-transform" in read.headers["cache-control"]
    assert (saved.status_code, stale.status_code) == (200, 412)


@pytest.mark.e2e
def test_a_browser_opens_a_deep_link_through_the_proxy(proxy: Nginx, browser: Browser) -> None:
    """From the log-in page to the page asked for, drawn, in Spanish, and nothing refused on the way."""
    context = browser.new_context(ignore_https_errors=True, locale="es-ES")
    page = context.new_page()
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{proxy.url}/valores-por-defecto")
    page.get_by_label("Usuario").fill(ADMIN)
    page.get_by_label("Contraseña").fill(PASSWORD)
    page.get_by_role("button", name="Entrar").click()

    expect(page.get_by_role("heading", name="Valores por defecto para envío")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "es"
    assert [url for url in refused if "/_stcore/" not in url] == []
    context.close()
