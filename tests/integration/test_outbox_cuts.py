"""A thousand cuts, at every stage and every few bytes, of both sides: counted is what the server has taken."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes

import pytest
from sqlmodel import col, select, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.smtp.client import SmtpClient
from cgcore.mail.smtp.session import Envelope
from cgcore.outbox.message import Claimed, CopyTask, MessageFilters
from cgcore.outbox.states import State
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox import copies, sender
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.outbox.copies import CopyClerk
from tests.servers.cutting import Cut, CuttingRelay
from tests.servers.dovecot import USERS
from tests.servers.house import add_series, add_user
from tests.servers.many_messages import multiply
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import ScriptedServer, SmtpScript, smtp_server
from tests.servers.sent_folder import SentFolder

_CUTS, _PER_ACCOUNT, _PEOPLE = 250, 70, 5
_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("comillas@example.com",), subject="Va {numero}", body="<p>Hola</p>",
    signature="",
)  # fmt: skip
_SPOKEN, _TOLD = 1700, 620  # about what each side says for one message


def _cuts(seed: int) -> Iterator[Cut]:
    """Yield cuts over the whole of a conversation, every second one around the dot and its reply."""
    chance = random.Random(seed)
    for number in itertools.count():
        of_client = chance.random() < 0.6
        whole = _SPOKEN if of_client else _TOLD
        at = chance.randrange(1, whole) if number % 2 else chance.randrange(whole - 260, whole + 20)
        yield Cut(at, of_client, resets=chance.random() < 0.5)


@contextmanager
def _taking(name: str, request: pytest.FixtureRequest) -> Iterator[tuple[int, object]]:
    if name == "postfix":
        server: Postfix = request.getfixturevalue("postfix")
        yield server.port, server
        return
    with smtp_server(SmtpScript(users={})) as scripted:
        yield scripted.port, scripted


def _stored(server: object, names: set[str]) -> Counter[str]:
    """Count what a server has taken: Postfix by its own log, once every one of its queue has been delivered."""
    if not isinstance(server, Postfix):
        messages: list[bytes] = server.messages  # type: ignore[attr-defined]
        return Counter(str(message_from_bytes(raw)["Message-ID"]) for raw in messages)
    deadline = time.monotonic() + 20
    while True:
        log = server.log_text()
        taken = {row[1]: row[2] for row in re.finditer(r"cleanup\[\d+\]: (\w+): message-id=(<[^>]+>)", log)}
        queued = set(re.findall(r"qmgr\[\d+\]: (\w+): from=", log))
        gone = set(re.findall(r"qmgr\[\d+\]: (\w+): removed", log))
        assert time.monotonic() < deadline
        if queued <= gone:
            sent = set(re.findall(r": (\w+): to=<[^>]*>.* status=sent", log))
            return Counter(taken[each] for each in sent if taken.get(each) in names)
        threading.Event().wait(0.1)


def _furnish(workbench: Workbench, port: int) -> list[Actor]:
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    people: list[Actor] = []
    for number in range(_PEOPLE):
        person = replace(add_user(workbench, f"ana{number}"), mail=ANA)
        draft = MailAccountDraft(ANA, Secret(USERS[ANA]), ServerDraft("localhost", port, Security.NONE))
        workbench.mail_account.save(person, draft, version=0)
        people.append(person)
    return people


def _go_on(workbench: Workbench, people: list[Actor]) -> bool:
    """Let everything that waits for its time be due; return whether there is anything."""
    for person in people:
        workbench.outbox.resume(person)
    with workbench.database.session() as session:
        waiting = update(OutboundMessageRow).where(col(OutboundMessageRow.state) == State.QUEUED.value)
        return bool(session.exec(waiting.values(due=OutboundMessageRow.created)).rowcount)


def _watch_dots(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return how often the last byte of the dot of each message has left, as the sender itself can know."""
    left, current = Counter[str](), [""]
    build, send_dot = sender.build_envelope, SmtpClient.send_dot

    def note(claimed: Claimed, most: int) -> Envelope:
        current[0] = claimed.id
        return build(claimed, most)

    def send(client: SmtpClient) -> None:
        send_dot(client)
        left[current[0]] += 1

    monkeypatch.setattr(sender, "build_envelope", note)
    monkeypatch.setattr(SmtpClient, "send_dot", send)
    return left


def _check_each(workbench: Workbench, left: Counter[str]) -> None:
    """Before the last byte of the dot each message is queued again, or waits with its account; behind it, never."""
    row = OutboundMessageRow
    with workbench.database.read() as session:
        states = dict(session.exec(select(row.id, row.state)).all())
    waiting = {State.QUEUED.value, State.HELD.value}
    assert {name for name, state in states.items() if state not in waiting} == set(left)
    assert {states[name] for name in left} <= {State.SENT.value, State.UNKNOWN.value}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["postfix", "scripted"])
def test_cut_anywhere_a_message_is_there_once_or_nobody_says_that_it_is(
    name: str, workbench_on_each: Workbench, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the end of the line or by a reset: no dot leaves twice, and what is «sent» is there.

    250 cuts of each server over each kind of database: a thousand.
    """
    workbench, left, relays = workbench_on_each, _watch_dots(monkeypatch), list[CuttingRelay]()
    seed = 7 if name == "postfix" else 11
    cuts = itertools.takewhile(lambda _: not relays or relays[0].made < _CUTS, _cuts(seed))
    with _taking(name, request) as (port, server), CuttingRelay(port, cuts) as relay:
        relays.append(relay)
        people = _furnish(workbench, relay.port)
        for person in people:
            first, _ = workbench.outbox.send(person, _REQUEST, "k")
            multiply(workbench.database, first.id, _PER_ACCOUNT, address="comillas@example.com")
        rounds = 0
        while _go_on(workbench, people):
            workbench.outbox.worker.work_once()
            rounds += 1
            _check_each(workbench, left)
            assert rounds < 2 * _CUTS
        listed = [
            message
            for person in people
            for message in workbench.outbox.list(person, MessageFilters(), limit=_PER_ACCOUNT).messages
        ]
        ids = {message.message_id for message in listed}
        stored = _stored(server, ids)
    sent = {message.message_id for message in listed if message.state is State.SENT}
    unknown = {message.message_id for message in listed if message.state is State.UNKNOWN}

    assert relay.made == _CUTS
    assert max(left.values()) == 1
    assert sent | unknown == ids
    assert len(unknown) >= 10
    assert max(relay.dots.values()) == 1
    assert max(stored.values()) == 1
    assert sent <= set(stored) <= sent | unknown


@pytest.mark.timeout(400)
def test_cut_at_every_byte_a_copy_is_filed_once_and_nothing_is_sent_again(
    workbench_on_each: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both sides, by the end of the line or by a reset."""
    workbench, folder, cuts, row = workbench_on_each, SentFolder(), list[Cut](), OutboundMessageRow
    again = update(row).values(copy_state="pending", copy_due=row.created, copy_lease=None, copy_tries=0)
    clerk, file = workbench.outbox.worker._copies, CopyClerk._file
    # Whatever fails is due again at once, so that one call goes from cut to cut until the copy is filed.
    for name, value in {"_RETRIES": (), "_HOUR": 0.0, "_MOST_TRIES": 10**6}.items():
        monkeypatch.setattr(copies, name, value)

    with smtp_server(SmtpScript(users={})) as sending, ScriptedServer(folder) as filing:

        def file_once_it_is_quiet(clerk: CopyClerk, tasks: Sequence[CopyTask]) -> None:
            assert filing.wait_for_goodbye(), "what the last connection has brought is filed by now"
            file(clerk, tasks)

        def choose() -> Cut | None:
            return cuts.pop() if cuts and not folder.filed else None

        monkeypatch.setattr(CopyClerk, "_file", file_once_it_is_quiet)
        with CuttingRelay(filing.port, iter(choose, Ellipsis)) as relay:
            (person, *_) = _furnish(workbench, sending.port)
            stored = workbench.mail_account.get(person)
            imap = ServerDraft("127.0.0.1", relay.port, Security.NONE)
            draft = replace(stored.draft, imap=imap, sent_folder="Sent", password=Secret(USERS[ANA]))
            workbench.mail_account.save(person, draft, version=stored.version)
            message, _ = workbench.outbox.send(person, _REQUEST, "k")
            workbench.outbox.worker.work_once()
            assert filing.wait_for_goodbye()
            cuts += _every_byte(relay.whole)
            wanted = len(cuts)
            while cuts:
                folder.filed.clear()
                with workbench.database.session() as session:
                    session.exec(again)
                clerk.work()
                told, left = workbench.outbox.get(person, message.id), len(cuts)
                assert (told.copy_state, folder.filed) == ("stored", {message.message_id: 1}), left
        assert relay.made >= 0.98 * wanted, "but for those of the goodbye, which nobody waits for"
    assert len(sending.messages) == 1
    assert sum(line.upper().startswith(b"MAIL") for line in sending.lines) == 1
    assert workbench.outbox.get(person, message.id).state is State.SENT


def _every_byte(whole: tuple[int, int]) -> list[Cut]:
    """Return a cut at every byte of both sides of a conversation of that length."""
    places = [(at, of_client) for side, of_client in zip(whole, (True, False), strict=True) for at in range(1, side)]
    return [Cut(at, of_client, resets=bool(number // 2 % 2)) for number, (at, of_client) in enumerate(places)]
