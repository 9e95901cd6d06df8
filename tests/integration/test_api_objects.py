"""What the API reads and writes: versions, isolation, wrong fields, probes, pairing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cgcore.identity.actor import Role
from cgcore.mail.steps import Leg, Stage, Status, Step, Verdict
from cgcore.runs import Cell
from cgcore.workbench import Workbench
from cgcore.workbench.keys import PAIR_ACTION
from cgcore.workbench.runs import Job
from tests.servers.api_server import ApiServer, serve_api
from tests.servers.api_users import Person, add_person, issue_key
from tests.servers.daemon import free_ports

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
READS = ["/me", "/mail-account", "/templates/quote", "/signature", "/series-defaults", "/activity", "/series"]


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
    """Without ``If-Match`` 428, stale or weak 412, with the version read 200 and a new tag; ``*`` means any version."""

    def write(**headers: str) -> httpx.Response:
        return client.request(method, path, json=body, headers=headers)

    read = client.get(path)
    tag = read.headers["ETag"]
    missing, stale, weak = write(), write(**{"If-Match": '"999"'}), write(**{"If-Match": f"W/{tag}"})
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


@pytest.mark.parametrize(("method", "path", "body"), GUARDED, ids=lambda value: str(value)[:16])
def test_what_one_user_writes_no_other_user_sees(
    api: ApiServer, workbench: Workbench, client: httpx.Client, method: str, path: str, body: Any
) -> None:
    """Every write of ana's against every read of a colleague's and of an administrator's."""
    others = [add_person(workbench, "ben"), add_person(workbench, "jefa", role=Role.ADMIN)]
    clients = [api.client(issue_key(workbench, person).key.reveal()) for person in others]
    before = [[other.get(read).json() for read in READS] for other in clients]
    written = client.request(method, path, json=body, headers={"If-Match": "*"})
    after = [[other.get(read).json() for read in READS] for other in clients]
    for other in clients:
        other.close()

    assert written.status_code == 200
    assert after == before
    assert "ana" not in json.dumps(after)


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
    "path", ["/templates/purchase_invoice", "/templates/nada", "/templates/nada/render", "/nada", "/me/"]
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
    ],
    ids=["host", "port", "security", "pin", "ampersand", "type", "unknown", "missing"],
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


def test_a_merge_changes_only_what_it_names(client: httpx.Client) -> None:
    """One member of a server leaves its others; null empties a port and is refused where a value must stand."""
    client.put("/mail-account", json=ACCOUNT, headers={"If-Match": "*"})
    one = client.patch("/mail-account", json={"imap": {"port": None}}, headers={"If-Match": "*"}).json()
    wrong = client.patch("/mail-account", json={"imap": {"host": None}}, headers={"If-Match": "*"})

    assert one["imap"] == {**ACCOUNT["imap"], "port": None}
    assert one["smtp"] == ACCOUNT["smtp"]
    assert wrong.json()["errors"][0]["field"] == "imap.host"


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


def test_a_probe_is_never_answered_with_another_ones_verdict(
    client: httpx.Client, workbench: Workbench, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the page tests other settings of the same leg, the API's probe waits its turn and then runs."""
    release = threading.Event()

    def steps() -> Iterator[Step]:
        release.wait(20)
        yield Step(Leg.SMTP, Stage.DNS, Status.OK)

    verdict = Verdict("ok", "dns", 1, "La de la página", "")
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
