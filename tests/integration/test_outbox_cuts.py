"""A thousand cuts, at every stage and every few bytes, of both sides: counted is what the server has taken."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes

import pytest
from sqlmodel import col, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.states import State
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.cutting import Cut, CuttingRelay
from tests.servers.dovecot import USERS
from tests.servers.house import add_series, add_user
from tests.servers.many_messages import multiply
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import ScriptedServer, SmtpScript, smtp_server
from tests.servers.sent_folder import SentFolder

_CUTS, _PER_ACCOUNT = 250, 50
_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("comillas@example.com",), subject="Va {numero}", body="<p>Hola</p>",
    signature="",
)  # fmt: skip
_SPOKEN, _TOLD = 1700, 620  # about what each side says for one message


def _cuts(seed: int) -> Iterator[Cut]:
    """Yield cuts over the whole of a conversation, every second one around the dot and its reply."""
    chance = random.Random(seed)
    for number in range(_CUTS):
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
    for number in range(_CUTS // _PER_ACCOUNT):
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


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["postfix", "scripted"])
def test_cut_anywhere_a_message_is_there_once_or_nobody_says_that_it_is(
    name: str, workbench_on_each: Workbench, request: pytest.FixtureRequest
) -> None:
    """By the end of the line or by a reset: no dot leaves twice, and what is «sent» is there."""
    workbench = workbench_on_each
    with _taking(name, request) as (port, server), CuttingRelay(port, _cuts(7 if name == "postfix" else 11)) as relay:
        people = _furnish(workbench, relay.port)
        for person in people:
            first, _ = workbench.outbox.send(person, _REQUEST, "k")
            multiply(workbench.database, first.id, _PER_ACCOUNT, address="comillas@example.com")
        rounds = 0
        while _go_on(workbench, people):
            workbench.outbox.worker.work_once()
            rounds += 1
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

    assert relay.made >= 0.8 * _CUTS
    assert sent | unknown == ids
    assert len(unknown) >= 10
    assert max(relay.dots.values()) == 1
    assert max(stored.values()) == 1
    assert sent <= set(stored) <= sent | unknown


def _around(whole: tuple[int, int]) -> list[Cut]:
    """Return cuts over a conversation of that length, most of them where the copy ends and is answered."""
    of_client, of_server = whole
    places = [(at, True) for at in (*range(1, of_client, 60), *range(of_client - 90, of_client + 1, 4))]
    places += [(at, False) for at in (*range(1, of_server, 45), *range(of_server - 130, of_server + 1, 4))]
    return [Cut(at, by_client, resets=bool(number % 2)) for number, (at, by_client) in enumerate(places) if at > 0]


def test_cut_anywhere_a_copy_is_filed_once_and_nothing_is_sent_again(workbench: Workbench) -> None:
    """Of both sides, before the folder is searched and until the OK was read."""
    folder, cuts, row = SentFolder(), list[Cut](), OutboundMessageRow
    again = update(row).values(copy_state="pending", copy_due=row.created, copy_lease=None)

    def file(tries: int | None = None) -> None:
        with workbench.database.session() as session:
            session.exec(again if tries is None else again.values(copy_tries=tries))
        workbench.outbox.worker.work_once()

    with smtp_server(SmtpScript(users={})) as sending, ScriptedServer(folder) as filing:
        with CuttingRelay(filing.port, iter(lambda: cuts.pop() if cuts else None, Ellipsis)) as relay:
            (person, *_) = _furnish(workbench, sending.port)
            stored = workbench.mail_account.get(person)
            imap = ServerDraft("127.0.0.1", relay.port, Security.NONE)
            draft = replace(stored.draft, imap=imap, sent_folder="Sent", password=Secret(USERS[ANA]))
            workbench.mail_account.save(person, draft, version=stored.version)
            message, _ = workbench.outbox.send(person, _REQUEST, "k")
            workbench.outbox.worker.work_once()
            tried = _around(relay.whole)
            for cut in tried:
                folder.filed.clear()
                cuts[:] = [cut]
                file(0)
                file()
                told = workbench.outbox.get(person, message.id)
                assert (told.copy_state, folder.filed) == ("stored", {message.message_id: 1}), cut
        assert relay.made >= 0.8 * len(tried) > 70
    assert len(sending.messages) == 1
    assert workbench.outbox.get(person, message.id).state is State.SENT
