"""The log-in pages, as a browser without JavaScript uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from cgcore.identity.actor import Role
from cgcore.web.login_pages import build_cookie, read_cookie
from cgcore.web.origins import AllowedOrigins
from cgcore.workbench import Workbench
from tests.servers.asgi import SITE, TestClient, open_product
from tests.servers.identity import ADMIN, PASSWORD, HandClock, add_user, set_clock

NAVIGATION = {"sec-fetch-site": "same-origin", "sec-fetch-dest": "document"}


@pytest.fixture
def client(workbench: Workbench) -> Iterator[TestClient]:
    """A browser before the product's own pages; Ana has an account, the clock stands still."""
    set_clock(workbench, HandClock())
    add_user(workbench)
    with open_product(workbench) as client:
        yield client


class _Inputs(HTMLParser):
    """Reads the inputs of a page, and what is announced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.alerts: list[str] = []
        self._in_alert = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input":
            self.inputs[found["name"] or ""] = found
        self._in_alert = found.get("role") == "alert"

    def handle_data(self, data: str) -> None:
        if self._in_alert:
            self.alerts.append(data)
            self._in_alert = False


def _log_in(client: TestClient, **fields: str):
    values = {"username": "ana", "password": PASSWORD.reveal(), "next": "/", **fields}
    return client.post("/entrar", data=values)


def test_the_right_password_leads_on(client: TestClient, workbench: Workbench) -> None:
    """303 to where one wanted to go, with a cookie that no script reads."""
    answer = _log_in(client, next="/cuenta-mail?x=1")

    cookie = answer.headers["set-cookie"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/cuenta-mail?x=1")
    assert re.fullmatch(r"cg_session=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie)
    assert workbench.identity.sessions.find_actor_by_cookie(read_cookie(cookie, secure=False)) is not None
    assert client.get("/entrar?next=/cuenta-mail").headers["location"] == "/cuenta-mail"


def test_a_wrong_password_keeps_the_name_and_says_so(client: TestClient) -> None:
    """401, the message announced beside the field, the name kept, the password not written back."""
    answer = _log_in(client, username='Ana "<b>', password="S3cr3t-ñ")

    page = _Inputs(answer.text)
    assert answer.status_code == 401
    assert page.alerts == ["El usuario o la contraseña no son correctos."]
    assert page.inputs["username"]["value"] == 'Ana "<b>'
    assert page.inputs["password"]["aria-describedby"] == "password-error"
    assert "autofocus" in page.inputs["password"]
    assert "S3cr3t-ñ" not in answer.text
    assert "<b>" not in answer.text
    assert "set-cookie" not in answer.headers


def test_unknown_and_wrong_look_the_same(client: TestClient) -> None:
    """But for the name typed, byte by byte."""
    known, unknown = _log_in(client, password="no es esta"), _log_in(client, username="eva", password="no es esta")

    assert known.text.replace('value="ana"', "") == unknown.text.replace('value="eva"', "")
    assert known.status_code == unknown.status_code == 401


def test_too_many_tries_are_told_when_to_come_back(client: TestClient, workbench: Workbench) -> None:
    """429 with Retry-After in whole seconds, also for the right password; afterwards it works."""
    for _ in range(2):
        assert _log_in(client, password="no es esta").status_code == 401
    early = _log_in(client)
    clock = workbench.clock
    assert isinstance(clock, HandClock)
    clock.move(seconds=int(early.headers["retry-after"]))

    assert (early.status_code, early.headers["retry-after"]) == (429, "1")
    assert _Inputs(early.text).alerts == ["Demasiados intentos seguidos. Espera 1 segundo y vuelve a intentarlo."]
    assert _log_in(client).status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/salir"])
def test_a_log_in_sends_nobody_elsewhere(client: TestClient, target: str) -> None:
    """An address that is not a page of ours leads to the start."""
    assert _log_in(client, next=target).headers["location"] == "/"


def test_the_form_works_for_password_managers_and_without_scripts(client: TestClient) -> None:
    """Labels of the house, autocomplete, no script at all."""
    html = client.get("/entrar?next=/cuenta-mail").text

    page = _Inputs(html)
    assert page.inputs["username"]["autocomplete"] == "username"
    assert page.inputs["password"]["autocomplete"] == "current-password"
    assert page.inputs["next"]["value"] == "/cuenta-mail"
    assert "autofocus" in page.inputs["username"]
    assert re.findall(r"<label[^>]*>(.*?)</label>", html) == ["Usuario", "Contraseña"]
    assert re.findall(r"<button[^>]*>(.*?)</button>", html) == ["Entrar"]
    assert "<script" not in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")


def test_an_empty_form_names_the_empty_field(client: TestClient) -> None:
    """No account is counted against."""
    assert _Inputs(_log_in(client, username=" ").text).alerts == ["Escribe tu usuario."]
    assert _Inputs(_log_in(client, password="").text).alerts == ["Escribe tu contraseña."]


def test_a_flood_of_a_form_is_refused(client: TestClient) -> None:
    """Neither a long body nor a thousand fields are read to the end."""
    assert _log_in(client, password="x" * 20_000).status_code == 413
    assert client.post("/entrar", data={f"f{n}": "" for n in range(50)}).status_code == 413


def test_under_tls_the_cookie_is_bound_to_the_host(workbench: Workbench) -> None:
    """``__Host-`` and Secure; a plain cookie of that name's sister does not count."""
    add_user(workbench)
    origins = AllowedOrigins(public_url="https://config.example.es")
    with open_product(workbench, origins, "https://config.example.es") as client:
        cookie = _log_in(client).headers["set-cookie"]

    assert re.fullmatch(r"__Host-cg=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure", cookie)
    assert not read_cookie("cg_session=abc", secure=True)
    assert not read_cookie("__Host-cg=abc", secure=False)
    assert build_cookie(PASSWORD, secure=True).count("__Host-cg=") == 1


def test_logging_in_again_ends_the_earlier_log_in(client: TestClient, workbench: Workbench) -> None:
    """The browser's token rotates."""
    first = read_cookie(_log_in(client).headers["set-cookie"], secure=False)
    second = read_cookie(_log_in(client).headers["set-cookie"], secure=False)

    assert workbench.identity.sessions.find_actor_by_cookie(first) is None
    assert workbench.identity.sessions.find_actor_by_cookie(second) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "none", "sec-fetch-dest": "document"},
        {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"},
        {"sec-fetch-site": "same-origin", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-origin", "sec-fetch-dest": "document", "sec-purpose": "prefetch"},
        {},
    ],
)
def test_only_a_link_of_ours_logs_out_at_once(client: TestClient, headers: dict[str, str]) -> None:
    """A typed address, another site, an image or a prefetch get a form to confirm, and the log-in goes on."""
    _log_in(client)

    answer = client.get("/salir", headers=headers)

    assert answer.status_code == 200
    assert '<form method="post" action="/salir">' in answer.text
    assert client.get("/entrar").status_code == 303


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_log_out_ends_the_log_in_and_takes_the_cookie(client: TestClient, workbench: Workbench, method: str) -> None:
    """The cookie is dropped, and would open nothing if it were kept."""
    token = read_cookie(_log_in(client).headers["set-cookie"], secure=False)

    answer = client.request(method, "/salir", headers=NAVIGATION)

    assert (answer.status_code, answer.headers["location"]) == (303, "/entrar?aviso=fin")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert workbench.identity.sessions.find_actor_by_cookie(token) is None
    assert "La sesión ha terminado" in client.get("/entrar?aviso=fin").text


def test_the_first_account_is_made_with_the_code(workbench: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong code 401, poor password 422 with nothing lost, then in; afterwards the page is gone."""
    with open_product(workbench) as client:
        assert client.get("/entrar").headers["location"] == "/primer-uso"
        client.get("/primer-uso")
        printed = capsys.readouterr().out
        code = re.search(r"\b[0-9A-Z]{5}(-[0-9A-Z]{5}){3}\b", printed)
        assert code is not None
        assert f"{SITE}/primer-uso" in printed
        fields = {"username": "jefa", "password": PASSWORD.reveal(), "code": "AAAAA-AAAAA-AAAAA-AAAAA"}
        wrong = client.post("/primer-uso", data=fields)
        poor = client.post("/primer-uso", data={**fields, "code": code[0], "password": "corta"})
        done = client.post("/primer-uso", data={**fields, "code": code[0].lower()})

    assert (wrong.status_code, poor.status_code, done.status_code) == (401, 422, 303)
    assert _Inputs(poor.text).inputs["username"]["value"] == "jefa"
    assert _Inputs(poor.text).inputs["code"]["value"] == code[0]
    assert "8 caracteres" in _Inputs(poor.text).alerts[0]
    with open_product(workbench) as other:
        assert other.get("/primer-uso").headers["location"] == "/entrar"
        assert other.post("/primer-uso", data={**fields, "code": code[0]}).headers["location"] == "/entrar"
    with workbench.database.read() as session:
        from cgcore.storage.identity import list_users

        assert [(user.username, user.role) for user in list_users(session)] == [("jefa", Role.ADMIN.value)]


def test_a_reset_link_sets_a_password_once(client: TestClient, workbench: Workbench) -> None:
    """Looking does not use it up; the second use finds a dead link."""
    path = workbench.identity.accounts.issue_reset_link(ADMIN, "ana").reveal()

    shown = client.get(path)
    poor = client.post(path, data={"password": "corta"})
    saved = client.post(path, data={"password": "recién puesta"})
    again = client.post(path, data={"password": "y otra más larga"})

    assert "«ana»" in shown.text
    assert "API Key" in shown.text
    assert [shown.status_code, poor.status_code, saved.status_code, again.status_code] == [200, 422, 303, 410]
    assert client.get(path).status_code == 410
    assert "está guardada" in client.get(saved.headers["location"]).text
    assert _log_in(client, password="recién puesta").status_code == 303


def test_health_tells_the_database_and_opens_no_vault(client: TestClient, workbench: Workbench) -> None:
    """Anybody may ask; the keyring is not touched for it."""
    healthy = client.get("/salud")

    told = healthy.json()
    assert re.fullmatch("[0-9a-f]{8}", told.pop("instance"))
    assert (healthy.status_code, told) == (200, {"status": "ok", "database": "ok", "vault": "unopened"})
    assert not workbench.is_open("vault")


def test_health_is_503_when_the_database_does_not_answer(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """A load balancer takes the process out."""
    monkeypatch.setattr(workbench.database, "is_reachable", lambda: False)

    sick = client.get("/salud")

    assert (sick.status_code, sick.json()["status"], sick.json()["database"]) == (503, "error", "error")


@pytest.mark.parametrize(
    ("before", "target"),
    [
        ("http://{host}/mi-usuario?x=1", "/mi-usuario?x=1"),
        ("http://{host}/salir", "/"),
        ("http://{host}//ajena.example/x", "/"),
        ("http://ajena.example/mi-usuario", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
def test_a_log_in_that_ended_leads_back_to_its_page(client: TestClient, before: str, target: str) -> None:
    """The browser tells which page of ours has sent it here; what another site says counts for nothing."""
    host = client.base_url.netloc.decode()
    headers = {"referer": before.format(host=host)} if before else {}
    page = _Inputs(client.get("/entrar?aviso=fin", headers=headers).text)
    unasked = _Inputs(client.get("/entrar", headers=headers).text)

    assert page.inputs["next"]["value"] == target
    assert unasked.inputs["next"]["value"] == "/"
