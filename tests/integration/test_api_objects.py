"""What the API reads and writes: versions, isolation, wrong fields, probes, pairing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Role
from cgcore.mail.diagnosis.diagnose import explain_reply
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Cell, Status, Step, Verdict
from cgcore.templates.render import RenderRequest
from cgcore.web.api.app import build_app
from cgcore.workbench import Workbench
from cgcore.workbench.keys import PAIR_ACTION
from cgcore.workbench.runs import Job
from tests.servers.api_server import ApiServer, serve_api
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.daemon import free_ports
from tests.servers.house import add_series

ACCOUNT: dict[str, Any] = {
    "user": "ana@ejemplo.es",
    "smtp": {"host": "mail.ejemplo.es", "port": 587, "security": "starttls"},
    "imap": {"host": "mail.ejemplo.es", "port": 993, "security": "ssl", "pin": ""},
    "read_receipt": True,
    "sent_folder": "Enviados",
}
GUARDED: list[tuple[str, str, Any]] = [
    ("PUT", "/mail-account", ACCOUNT),
    ("PATCH", "/mail-account", {"sent_folder": "Otra"}),
    ("PUT", "/templates/quote", {"subject": "Hola", "body": "<p>Hola</p>"}),
    ("PUT", "/signature", {"html": "<p>Ana</p>"}),
    ("PUT", "/series-defaults", {"quote": None}),
]
WRITES: list[tuple[str, str, Any]] = [
    *GUARDED,
    ("PUT", "/mail-account/watch", {"enabled": False}),
    ("PUT", "/mail-account/bounces", {"enabled": True}),
    (
        "POST",
        "/mail-account/probe",
        {**ACCOUNT, "leg": "smtp", "smtp": {"host": "127.0.0.1", "port": 9}, "password": "x"},
    ),
    ("POST", "/api-key/roll", None),
    ("DELETE", "/api-key", None),
]
READS = [
    "/me",
    "/mail-account",
    "/mail-account/watch",
    "/mail-account/bounces",
    "/templates/quote",
    "/signature",
    "/series-defaults",
    "/activity",
    "/series",
]


@pytest.fixture
def api(workbench: Workbench) -> Iterator[ApiServer]:
    with serve_api(workbench) as server:
        yield server


@pytest.fixture
def ana(workbench: Workbench) -> Person:
    return add_person(workbench, "ana")


@pytest.fixture
def client(api: ApiServer, workbench: Workbench, ana: Person) -> Iterator[httpx.Client]:
    """A client with a key of ana's."""
    with api.client(issue_key(workbench, ana).key.reveal()) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body"), GUARDED, ids=lambda value: str(value)[:16])
def test_nobody_overwrites_what_they_have_not_read(client: httpx.Client, method: str, path: str, body: Any) -> None:
    """Without ``If-Match`` 428, stale 412, with the version read 200 and a new tag; ``*`` means any version."""

    def write(**headers: str) -> httpx.Response:
        return client.request(method, path, json=body, headers=headers)

    read = client.get(path)
    tag = read.headers["ETag"]
    missing, stale, weak = write(), write(**{"If-Match": '"999"'}), write(**{"If-Match": 'W/"999"'})
    untouched = client.get(path)
    written = write(**{"If-Match": f'"998", {tag}'})
    any_version = write(**{"If-Match": "*"})

    assert [missing.status_code, stale.status_code, weak.status_code] == [428, 412, 412]
    assert [missing.json()["code"], stale.json()["code"]] == ["precondition_required", "stale_version"]
    assert untouched.json() == read.json()
    assert written.status_code == 200
    assert client.get(path).headers["ETag"] == any_version.headers["ETag"]
    if path != "/series-defaults":  # null for null changes nothing there
        assert written.headers["ETag"] != tag
        assert write(**{"If-Match": tag}).status_code == 412


def everything(client: httpx.Client) -> list[Any]:
    """Return all that a key can see: what is stored, the message it makes, and what a probe would try."""
    answers = [client.get(read) for read in READS]
    assert {answer.status_code for answer in answers} == {200}
    made = [client.post("/templates/quote/render", json={}), client.post("/mail-account/probe", json={"leg": "smtp"})]
    return [answer.json() for answer in (*answers, *made)]


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=lambda value: str(value)[:16])
def test_what_one_user_writes_no_other_user_sees(
    api: ApiServer, workbench: Workbench, client: httpx.Client, method: str, path: str, body: Any
) -> None:
    """Every write of ana's against all that a colleague and an administrator see, whose keys go on."""
    others = [add_person(workbench, "ben"), add_person(workbench, "jefa", role=Role.ADMIN)]
    clients = [api.client(issue_key(workbench, person).key.reveal()) for person in others]
    before = [everything(other) for other in clients]
    written = client.request(method, path, json=body, headers={"If-Match": "*"})
    after = [everything(other) for other in clients]
    for other in clients:
        other.close()

    assert written.is_success
    assert after == before
    assert "ana" not in json.dumps([seen[: len(READS)] for seen in after])


MESSAGE_CHANGES = ("cancel", "skip-rest", "send-now", "resend", "look", "resolve")


def test_no_route_is_left_out_of_the_matrix(workbench: Workbench) -> None:
    """Every route is written to or read from above, or holds nothing of anybody's."""
    of_nobody = {("GET", "/document-types"), ("POST", "/explain"), ("POST", "/pairing"), ("POST", "/discover")}
    tried = {(method, path) for method, path, _ in WRITES} | {("GET", path) for path in READS}
    tried |= {("POST", "/templates/quote/render")}
    # In test_api_messages.py.
    tried |= {("GET", f"/messages{part}") for part in ("", "/{id}", "/{id}/raw", "/{id}/events")}
    tried |= {("POST", f"/messages{part}") for part in ("", *(f"/{{id}}/{name}" for name in MESSAGE_CHANGES))}
    routes = [route for route in build_app(workbench).routes if isinstance(route, APIRoute)]

    assert {(method, route.path.replace("{type}", "quote")) for route in routes for method in route.methods or ()} == (
        tried | of_nobody
    )


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def test_each_object_has_the_members_that_are_promised(client: httpx.Client, workbench: Workbench, ana: Person) -> None:
    """Name by name and value by value; nothing else is told, and no password."""
    root = ana.actor
    workbench.company.save(root, CompanyDraft("Tosma, SL", "B12345674", "Calle Mayor, 1"), 0)
    add_series(workbench, root, "A", DocumentType.QUOTE, DocumentType.SALES_INVOICE)
    add_series(workbench, root, "B", DocumentType.SALES_INVOICE, DocumentType.SALES_ORDER, number=7)
    add_series(workbench, root, "C", DocumentType.SALES_ORDER)
    workbench.series.defaults.save_company(root, {DocumentType.SALES_ORDER: "C"}, None)
    account = client.put("/mail-account", json={**ACCOUNT, "password": "x"}, headers={"If-Match": "*"}).json()
    chosen = client.put("/series-defaults", json={"sales_invoice": "B"}, headers={"If-Match": "*"}).json()
    line = client.get("/activity").json()["items"][0]
    key = workbench.keys.list_keys(root)[0]

    assert client.get("/me").json() == {
        "user": {"username": "ana", "full_name": "", "mail": "", "role": "admin"},
        "company": {"name": "Tosma, SL", "tax_id": "B12345674", "address": "Calle Mayor, 1"},
        "scopes": ["read", "write", "send"],
    }
    assert (
        account
        == client.get("/mail-account").json()
        == {
            **ACCOUNT,
            "auth": "password",
            "sender": {"name": "", "reply_to": "", "copy_to_self": False},
            "logins": {"smtp": "", "imap": ""},
            "connected": None,
            "password_set": True,
            "version": 1,
        }
    )
    assert set(client.get("/templates/quote").json()) == {"subject", "body", "version"}
    assert set(client.get("/signature").json()) == {"html", "version"}
    assert client.get("/document-types").json()[0] == {
        "code": "quote",
        "name": "Presupuesto",
        "group": "Ventas",
        "template": True,
    }
    assert [entry["code"] for entry in client.get("/document-types").json()] == [code.value for code in DocumentType]
    assert client.get("/series", params={"cursor": "A", "limit": 1}).json() == {
        "items": [
            {
                "code": "B",
                "name": "",
                "kind": "ordinaria",
                "active": True,
                "document_types": {"sales_order": 7, "sales_invoice": 7},
                "version": 1,
            }
        ],
        "next": "B",
    }
    assert chosen == client.get("/series-defaults").json()
    assert list(chosen) == [code.value for code in DocumentType]
    assert [chosen[code] for code in ("quote", "sales_order", "sales_invoice", "work_report")] == [
        {"series": None, "effective": "A", "reason": "only_one"},
        {"series": None, "effective": "C", "reason": "company"},
        {"series": "B", "effective": "B", "reason": "user"},
        {"series": None, "effective": None, "reason": "none"},
    ]
    assert client.post("/explain", json={"protocol": "smtp", "text": "535 5.7.8 Authentication failed"}).json() == (
        explain_reply("535 5.7.8 Authentication failed", protocol="smtp").to_json()
    )
    assert set(line) == {"id", "at", "user", "action", "object", "result", "detail", "ip", "key_id"}
    assert (line["user"], line["result"], line["ip"], line["key_id"]) == ("ana", "ok", "127.0.0.1", key.id)


def test_a_rendering_is_the_one_of_page_and_command_line(
    client: httpx.Client, workbench: Workbench, ana: Person
) -> None:
    """Subject, HTML, text, images and checks, each with the members that are promised."""
    parts = {"subject": "{serie}", "body": f'<p>{{sere}}<img src="{PIXEL}" width="8" height="4"></p>', "signature": ""}
    rendered = client.post("/templates/quote/render", json={**parts, "variables": {"serie": "A7"}}).json()
    same = workbench.templates.render(
        ana.actor, DocumentType.QUOTE, RenderRequest(**parts, variables={"serie": "A7"})
    ).to_dict()
    image, found = rendered["images"][0], {check["code"]: check for check in rendered["checks"]}

    assert rendered == json.loads(json.dumps(same))
    assert set(rendered) == {"subject", "html", "text", "images", "checks"}
    assert set(image) == {"cid", "type", "width", "height", "bytes"}
    assert (image["type"], image["width"], image["height"]) == ("image/png", 8, 4)
    assert set(found) == {"unknown_variable", "missing_alt"}
    assert set(found["missing_alt"]) == {
        "code", "severity", "field", "position", "variable", "suggestion", "message",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "field"),
    [("/activity?limit=0", "limit"), ("/activity?cursor=x", "cursor"), ("/series?limit=201", "limit")],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, path: str, field: str) -> None:
    """As a wrong field is, with a sentence."""
    answer = client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer.json()["errors"][0]["message"].endswith(".")


def test_a_cursor_of_one_trail_shows_nothing_of_another(
    api: ApiServer, workbench: Workbench, client: httpx.Client
) -> None:
    """The pages of a trail are its owner's lines, each once, whatever cursor is given."""
    boss = add_person(workbench, "jefa", role=Role.ADMIN)
    for _ in range(3):
        client.put("/signature", json={"html": "<p>x</p>"}, headers={"If-Match": "*"})
    first = client.get("/activity", params={"limit": 2}).json()
    rest = client.get("/activity", params={"limit": 200, "cursor": first["next"]}).json()
    with api.client(issue_key(workbench, boss).key.reveal()) as other:
        foreign = other.get("/activity", params={"cursor": first["next"]}).json()
    ids = [line["id"] for line in (*first["items"], *rest["items"])]

    assert len(first["items"]) == 2
    assert ids == sorted(set(ids), reverse=True)
    assert rest["next"] is None
    assert {line["user"] for line in (*first["items"], *rest["items"])} == {"ana"}
    assert {line["user"] for line in foreign["items"]} <= {"jefa"}


@pytest.mark.parametrize(
    "path",
    ["/templates/purchase_invoice", "/templates/nada", "/templates/nada/render", "/nada", "/me/", "/nada/a%0Ab"],
)
def test_what_does_not_exist_is_not_found(client: httpx.Client, path: str) -> None:
    """A type without template is as unknown as one that nobody has heard of."""
    method = "POST" if path.endswith("render") else "GET"
    answer = client.request(method, path, json={} if method == "POST" else None)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda account: account["smtp"].update(host="http://mail.es"), "smtp.host"),
        (lambda account: account["smtp"].update(port=70000), "smtp.port"),
        (lambda account: account["smtp"].update(security="ssl-pinned"), "smtp.security"),
        (lambda account: account["imap"].update(security="ssl-pinned", pin="xx"), "imap.pin"),
        (lambda account: account.update(password="a&b"), "password"),
        (lambda account: account.update(read_receipt="sí"), "read_receipt"),
        (lambda account: account.update(otro=1), "otro"),
        (lambda account: account.pop("imap"), "imap"),
        (lambda account: account.update(sender={"name": "Tosma <a@b.es>"}), "sender.name"),
        (lambda account: account.update(sender={"reply_to": "tosma"}), "sender.reply_to"),
    ],
    ids=["host", "port", "security", "pin", "ampersand", "type", "unknown", "missing", "name", "reply_to"],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(
    client: httpx.Client, change: Callable[[dict[str, Any]], Any], field: str
) -> None:
    """By the name it has in the request, with a Spanish sentence; the value given is not repeated."""
    account = json.loads(json.dumps(ACCOUNT))
    change(account)
    answer = client.put("/mail-account", json=account, headers={"If-Match": "*"})
    errors = answer.json()["errors"]

    assert answer.status_code == 422
    assert [error["field"] for error in errors] == [field]
    assert errors[0]["message"].endswith(".")
    assert "a&b" not in answer.text
    assert client.get("/mail-account").json()["version"] == 0


def test_the_password_goes_in_and_never_comes_out(client: httpx.Client, workbench: Workbench, ana: Person) -> None:
    """Absent keeps it, empty removes it, another server asks for it again; no answer repeats it."""
    secret = "S3cr3t-ñ"
    answers = [client.put("/mail-account", json={**ACCOUNT, "password": secret}, headers={"If-Match": "*"})]
    answers.append(client.patch("/mail-account", json={"sent_folder": "Otra"}, headers={"If-Match": "*"}))
    kept = workbench.vault.get(f"mail/{ana.actor.user_id}")
    moved = client.patch("/mail-account", json={"smtp": {"host": "otro.es"}}, headers={"If-Match": "*"})
    answers.append(client.patch("/mail-account", json={"password": ""}, headers={"If-Match": "*"}))

    assert kept is not None
    assert kept.reveal() == secret
    assert [answer.json()["password_set"] for answer in answers] == [True, True, False]
    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (422, "password")
    assert secret not in "".join(answer.text for answer in (*answers, moved))


def test_an_account_signs_in_by_a_provider_only_where_it_is_connected(client: httpx.Client) -> None:
    """Else it is refused and nothing is stored; left out, the way to sign in stays as it is."""
    headers = {"If-Match": "*"}
    client.put("/mail-account", json={**ACCOUNT, "password": "x"}, headers=headers)
    refused = client.patch("/mail-account", json={"auth": "google"}, headers=headers)
    unknown = client.patch("/mail-account", json={"auth": "yahoo"}, headers=headers)
    again = client.put("/mail-account", json={**ACCOUNT, "auth": "custom", "connected": None}, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_connected")
    assert (unknown.status_code, again.status_code) == (422, 409)
    assert client.put("/mail-account", json=ACCOUNT, headers=headers).json()["auth"] == "password"


def test_a_merge_changes_only_what_it_names(client: httpx.Client) -> None:
    """One member of a server leaves its others; null empties a port and is refused where a value must stand."""
    client.put("/mail-account", json=ACCOUNT, headers={"If-Match": "*"})
    one = client.patch("/mail-account", json={"imap": {"port": None}}, headers={"If-Match": "*"}).json()
    wrong = client.patch("/mail-account", json={"imap": {"host": None}}, headers={"If-Match": "*"})

    assert one["imap"] == {**ACCOUNT["imap"], "port": None}
    assert one["smtp"] == ACCOUNT["smtp"]
    assert wrong.json()["errors"][0]["field"] == "imap.host"


def test_who_does_not_name_the_sender_leaves_it_as_it_is(client: httpx.Client) -> None:
    """A whole account without it, as programs of before send one, takes nothing away; one member leaves its others."""
    headers = {"If-Match": "*"}
    sender = {"name": "Tosma, SL", "reply_to": "ana@tosma.es", "copy_to_self": True}
    client.put("/mail-account", json={**ACCOUNT, "sender": sender}, headers=headers)
    kept = client.put("/mail-account", json=ACCOUNT, headers=headers).json()
    one = client.patch("/mail-account", json={"sender": {"reply_to": ""}}, headers=headers).json()

    assert kept["sender"] == sender
    assert one["sender"] == {**sender, "reply_to": ""}


def test_each_server_may_be_told_its_own_user(client: httpx.Client) -> None:
    """One is changed and the other stays; a whole account without them leaves both, and a wrong one is named."""
    headers = {"If-Match": "*"}
    logins = {"smtp": "ana@tosma.es", "imap": "ventas@tosma.es"}
    client.put("/mail-account", json={**ACCOUNT, "logins": logins}, headers=headers)
    kept = client.put("/mail-account", json=ACCOUNT, headers=headers).json()
    one = client.patch("/mail-account", json={"logins": {"imap": ""}}, headers=headers).json()
    wrong = client.patch("/mail-account", json={"logins": {"smtp": "ana\r\nRCPT"}}, headers=headers)

    assert kept["logins"] == logins
    assert one["logins"] == {**logins, "imap": ""}
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "logins.smtp"


def test_a_probe_streams_its_steps_and_ends_with_the_verdict(client: httpx.Client) -> None:
    """One JSON line a step, the verdict last; what was tried for the probe is not stored."""
    port = free_ports(1)[0]
    body = {"leg": "smtp", "user": "ana@ejemplo.es", "smtp": {"host": "127.0.0.1", "port": port, "security": "none"}}
    with client.stream("POST", "/mail-account/probe", json={**body, "password": "x"}) as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]
        content_type = answer.headers["Content-Type"]

    assert content_type.startswith("application/x-ndjson")
    assert {line["leg"] for line in lines[:-1]} == {"smtp"}
    assert lines[-2]["key"] == lines[-1]["verdict"] == "port_closed"
    assert lines[-1]["title"]
    assert client.get("/mail-account").json()["version"] == 0


def test_each_step_of_a_probe_is_sent_when_it_happens(client: httpx.Client, workbench: Workbench, ana: Person) -> None:
    """The first line is read before the second step is done."""
    client.put("/mail-account", json={**ACCOUNT, "password": "x"}, headers={"If-Match": "*"})
    first_read, in_time = threading.Event(), list[bool]()

    def steps() -> Iterator[Step]:
        yield Step(Leg.SMTP, Stage.DNS, Status.OK)
        in_time.append(first_read.wait(20))
        yield Step(Leg.SMTP, Stage.TCP, Status.OK)

    draft = workbench.mail_account.get(ana.actor).draft
    fingerprint = workbench.mail_runs.fingerprint(ana.actor, Cell.SMTP, draft)
    workbench.runs.start(ana.actor, Cell.SMTP, fingerprint, Job(steps, lambda _steps, ms: Verdict("ok", "", ms)))
    with client.stream("POST", "/mail-account/probe", json={"leg": "smtp"}) as answer:
        lines = answer.iter_lines()
        told = [json.loads(next(lines))]
        first_read.set()
        told += [json.loads(line) for line in lines]

    assert in_time == [True]
    assert [line.get("stage") for line in told] == ["dns", "tcp", ""]
    assert set(told[-1]) == {"verdict", "stage", "ms", "title", "fix"}


def test_a_probe_is_never_answered_with_another_ones_verdict(
    client: httpx.Client, workbench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the page tests other settings of the same leg, the API's probe waits its turn and then runs."""
    release = threading.Event()

    def steps() -> Iterator[Step]:
        release.wait(20)
        yield Step(Leg.SMTP, Stage.DNS, Status.OK)

    verdict = Verdict("unclassified", "dns", 1, {"reply": "La de la página"})
    workbench.runs.start(ana.actor, Cell.SMTP, "other settings", Job(steps, lambda _steps, _ms: verdict))
    follow = workbench.runs.follow
    monkeypatch.setattr(workbench.runs, "follow", lambda *given, **named: (release.set(), follow(*given, **named))[1])
    port = free_ports(1)[0]
    body = {"leg": "smtp", "user": "ana@ejemplo.es", "smtp": {"host": "127.0.0.1", "port": port, "security": "none"}}
    answer = client.post("/mail-account/probe", json={**body, "password": "x"})

    assert json.loads(answer.text.splitlines()[-1])["verdict"] == "port_closed"
    assert "La de la página" not in answer.text


def test_an_incomplete_account_is_refused_before_any_connection(client: httpx.Client) -> None:
    """As a problem that names the fields as the request does."""
    answer = client.post("/mail-account/probe", json={"leg": "imap"})

    assert answer.status_code == 422
    assert {"user", "imap.host"} <= {error["field"] for error in answer.json()["errors"]}


def test_texts_are_rendered_one_after_the_other_and_no_other_call_waits_for_them(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, client: httpx.Client
) -> None:
    """Beside each other they would only be slower, all of them."""
    render, inside, done = workbench.templates.render, threading.Semaphore(0), threading.Event()

    def render_slowly(*given: Any) -> Any:
        inside.release()
        assert done.wait(20)
        return render(*given)

    monkeypatch.setattr(workbench.templates, "render", render_slowly)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(client.post, "/templates/quote/render", json={}) for _ in range(3)]
        assert inside.acquire(timeout=20)
        answered = client.get("/me")
        met = inside.acquire(timeout=0.5)  # where two are let in this does not wait; where not, nothing else ends it
        done.set()

    assert answered.status_code == 200
    assert not met
    assert [each.result().status_code for each in asked] == [200] * 3


def test_a_rendering_takes_the_stored_parts_for_what_is_left_out(client: httpx.Client) -> None:
    """An empty part is empty; an unknown variable is a check and no refusal."""
    client.put("/templates/quote", json={"subject": "S {serie}", "body": "<p>B</p>"}, headers={"If-Match": "*"})
    client.put("/signature", json={"html": "<p>F</p>"}, headers={"If-Match": "*"})
    whole = client.post("/templates/quote/render", json={"variables": {"serie": "A7"}}).json()
    empty = client.post("/templates/quote/render", json={"subject": "{sere}", "signature": ""}).json()

    assert whole["subject"] == "S A7"
    assert whole["text"].split() == ["B", "--", "F"]
    assert empty["text"].split() == ["B"]
    assert [(check["code"], check["suggestion"]) for check in empty["checks"]] == [("unknown_variable", "serie")]


def test_a_device_pairs_itself_without_a_key(api: ApiServer, workbench: Workbench, ana: Person) -> None:
    """The code gives one key, once; guessing is slowed down by address."""
    code = workbench.keys.pair_start(ana.actor, ana.grant(workbench, PAIR_ACTION), api.url).code.reveal()
    with api.client() as client:
        wrong = client.post("/pairing", json={"code": "no es", "device": "Móvil"})
        first = client.post("/pairing", json={"code": code, "device": "Móvil"})
        second = client.post("/pairing", json={"code": code, "device": "Otro"})
        guesses = [client.post("/pairing", json={"code": "x", "device": "y"}).status_code for _ in range(30)]
    with api.client(first.json()["key"]) as client:
        name = client.get("/me").json()["user"]["username"]

    assert [wrong.status_code, first.status_code, second.status_code] == [422, 201, 422]
    assert second.json()["errors"][0]["code"] == "unknown_code"
    assert set(first.json()) == {"key", "id"}
    assert name == "ana"
    assert guesses[-1] == 429


def test_a_key_rolls_and_revokes_itself(api: ApiServer, client: httpx.Client) -> None:
    """The new key works at once and ends the old one; DELETE ends the caller's own."""
    rolled = client.post("/api-key/roll")
    old_before = client.get("/me").status_code
    with api.client(rolled.json()["key"]) as new:
        new_status, old_after = new.get("/me").status_code, client.get("/me").status_code
        gone = new.delete("/api-key")
        afterwards = new.get("/me").status_code

    assert rolled.status_code == 201
    assert set(rolled.json()) == {"key", "id", "old_expires"}
    assert [old_before, new_status, old_after] == [200, 200, 401]
    assert (gone.status_code, gone.content, afterwards) == (204, b"", 401)


def test_calls_are_recorded_with_what_they_asked(
    api: ApiServer, client: httpx.Client, workbench: Workbench, ana: Person
) -> None:
    """Method, path below the API without its query, status; a refused call without a key leaves none."""
    client.get("/activity", params={"limit": 1})
    client.get("/nada")
    with api.client() as stranger:
        stranger.get("/me")
    key = workbench.keys.list_keys(ana.actor)[0]
    calls = workbench.keys.calls(ana.actor, key.id)

    assert [(call.method, call.path, call.status) for call in calls.last] == [
        ("GET", "/nada", 404),
        ("GET", "/activity", 200),
    ]
    assert calls.days[-1].calls == 2
    assert key.last_ip == "127.0.0.1"
