"""The outbox by the API: keys, bodies, states, and what a caller is told."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import tracemalloc
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Role, Scope
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.storage.bounce_tables import BounceNoticeRow
from cgcore.storage.database import open_database
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.web.api.problems import ApiProblem
from cgcore.web.api.requests import limit_body
from cgcore.web.api.scopes import COSTS, Allowance
from cgcore.workbench import Workbench
from tests.conftest import make_settings
from tests.servers.api_server import serve_api
from tests.servers.api_users import add_person, issue_key
from tests.servers.house import add_series
from tests.servers.scripted import ScriptedServer, smtp_server

_FILE = b"%PDF-1.7\n" + bytes(range(256)) * 40
_DOCUMENT: dict[str, Any] = {
    "type": "sales_invoice",
    "series": "F",
    "number": "21043",
    "customer": "Talleres Ruiz",
    "to": ["Eva Ruiz <eva@example.com>"],
    "bcc": ["gestoria@example.com"],
    "variables": {"contacto": "Eva", "fecha": "1/12", "importe": "9 €", "vencimiento": "1/1"},
}
_ATTACHED = {"name": "f.pdf", "type": "application/pdf", "data": base64.b64encode(_FILE).decode()}


@dataclass
class _Office:
    """An API with a sender behind it."""

    workbench: Workbench
    client: httpx.Client
    other: httpx.Client
    reader: httpx.Client
    server: ScriptedServer

    def post(self, key: str = "k", **change: Any) -> httpx.Response:
        return self.client.post("/messages", json={**_DOCUMENT, **change}, headers={"Idempotency-Key": key})

    def work(self) -> None:
        self.workbench.outbox.worker.work_once()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Office]:
    """One for all tests: each takes keys of its own."""
    folder: Path = tmp_path_factory.mktemp("office")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        settings = make_settings(folder, sandbox="off")
        workbench = Workbench(settings, open_database(settings.resolved_database_url()))
        ana, luis = add_person(workbench, "ana", role=Role.ADMIN), add_person(workbench, "luis")
        add_series(workbench, ana.actor, "F", DocumentType.SALES_INVOICE)
        workbench.company.save(ana.actor, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Luz, 12"), 0)
        workbench.users.save_own(ana.actor, "Ana Tosma", "ana@example.com", 1)
        keys = [issue_key(workbench, ana), issue_key(workbench, luis), issue_key(workbench, ana, scopes=[Scope.READ])]
        with smtp_server() as server, serve_api(workbench) as api:
            smtp = ServerDraft("127.0.0.1", server.port, Security.NONE)
            draft = MailAccountDraft("ana@example.com", Secret("correcto-Caballo.9"), smtp, ServerDraft("", ""))
            workbench.mail_account.save(ana.actor, draft, version=0)
            clients = [api.client(key.key.reveal()) for key in keys]
            yield _Office(workbench, clients[0], clients[1], clients[2], server)
            for client in clients:
                client.close()
        workbench.close()


def test_a_message_is_handed_in_sent_and_told(office: _Office) -> None:
    """202 with its place; then sent, with the server's own id, and the very bytes to read."""
    sent = len(office.server.messages)
    posted = office.post("sent", attachments=[_ATTACHED])
    path = f"/messages/{posted.json()['id']}"
    office.work()
    told = office.client.get(path).json()
    raw = office.client.get(f"{path}/raw")
    events = [json.loads(line) for line in office.client.get(f"{path}/events").text.splitlines()]

    assert (posted.status_code, posted.headers["Location"]) == (202, f"/api/v1{path}")
    assert (posted.json()["state"], posted.json()["attempts"], posted.json()["reason"]) == ("queued", [], None)
    assert (told["state"], told["queue_id"], told["host"]) == ("sent", "4F1A2B3C4D", "127.0.0.1")
    assert [(each["kind"], each["address"], each["state"]) for each in told["recipients"]] == [
        ("to", "eva@example.com", "accepted"),
        ("bcc", "gestoria@example.com", "accepted"),
    ]
    assert told["copy"] == {"state": "none", "folder": "", "key": ""}
    assert [attempt["stage"] for attempt in told["attempts"]] == ["final"]
    assert office.server.messages[sent:] == [raw.content]
    assert (raw.headers["Content-Type"], len(raw.content)) == ("message/rfc822", told["size"])
    assert base64.encodebytes(_FILE)[:60] in raw.content
    assert b"gestoria" not in raw.content
    assert [event["state"] for event in events] == ["sent"]


def test_a_key_is_one_message_however_it_is_encoded(office: _Office) -> None:
    """JSON and multipart of the same content are the same request; another content is another request."""
    first = office.post("same", attachments=[_ATTACHED])
    again = office.client.post(
        "/messages",
        data={"message": json.dumps(_DOCUMENT)},
        files=[("file", ("f.pdf", _FILE, "application/pdf"))],
        headers={"Idempotency-Key": "same"},
    )
    other = office.post("same", attachments=[_ATTACHED], number="2")

    assert (first.status_code, again.status_code, again.json()) == (202, 200, first.json())
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_twenty_at_once_with_one_key_are_one_message_and_another_content_is_refused(office: _Office) -> None:
    """One is taken; the others are told of it, or that it is being stored. Nobody gets a second mail."""
    gate = threading.Barrier(20)

    def ask(number: int) -> httpx.Response:
        gate.wait(30)
        return office.post("twenty", number="88044" if number % 5 else "88045")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, range(20)))
    office.work()
    taken = [answer for answer in answers if answer.status_code == 202]
    same = [answer for answer in answers if answer.status_code == 200]
    names = {answer.json()["id"] for answer in (*taken, *same)}
    content = {answer.json()["number"] for answer in (*taken, *same)}

    assert (len(taken), len(names), len(content)) == (1, 1, 1)
    assert {answer.status_code for answer in answers} <= {200, 202, 409, 422}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
    assert office.post("twenty", number=content.pop()).json()["id"] == names.pop()
    assert office.post("twenty", number="1").json()["code"] == "idempotency_key_reused"
    assert sum(b"F 8804" in raw for raw in office.server.messages) == 1


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"type": "letter"}, 422, "unknown_type", "type"),
        ({"type": "purchase_invoice"}, 422, "unknown_type", "type"),
        ({"series": "X"}, 422, "unknown_series", "series"),
        ({"to": []}, 422, "invalid_input", "to"),
        ({"to": ["eva"]}, 422, "invalid_input", "to"),
        ({"number": 7}, 422, "invalid_input", "number"),
        ({"customer": "a\r\nBcc: x@example.com"}, 422, "invalid_input", "customer"),
        ({"delay": -1}, 422, "invalid_input", "delay"),
        ({"nothing": 1}, 422, "invalid_input", "nothing"),
        ({"bcc": ["a@example.com"] * 100}, 422, "too_many_recipients", "to"),
        ({"attachments": [{**_ATTACHED, "data": ""}]}, 422, "empty_attachment", "attachments"),
        ({"attachments": [{**_ATTACHED, "data": "?"}]}, 422, "invalid_input", "attachments.0.data"),
        ({"subject": "{nada}"}, 422, "unsendable", "subject"),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_field(
    office: _Office, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    """And the key is free: the corrected request may take it."""
    key = f"{field}-{len(json.dumps(change))}"
    refused = office.post(key, **change)

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert field in [error["field"] for error in refused.json()["errors"]]
    assert ("checks" in refused.json()) == (code == "unsendable")
    assert office.post(key).status_code == 202


@pytest.mark.parametrize(("key", "code"), [("", "idempotency_key_form"), ("x" * 201, "idempotency_key_form")])
def test_a_message_has_a_key(office: _Office, key: str, code: str) -> None:
    """Without one nobody could tell a repetition from a second message."""
    missing = office.client.post("/messages", json=_DOCUMENT)

    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    assert (office.post(key).status_code, office.post(key).json()["code"]) == (400, code)


def test_a_delay_can_be_ended_and_a_message_taken_back(office: _Office) -> None:
    """Until it has gone; then 409."""
    now, never = (office.post(key, delay=600).json()["id"] for key in ("now", "never"))
    cancelled = office.client.post(f"/messages/{never}/cancel")
    hurried = office.client.post(f"/messages/{now}/send-now")
    office.work()
    states = [office.client.get(f"/messages/{name}").json()["state"] for name in (now, never)]
    late = [office.client.post(f"/messages/{now}/{change}") for change in ("cancel", "send-now", "resend")]
    late.append(office.client.post(f"/messages/{now}/resolve", json={"outcome": "sent"}))

    assert (cancelled.status_code, cancelled.json()["state"], hurried.status_code) == (200, "cancelled", 202)
    assert states == ["sent", "cancelled"]
    assert {(answer.status_code, answer.json()["code"]) for answer in late} == {(409, "too_late")}
    assert office.client.post(f"/messages/{now}/resolve", json={"outcome": "lost"}).status_code == 422


def test_the_words_of_a_copy_are_looked_for_and_are_no_states(office: _Office) -> None:
    """Who looks for what is sent finds all of it; what some have already is ended for the others, once."""
    names = [office.post(f"copy-{number}").json()["id"] for number in range(4)]
    copies = ("pending", "failed", "stored", "none")
    with office.workbench.database.session() as session:
        for name, copied in zip(names, copies, strict=True):
            values: dict[str, Any] = {"copy_state": copied, "accepted": datetime.now(UTC)}
            values["state"] = "sent" if copied != "none" else "held"
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name).values(**values))

    def find(state: str) -> list[tuple[str, str]]:
        found = office.client.get("/messages", params={"state": state}).json()["items"]
        return [(each["state"], each["copy"]["state"]) for each in reversed(found) if each["id"] in names]

    found = {state: find(state) for state in ("sent", "copy_pending", "copy_failed")}
    ended, again = (office.client.post(f"/messages/{names[3]}/skip-rest") for _ in range(2))

    assert found == {
        "sent": [("sent", "pending"), ("sent", "failed"), ("sent", "stored")],
        "copy_pending": [("sent", "pending")],
        "copy_failed": [("sent", "failed")],
    }
    assert (ended.status_code, ended.json()["state"]) == (200, "sent")
    assert {each["state"] for each in ended.json()["recipients"]} == {"skipped"}
    assert (again.status_code, again.json()["code"]) == (409, "too_late")


def test_messages_are_their_owners_and_need_the_right_to_send(office: _Office) -> None:
    """Somebody else's does not exist, and a key that only reads sees none."""
    name = office.post("mine").json()["id"]
    mine = office.client.get("/messages", params={"q": "talleres", "limit": 1}).json()

    assert len(mine["items"]) == 1
    assert "attempts" not in mine["items"][0]
    assert mine["next"]
    assert office.other.get("/messages").json() == {"items": [], "next": None}
    assert [office.other.get(f"/messages/{name}{part}").status_code for part in ("", "/raw", "/events")] == [404] * 3
    assert office.other.post(f"/messages/{name}/cancel").status_code == 404
    assert office.reader.get("/messages").status_code == 403
    without = office.other.post("/messages", json=_DOCUMENT, headers={"Idempotency-Key": "k"})
    assert (without.status_code, without.json()["code"]) == (409, "account_missing")


def test_what_came_back_and_what_goes_once_more_is_told(office: _Office) -> None:
    """``bounced`` are those of the sent ones that came back from anybody; a repetition names what it repeats."""
    (who,) = office.workbench.outbox.list_people("ana")
    names = [office.post(f"back{number}", number=f"back{number}").json()["id"] for number in (1, 2)]
    office.work()
    with office.workbench.database.session() as session:
        told = {"message_id": names[1], "report": "r", "place": 0, "kind": "failed", "at": datetime.now(UTC)}
        session.add(BounceNoticeRow(user_id=who.user_id, **told))
    again = office.workbench.by_hand.send_again(who, names[0], "once-more")
    bounced, sent = (
        office.client.get("/messages", params={"state": state, "q": "back"}).json()["items"]
        for state in ("bounced", "sent")
    )
    told = [office.client.get(f"/messages/{name}").json()["resent_of"] for name in (names[0], again.id)]

    assert [(each["id"], each["state"], each["bounced"]) for each in bounced] == [(names[1], "sent", True)]
    assert [(each["id"], each["bounced"]) for each in sent] == [(names[1], True), (names[0], False)]
    assert told == ["", names[0]]
    assert office.client.get("/messages", params={"state": "storing"}).status_code == 422


def test_a_look_costs_as_much_as_a_probe(office: _Office) -> None:
    """It enters a mailbox: a key that asks again and again is told to wait, before a provider locks it."""
    ana = add_person(office.workbench, "cara")
    key = issue_key(office.workbench, ana, scopes=[Scope.SEND]).key.reveal()
    allowance = Allowance(capacity=COSTS[Scope.SEND] + 1, per_second=1.0, now=lambda: 0.0)
    with serve_api(office.workbench, allowance=allowance) as server, server.client(key) as client:
        answers = [client.post("/messages/none/look").status_code for _ in range(2)]
        answers.append(client.get("/messages/none").status_code)

    assert answers == [404, 429, 404]


def test_a_key_that_only_reads_sees_no_address_of_a_customer(office: _Office) -> None:
    """What came back and names no message is for keys that see messages."""
    (who,) = office.workbench.outbox.list_people("ana")
    told = {"report": "r9", "place": 0, "kind": "failed", "at": datetime.now(UTC), "address": "eva@cliente.example"}
    with office.workbench.database.session() as session:
        session.add(BounceNoticeRow(user_id=who.user_id, **told))
    seen = [client.get("/mail-account/bounces").text for client in (office.client, office.reader)]

    assert ["eva@cliente.example" in text for text in seen] == [True, False]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[" * 50_000, 400, "body_too_deep"),
        (b"\xff", 400, "bad_request"),
        (b"[]", 422, "invalid_input"),
    ],
)
def test_a_body_that_is_no_message_is_refused(office: _Office, body: bytes, status: int, code: str) -> None:
    """However it is broken."""
    headers = {"Idempotency-Key": "broken", "Content-Type": "application/json"}
    refused = office.client.post("/messages", content=body, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


@pytest.mark.parametrize("kind", ["form", "json"])
@pytest.mark.parametrize(
    ("key", "part", "told"),
    [
        ("attachments", b'{"data":""},', ("attachments", "too_long", "Tiene demasiados elementos: hasta 50.")),
        (
            "to",
            b"[],",
            ("body", "json_parts", "Sin contar los archivos, el JSON tiene demasiados elementos. Envía menos."),
        ),
        ("to", b'"%s",' % (b"x" * 100_000), ("body", "json_text", "")),
    ],
)
def test_what_is_small_outside_and_large_inside_takes_no_memory(
    office: _Office, kind: str, key: str, part: bytes, told: tuple[str, str, str]
) -> None:
    """Nine megabytes of parts are refused over what they would be once they are read, and in another thread."""
    body = b'{"%s":[' % key.encode() + part * (9_000_000 // len(part)) + b"0]}"
    mark = b"la-frontera"
    form = b'--%s\r\nContent-Disposition: form-data; name="message"\r\n\r\n%s\r\n--%s--\r\n' % (mark, body, mark)
    types = {"form": f"multipart/form-data; boundary={mark.decode()}", "json": "application/json"}
    headers = {"Idempotency-Key": f"dense-{kind}", "Content-Type": types[kind]}
    content = form if kind == "form" else body
    tracemalloc.start()
    refused = office.client.post("/messages", content=content, headers=headers, timeout=90)
    peak = tracemalloc.get_traced_memory()[1] / len(body)
    tracemalloc.stop()

    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["field"], error["code"]) == (422, *told[:2])
    assert error["message"].startswith(told[2])
    assert peak < 6, peak


@pytest.mark.parametrize("kind", ["form", "json"])
def test_a_large_file_that_is_handed_in_is_in_memory_once(office: _Office, kind: str) -> None:
    """25 MB that come in piece by piece: read, built and stored with less than half of it besides."""
    size, piece, mark = 25_000_000, bytes(range(250)) * 396, b"la-frontera"
    document = json.dumps({**_DOCUMENT, "number": f"9025-{kind}"}).encode()
    count = size // len(piece) + 1

    def form() -> Iterator[bytes]:
        yield b'--%s\r\nContent-Disposition: form-data; name="message"\r\n\r\n%s\r\n' % (mark, document)
        yield b'--%s\r\nContent-Disposition: form-data; name="file"; filename="plano.pdf"\r\n' % mark
        yield b"Content-Type: application/pdf\r\n\r\n"
        for _ in range(count):
            yield piece
        yield b"\r\n--%s--\r\n" % mark

    def written() -> Iterator[bytes]:
        yield document[:-1] + b', "attachments": [{"name": "plano.pdf", "type": "application/pdf", "data": "'
        for _ in range(count):
            yield base64.b64encode(piece)
        yield b'"}]}'

    types = {"form": f"multipart/form-data; boundary={mark.decode()}", "json": "application/json"}
    tracemalloc.start()
    headers = {"Idempotency-Key": f"large-{kind}", "Content-Type": types[kind]}
    content = form() if kind == "form" else written()
    posted = office.client.post("/messages", content=content, headers=headers, timeout=90)
    peak = tracemalloc.get_traced_memory()[1] / size
    tracemalloc.stop()

    assert posted.status_code == 202, posted.text
    assert posted.json()["size"] > 34_000_000
    assert peak < 1.5, peak


def test_a_key_in_a_form_is_told_of(office: _Office) -> None:
    """It is looked for while the form passes; nothing is stored."""
    key, mark = office.client.headers["Authorization"].partition(" ")[2].encode(), b"la-frontera"
    form = b'--%s\r\nContent-Disposition: form-data; name="message"\r\n\r\n{"customer": "%s"}\r\n--%s--\r\n'
    headers = {"Idempotency-Key": "key-in-form", "Content-Type": f"multipart/form-data; boundary={mark.decode()}"}
    posted = office.client.post("/messages", content=form % (mark, key, mark), headers=headers)

    assert (posted.status_code, posted.json()["code"]) == (400, "key_in_wrong_place")


@pytest.mark.parametrize("missing", [0, 4, 40])
def test_a_form_that_was_cut_inside_a_file_sends_nothing(office: _Office, missing: int) -> None:
    """However whole it looks to the line that brought it: the mail would leave without that file."""
    mark, document = b"la-frontera", json.dumps({**_DOCUMENT, "number": "77"}).encode()
    form = b'--%s\r\nContent-Disposition: form-data; name="message"\r\n\r\n%s\r\n' % (mark, document)
    form += b'--%s\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n' % mark
    form += b"Content-Type: application/pdf\r\n\r\n%s\r\n--%s--\r\n" % (b"%PDF" * 30, mark)
    headers = {"Idempotency-Key": f"cut-{missing}", "Content-Type": f'multipart/form-data; boundary="{mark.decode()}"'}
    posted = office.client.post("/messages", content=form[: len(form) - missing], headers=headers)

    assert posted.status_code == (400 if missing else 202), posted.text


def test_what_is_looked_for_in_a_body_is_found_on_the_border_of_two_pieces() -> None:
    """However short they are; what is more than the limit is refused as it comes."""
    shown: list[bytes] = []

    async def read(limit: int) -> None:
        pieces = iter([b"ab", b"cd", b"ef"])

        async def receive() -> MutableMapping[str, Any]:
            piece = next(pieces)
            return {"type": "http.request", "body": piece, "more_body": piece != b"ef"}

        limited = limit_body(receive, declared="", limit=limit, inspect=shown.append)
        while (await limited())["more_body"]:
            pass

    asyncio.run(read(6))
    with pytest.raises(ApiProblem):
        asyncio.run(read(5))

    assert shown == [b"ab", b"abcd", b"abcdef", b"ab", b"abcd"]
