"""Documents on their way, through the facade, against a scripted server: counted is what the server accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType, types_with_template
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.connection import Timeouts
from cgcore.mail.message import Attachment
from cgcore.mail.sender import SenderDraft
from cgcore.outbox.message import Message, MessageFilters
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.sheet import read_sheet
from cgcore.outbox.states import CopyState, State
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxAccountRow
from cgcore.storage.tables import ActivityRow, UserRow
from cgcore.templates.variables import list_samples, list_variables
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest, Unsendable
from tests.servers.house import add_series, add_user
from tests.servers.identity import set_clock
from tests.servers.scripted import CLOSE, ImapScript, ScriptedServer, SmtpScript, imap_server, smtp_server
from tests.servers.wire import Closed

_PASSWORD = "correcto-Caballo.9"
_PDF = Attachment("Factura Peña nº 7.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 900)
_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE,
    "F",
    "7",
    ("Eva Ruiz <eva@example.com>", "luis@example.com"),
    customer="Talleres Ruiz",
    cc=("leo@example.com",),
    bcc=("gestoria@example.com",),
    variables={"contacto": "Eva", "fecha": "30/11/2026", "importe": "12,50 €", "vencimiento": "30/12/2026"},
    attachments=(_PDF,),
)


@dataclass
class _Desk:
    """Ana with an account at a server, and her outbox."""

    workbench: Workbench
    ana: Actor
    key: int = 0

    def put(self, request: DocumentRequest = _REQUEST) -> Message:
        self.key += 1
        return self.workbench.outbox.send(self.ana, request, f"key-{self.key}")[0]

    def work(self) -> None:
        self.workbench.outbox.worker.work_once()

    def get(self, message: Message) -> Message:
        return self.workbench.outbox.get(self.ana, message.id)

    def told(self) -> set[str]:
        """Return what the activity log says of ana."""
        return {entry.action for entry in self.workbench.activity.list(self.ana)["items"]}

    def rest_is_over(self) -> None:
        """Let the account have rested for as long as it was to."""
        row = OutboxAccountRow
        with self.workbench.database.session() as session:
            resting = update(row).where(col(row.paused_until).is_not(None))
            session.exec(resting.values(paused_until=datetime.now(UTC) - timedelta(seconds=1)))

    def set(self, message: Message, **values: Any) -> None:
        with self.workbench.database.session() as session:
            session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == message.id).values(**values))


@pytest.fixture
def desk(workbench_on_each: Workbench) -> _Desk:
    """The house is furnished; the account is set by :func:`_account`."""
    workbench = workbench_on_each
    admin = add_user(workbench, "admin", Role.ADMIN)
    ana = replace(add_user(workbench, "ana"), mail="ana@example.com")
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    add_series(workbench, admin, "X", *(entry.code for entry in types_with_template()))
    add_series(workbench, admin, "OFF", DocumentType.SALES_INVOICE, active=False)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    return _Desk(workbench, ana)


@pytest.fixture
def desk_once(workbench: Workbench) -> Iterator[_Desk]:
    """A desk on one kind of database, with an account."""
    admin = add_user(workbench, "admin", Role.ADMIN)
    desk = _Desk(workbench, replace(add_user(workbench, "ana"), mail="ana@example.com"))
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    with _serving(desk):
        yield desk


def _account(
    desk: _Desk,
    smtp: ScriptedServer,
    imap: ScriptedServer | None = None,
    sender: SenderDraft | None = None,
    folder: str = "Sent",
) -> None:
    section = desk.workbench.mail_account
    draft = MailAccountDraft(
        user="ana@example.com",
        password=Secret(_PASSWORD),
        smtp=ServerDraft("127.0.0.1", smtp.port, Security.NONE),
        imap=ServerDraft("127.0.0.1", imap.port, Security.NONE) if imap else ServerDraft("", "", Security.SSL),
        sent_folder=folder if imap else "",
        sender=sender or SenderDraft(),
    )
    section.save(desk.ana, draft, version=section.get(desk.ana).version)


@contextmanager
def _serving(desk: _Desk, script: SmtpScript | None = None) -> Iterator[ScriptedServer]:
    with smtp_server(script or SmtpScript()) as server:
        _account(desk, server)
        yield server


def _replies(**replies: bytes) -> SmtpScript:
    return SmtpScript(replies=replies)


def test_a_document_goes_as_its_preview_shows_it(desk: _Desk) -> None:
    """Texts from the template, names and copies as typed, the file with its bytes; no byte tells of the hidden copy."""
    with _serving(desk) as server:
        message = desk.put()
        stored = b"".join(desk.workbench.outbox.read(desk.ana, message.id))
        desk.work()
    sent, read = desk.get(message), message_from_bytes(stored, policy=default)
    attached = list(read.iter_attachments())

    assert server.messages == [stored]
    assert (sent.state, sent.queue_id, sent.host, sent.size) == (State.SENT, "4F1A2B3C4D", "127.0.0.1", len(stored))
    assert read["Subject"] == "Adjunto Factura F 7 de Electricidad Tosma, SL"
    assert str(read["To"]) == "Eva Ruiz <eva@example.com>, luis@example.com"
    assert (read["Cc"], read["Auto-Submitted"], read["X-Cloud-Gestion-Id"]) == ("leo@example.com", "no", message.id)
    assert [(part.get_filename(), part.get_content()) for part in attached] == [("Factura_Pena_no_7.pdf", _PDF.data)]
    assert b"gestoria" not in stored
    assert server.heard("TO:<gestoria@example.com>")
    assert {each.state for each in sent.recipients} == {"accepted"}
    with desk.workbench.database.read() as session:
        trail = session.exec(select(ActivityRow).where(ActivityRow.action == "document_sent")).one()
    assert (trail.object, trail.result, trail.actor_id) == ("F 7", "ok", desk.ana.user_id)


def test_a_document_presents_itself_as_its_account_says(desk: _Desk) -> None:
    """Name and answers stand in the head; the own copy goes by the envelope, and no byte of the message tells of it."""
    with _serving(desk) as server:
        _account(desk, server, sender=SenderDraft("Tosma · Facturación", "cobros@example.com", copy_to_self=True))
        message = desk.put(replace(_REQUEST, bcc=()))
        named = desk.put(replace(_REQUEST, reply_to="eva@tosma.example", bcc=("ANA@example.com",)))
        desk.work()
        heads = [message_from_bytes(raw, policy=default) for raw in server.messages]
    first, second = desk.get(message), desk.get(named)

    assert [str(head["From"]) for head in heads] == ["Tosma · Facturación <ana@example.com>"] * 2
    assert [head["Reply-To"] for head in heads] == ["cobros@example.com", "eva@tosma.example"]
    assert [each.address for each in first.recipients if each.kind == "bcc"] == ["ana@example.com"]
    assert [each.address for each in second.recipients if each.kind == "bcc"] == ["ANA@example.com"]
    assert server.heard("TO:<ana@example.com>")
    assert server.messages[0].count(b"ana@example.com") == server.messages[1].count(b"ana@example.com") == 1
    assert {"Bcc", "bcc"}.isdisjoint(name for head in heads for name in head)


def test_answers_go_to_the_sender_without_a_word_where_nothing_else_is_said(desk: _Desk) -> None:
    """No Reply-To that says the same as From, no copy to oneself, and the company's name, as ever."""
    with _serving(desk) as server:
        _account(desk, server, sender=SenderDraft(reply_to="Ana@Example.com"))
        message = desk.put()
        desk.work()
        head = message_from_bytes(server.messages[0], policy=default)

    assert (str(head["From"]), head["Reply-To"]) == ('"Electricidad Tosma, SL" <ana@example.com>', None)
    assert "ana@example.com" not in [each.address for each in desk.get(message).recipients]


@pytest.mark.parametrize("kind", [entry.code for entry in types_with_template()])
def test_no_message_leaves_with_a_value_of_a_sample(desk: _Desk, kind: DocumentType) -> None:
    """A text that names every variable, and nobody has given one a value: those of the house, and gaps."""
    own = {"documento", "el_documento", "del_documento", "empresa"}
    samples = {each.sample for each in list_variables(kind) if each.name not in own}
    samples |= {value for each in list_samples() for name, value in each.values.items() if name not in own}
    told_apart = [sample for sample in samples if len(sample) > 3]
    every = " ".join(f"[{{{variable.name}}}]" for variable in list_variables(kind))
    request = replace(_REQUEST, document_type=kind, series="X", number="Z1", subject=every, body=f"<p>{every}</p>")
    with _serving(desk) as server:
        desk.put(replace(request, customer="", variables={}, attachments=()))
        desk.work()
        message = message_from_bytes(server.messages[0], policy=default)
    told = [str(message["Subject"]), *(part.get_content() for part in message.walk() if not part.is_multipart())]

    assert len(told_apart) > 8
    assert [sample for sample in told_apart if any(sample in unescape(text) for text in told)] == []
    assert all("[]" in text and "[Electricidad Tosma, SL]" in text for text in told)


@given(
    to=st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True),
    cc=st.lists(st.integers(0, 40), max_size=4, unique=True),
    bcc=st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True),
    name=st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters='<>",;'), max_size=9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_a_message_tells_who_gets_it_unseen(
    desk_once: _Desk, to: list[int], cc: list[int], bcc: list[int], name: str
) -> None:
    """Nor its head as it reads, nor any part of it as it is read; and those who are seen stand in it as typed."""
    lists = [[f"{name} <quien{number}-x@example.com>" for number in numbers] for numbers in (to, cc, bcc)]
    request = replace(_REQUEST, to=lists[0], cc=lists[1], bcc=lists[2], customer=name, attachments=())
    composed = desk_once.workbench.outbox.preview(desk_once.ana, request)
    message = message_from_bytes(composed.raw, policy=default)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    text = b"\n".join([composed.raw, str(message).encode("utf-8", "replace"), *map(bytes, parts)])
    seen, unseen = {*to, *cc}, {*bcc} - {*to, *cc}

    assert [number for number in unseen if f"quien{number}-x".encode() in text] == []
    assert all(f"quien{number}-x@example.com".encode() in composed.raw for number in seen)
    assert {each.address for each in composed.recipients} == {f"quien{n}-x@example.com" for n in seen | unseen}
    assert message["Bcc"] is None


def test_many_go_over_one_connection(desk: _Desk) -> None:
    """One sign-in, each message once; and one file for all is kept once."""
    with _serving(desk) as server:
        messages = [desk.put() for _ in range(12)]
        desk.work()

    assert {desk.get(message).state for message in messages} == {State.SENT}
    assert (len(server.messages), len(set(server.messages)), server.connections) == (12, 12, 1)


@pytest.mark.parametrize(
    ("script", "state", "accepted"),
    [
        (_replies(final=CLOSE), State.UNKNOWN, 1),
        (_replies(final=b"354 go on"), State.UNKNOWN, 1),
        (_replies(final=b"451 4.3.0 try later"), State.QUEUED, 1),
        (_replies(final=b"550 5.7.1 Message content rejected"), State.FAILED, 1),
        (_replies(final=b"550 5.4.5 Daily user sending limit exceeded"), State.HELD, 1),
        (_replies(mail_from=CLOSE), State.QUEUED, 0),
        (_replies(data=CLOSE), State.QUEUED, 0),
        (_replies(rcpt_to=b"550 5.1.1 No such user"), State.FAILED, 0),
        (_replies(auth=b"535 5.7.8 Authentication credentials invalid"), State.HELD, 0),
        (_replies(greeting=b"554 5.3.2 no service"), State.HELD, 0),
        (SmtpScript(refused={"leo@example.com": b"550 5.1.1 No such user"}), State.SENT, 1),
        (_replies(final=b"251 2.0.0 forwarded"), State.SENT, 1),
        (_replies(final=b"200 ok"), State.SENT, 1),
        (_replies(final=b"250-first\r\n250 last"), State.SENT, 1),
        (_replies(final=b"250 2.0.0 Ok\r\n250 2.0.0 Ok"), State.SENT, 1),
        (_replies(final=b"421 4.3.0 closing"), State.QUEUED, 1),
        (_replies(final=b"452 4.3.1 Insufficient system storage"), State.QUEUED, 1),
        (_replies(final=b"what is that?"), State.UNKNOWN, 1),
    ],
)
def test_each_end_has_its_state_and_nothing_goes_twice(
    desk: _Desk, script: SmtpScript, state: State, accepted: int
) -> None:
    """Before the dot it is tried again later, after it never by itself; what the words are about decides the rest."""
    with _serving(desk, script) as server:
        message = desk.put()
        desk.work()
        first = desk.get(message)
        desk.work()
        desk.work()
    again = desk.get(message)

    assert (first.state, len(server.messages)) == (state, accepted)
    assert (again.state, again.tries, len(again.attempts)) == (state, first.tries, len(first.attempts))
    assert (first.reason is None) == (state is State.SENT)
    if state is State.QUEUED:
        assert first.due > first.changed


@pytest.mark.parametrize("begun", [b"2", b"25", b"250-2.0.0 first\r\n", b"250 2.0.0 Ok", b"451 4.3.0 try"])
def test_half_a_reply_to_the_dot_says_nothing(desk: _Desk, begun: bytes) -> None:
    """The line ended inside it: a «250» may be all that came of a refusal, and a «451» of nothing at all."""

    def end_within(wire: Any) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if b"queued as" not in data:
                say(data)
                return
            say(begun)
            raise Closed

        wire.send = send
        SmtpScript()(wire)

    with ScriptedServer(end_within) as server:
        _account(desk, server)
        message = desk.put()
        desk.work()
        desk.work()

    assert (desk.get(message).state, len(server.messages)) == (State.UNKNOWN, 1)


@pytest.mark.parametrize(("final", "state"), [(30.0, State.SENT), (0.2, State.UNKNOWN)])
def test_silence_after_the_dot_is_waited_for_longer_than_any_other(desk: _Desk, final: float, state: State) -> None:
    """A minute and more: whoever gives up sooner gets a second copy delivered. Then nobody knows."""
    usual, timeouts = Timeouts(), Timeouts(stage=0.5, block=0.5, final=final)

    def think(wire: Any) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if b"queued as" in data:
                wire.pause(1.0)
            say(data)

        wire.send = send
        SmtpScript()(wire)

    with ScriptedServer(think) as server:
        _account(desk, server)
        message = desk.put()
        desk.workbench.outbox.worker._sender._timeouts = timeouts
        desk.work()
        desk.work()

    assert (usual.final, usual.stage, usual.block) == (600, 30, 60)
    assert (desk.get(message).state, len(server.messages)) == (state, 1)


_LIMITS = [
    ("final", b"550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to"),
    ("mail_from", b"450-Requested mail action not taken: mailbox unavailable\r\n450 Mail send limit exceeded"),
    (
        "rcpt_to",
        b"550 Domain example.com has exceeded the max emails per hour (300/300 (100%)) allowed. Message discarded.",
    ),
    ("mail_from", b"432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending."),
    ("final", b"554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message"),
    (
        "final",
        b"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a"
        b" permanent exception with message The message can't be submitted because the sender's submission quota was"
        b" exceeded.",
    ),
]


def _of_class(digit: bytes, reply: bytes) -> bytes:
    """Return a reply with the codes of another class, its words as they are."""
    return re.sub(rb"(?m)^\d(\d\d[ -])(?:\d(?=\.\d\.\d))?", lambda found: _recode(digit, found), reply)


def _recode(digit: bytes, found: re.Match[bytes]) -> bytes:
    return digit + found[1] + (digit if len(found[0]) > 4 else b"")


@pytest.mark.parametrize("digit", [b"4", b"5"], ids=["4yz", "5yz"])
@pytest.mark.parametrize(("stage", "reply"), [pytest.param(*each, id=each[1][:48].decode()) for each in _LIMITS])
def test_a_limit_of_a_provider_rests_the_account_and_fails_nothing(
    desk: _Desk, stage: str, reply: bytes, digit: bytes
) -> None:
    """By 4yz or 5yz, whatever its words look like: all are held, one goes ahead, by itself or as a person says."""
    with _serving(desk, _replies(**{stage: _of_class(digit, reply)})) as server:
        messages = [desk.put() for _ in range(3)]
        desk.work()
        desk.work()
        tried = sum(line.upper().startswith(b"MAIL") for line in server.lines)
        states = [desk.get(message).state for message in messages]
        account = desk.workbench.outbox.overview_of(desk.ana).account
        if account.paused_until is None:  # a person has to look
            desk.workbench.outbox.resend(desk.ana, messages[1].id)
        desk.rest_is_over()
        desk.work()
        feelers = sum(line.upper().startswith(b"MAIL") for line in server.lines) - tried
        again = [desk.get(message).state for message in messages]
    with _serving(desk) as server:
        desk.workbench.outbox.resend(desk.ana, messages[1].id)
        desk.work()
        desk.work()

    assert (tried, states, account.paused) == (1, [State.HELD] * 3, True)
    assert (feelers, again) == (1, [State.HELD] * 3)
    assert [desk.get(message).state for message in messages] == [State.SENT] * 3
    assert len(server.messages) == 3


def test_a_refused_copy_is_told_of_that_one_alone(desk: _Desk) -> None:
    """The others got it."""
    with _serving(desk, SmtpScript(refused={"leo@example.com": b"550 5.1.1 No such user"})):
        message = desk.put()
        desk.work()
    told = {each.address: (each.state, each.code, each.key) for each in desk.get(message).recipients}

    assert told["leo@example.com"] == ("refused", 550, "recipient_unknown")
    assert told["gestoria@example.com"] == ("accepted", 250, "")


def test_a_cut_message_goes_once_when_the_line_is_back(desk: _Desk) -> None:
    """The same bytes, the same Message-ID."""
    with _serving(desk, _replies(data=CLOSE)):
        message = desk.put()
        desk.work()
    with _serving(desk) as server:
        desk.work()
        waiting = len(server.messages)
        desk.set(message, due=message.created)
        desk.work()
    sent = desk.get(message)

    assert (waiting, len(server.messages)) == (0, 1)
    assert (sent.state, sent.message_id, sent.tries) == (State.SENT, message.message_id, 2)
    assert [attempt.stage for attempt in sent.attempts] == ["data", "final"]


def test_a_refused_password_holds_all_until_a_person_has_looked(desk: _Desk) -> None:
    """It is tried once, not once for each message; a saved account goes ahead with one, and the others follow."""
    with _serving(desk, _replies(auth=b"535 5.7.8 Authentication credentials invalid")) as server:
        messages = [desk.put() for _ in range(3)]
        desk.work()
        desk.work()
        tried, before = server.connections, [desk.get(message).state for message in messages]
        resumed = desk.workbench.outbox.resume(desk.ana)
        desk.work()
        again = server.connections
    with _serving(desk) as server:
        desk.work()

    assert (tried, before, resumed, again) == (1, [State.HELD] * 3, 3, 2)
    assert "sending_resumed" in desk.told()
    assert {desk.get(message).state for message in messages} == {State.SENT}
    assert len(server.messages) == 3


def test_a_message_that_is_taken_back_does_not_leave(desk: _Desk) -> None:
    """And the activity log says so."""
    with _serving(desk) as server:
        message = desk.put(replace(_REQUEST, delay_s=600))
        cancelled = desk.workbench.outbox.cancel(desk.ana, message.id)
        desk.set(message, due=message.created)
        desk.work()

    assert (cancelled.state, server.messages) == (State.CANCELLED, [])
    assert "document_cancelled" in desk.told()


def test_a_message_of_unknown_fate_goes_again_only_when_a_person_says_so(desk: _Desk) -> None:
    """«Enviar otra vez» keeps bytes and Message-ID; «Ya salió» sends nothing."""
    with _serving(desk, _replies(final=CLOSE)):
        first, second = desk.put(), desk.put()
        desk.work()
    with _serving(desk) as server:
        desk.work()
        nothing = len(server.messages)
        desk.workbench.outbox.resend(desk.ana, first.id)
        desk.workbench.outbox.resolve_sent(desk.ana, second.id)
        desk.work()
    sent = [desk.get(message) for message in (first, second)]

    assert (nothing, [message.state for message in sent]) == (0, [State.SENT, State.SENT])
    assert server.messages == [b"".join(desk.workbench.outbox.read(desk.ana, first.id))]
    assert {"document_resent", "document_resolved"} <= desk.told()
    for change in (desk.workbench.outbox.resend, desk.workbench.outbox.cancel, desk.workbench.outbox.send_now):
        with pytest.raises(OutboxRefused, match="elsewhere"):
            change(desk.ana, first.id)


def test_a_worker_whose_claim_is_gone_sends_no_dot(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen past its lease, others have the message: it closes instead, and the message goes once."""
    mark = OutboxQueue.mark_in_flight
    frozen: list[bool] = []

    def late(queue: OutboxQueue, claimed: Any) -> bool:
        if not frozen:
            frozen.append(True)
            desk.set(message, lease_until=message.created)
            OutboxQueue(desk.workbench.database, "other").expire(has_ended=lambda _owner: False)
        return mark(queue, claimed)

    monkeypatch.setattr(OutboxQueue, "mark_in_flight", late)
    with _serving(desk) as server:
        message = desk.put()
        desk.work()

    assert frozen
    assert desk.get(message).state is State.SENT
    assert (len(server.messages), server.connections) == (1, 2)


def test_a_result_that_cannot_be_stored_is_kept_and_never_sent_again(
    desk: _Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is full at the worst moment; once it has room again the message is known to be sent."""
    from cgcore.errors import StorageError

    turn, failing = OutboxQueue.turn, [True]

    def fail(queue: OutboxQueue, *arguments: Any, **more: Any) -> Any:
        if failing:
            raise StorageError(code="storage_full")
        return turn(queue, *arguments, **more)

    monkeypatch.setattr(OutboxQueue, "turn", fail)
    with _serving(desk) as server:
        message = desk.put()
        desk.work()
        between = desk.get(message).state
        failing.clear()
        desk.work()

    assert (between, desk.get(message).state) == (State.IN_FLIGHT, State.SENT)
    assert len(server.messages) == 1


def test_bytes_that_have_changed_on_the_disk_are_not_sent(desk: _Desk) -> None:
    """They are compared with what was stored, before the dot."""
    with _serving(desk) as server:
        message = desk.put()
        desk.set(message, sha256="0" * 64)
        desk.work()

    assert (server.messages, desk.get(message).state) == ([], State.QUEUED)


def test_nothing_leaves_in_the_name_of_a_closed_account(desk: _Desk) -> None:
    """Its mail is held, not lost."""
    with _serving(desk) as server:
        message = desk.put()
        with desk.workbench.database.session() as session:
            session.exec(update(UserRow).where(col(UserRow.id) == desk.ana.user_id).values(active=False))
        desk.work()
    held = desk.get(message)

    assert (server.connections, held.state, held.reason and held.reason["key"]) == (0, State.HELD, "account_unfit")


# ---- Handing in


def test_the_same_key_is_one_message(desk: _Desk) -> None:
    """The same content returns it as it stands; another content is refused, and so is somebody else's message."""
    outbox = desk.workbench.outbox
    other = add_user(desk.workbench, "luis")
    with _serving(desk) as server:
        first, new = outbox.send(desk.ana, _REQUEST, "uno")
        desk.work()
        again, second = outbox.send(desk.ana, _REQUEST, "uno")
        with pytest.raises(OutboxRefused) as reused:
            outbox.send(desk.ana, replace(_REQUEST, number="8"), "uno")
        desk.work()

    assert (new, second, again.id, again.state) == (True, False, first.id, State.SENT)
    assert (reused.value.code, len(server.messages)) == ("idempotency_key_reused", 1)
    with pytest.raises(LookupError):
        outbox.get(other, first.id)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"series": "NADA"}, "series", "unknown_series"),
        ({"series": "OFF"}, "series", "unknown_series"),
        ({"document_type": DocumentType.PURCHASE_INVOICE}, "type", "unknown_type"),
        ({"to": ()}, "to", "empty"),
        ({"to": ("eva",)}, "to", "address_syntax"),
        ({"number": "7\r\nBcc: x@example.com"}, "number", "line_break"),
        ({"to": ("Eva\nBcc: <eva@example.com>",)}, "to", "line_break"),
        ({"delay_s": 3601}, "delay", "delay_range"),
        ({"attachments": (replace(_PDF, data=b""),)}, "attachments", "empty_attachment"),
        ({"bcc": ("a@example.com",) * 98}, "to", "too_many_recipients"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_stored(
    desk: _Desk, change: Mapping[str, Any], field: str, code: str
) -> None:
    """Each beside its field."""
    with _serving(desk), pytest.raises(InvalidInput) as refused:
        desk.put(replace(_REQUEST, **change))

    assert (field, code) in [(found.field, found.code) for found in refused.value.problems]
    assert desk.workbench.outbox.overview_of(desk.ana).counts == {}


def test_a_text_with_errors_or_without_its_names_does_not_leave(desk: _Desk) -> None:
    """An unknown variable stops it, a missing value is empty and never a sample, and the key is free again."""
    with _serving(desk):
        with pytest.raises(Unsendable) as refused:
            desk.workbench.outbox.send(desk.ana, replace(_REQUEST, subject="{nada} {numero}"), "k")
        composed = desk.workbench.outbox.preview(desk.ana, replace(_REQUEST, variables={}, customer=""))
        message, new = desk.workbench.outbox.send(desk.ana, _REQUEST, "k")

    assert [found.code for found in refused.value.problems] == ["unknown_variable"]
    assert "Lucía" not in composed.rendered.text
    assert "1.234,56" not in composed.rendered.text
    assert {check.code for check in composed.rendered.checks} == {"empty_value"}
    assert (new, message.state) == (True, State.QUEUED)


def test_without_an_account_nothing_is_taken(desk: _Desk) -> None:
    """There is nobody to send it."""
    with pytest.raises(OutboxRefused) as refused:
        desk.put()

    assert refused.value.code == "account_missing"


# ---- Copies


_NOT_THERE = {"UID SEARCH": b"* SEARCH\r\n"}


@contextmanager
def _filing(desk: _Desk, imap: ImapScript, smtp: SmtpScript | None = None) -> Iterator[tuple[Any, Any]]:
    with smtp_server(smtp or SmtpScript()) as sending, imap_server(imap) as filing:
        _account(desk, sending, filing)
        yield sending, filing


def _appends(server: ScriptedServer) -> int:
    return sum(b"APPEND" in line for line in server.lines)


def test_the_copy_is_the_very_bytes(desk: _Desk) -> None:
    """Filed once, with the time of acceptance."""
    with _filing(desk, ImapScript(untagged=_NOT_THERE)) as (_, filing):
        message = desk.put()
        desk.work()
        desk.work()
    copied = desk.get(message)

    assert (copied.state, copied.copy_state, copied.copy_folder) == (State.SENT, CopyState.STORED, "Sent")
    assert _appends(filing) == 1
    assert filing.messages[0].endswith(b"".join(desk.workbench.outbox.read(desk.ana, message.id)))


def test_a_copy_that_the_provider_has_filed_is_not_filed_again(desk: _Desk) -> None:
    """It is looked for before the first try."""
    with _filing(desk, ImapScript(untagged={"UID SEARCH": b"* SEARCH 41\r\n"})) as (_, filing):
        message = desk.put()
        desk.work()

    assert (desk.get(message).copy_state, _appends(filing)) == (CopyState.SKIPPED, 0)


def test_a_copy_whose_answer_was_lost_is_looked_for_before_the_next_try(desk: _Desk) -> None:
    """Found: it is there, once. The sending knows nothing of it all."""
    with _filing(desk, ImapScript(replies={"APPEND": CLOSE}, untagged=_NOT_THERE)) as (sending, filing):
        message = desk.put()
        desk.work()
        first = desk.get(message)
        appended = _appends(filing)
    with _filing(desk, ImapScript(untagged={"UID SEARCH": b"* SEARCH 7\r\n"})) as (other, filing):
        desk.set(message, copy_due=message.created)
        desk.work()
    with_copy = desk.get(message)

    assert (first.state, first.copy_state, appended) == (State.SENT, CopyState.PENDING, 1)
    assert (with_copy.copy_state, _appends(filing)) == (CopyState.STORED, 0)
    assert (len(sending.messages), len(other.messages)) == (1, 0)


def test_a_folder_that_is_not_there_needs_a_person(desk: _Desk) -> None:
    """The message has left all the same."""
    with _filing(desk, ImapScript(replies={"SELECT": b"NO no", "APPEND": b"NO [TRYCREATE] no folder"})):
        message = desk.put()
        desk.work()
    told = desk.get(message)

    assert (told.state, told.copy_state, told.copy_key) == (State.SENT, CopyState.FAILED, "folder_missing")


@pytest.mark.parametrize(("answer", "state"), [(b"* SEARCH 7\r\n", State.SENT), (b"* SEARCH\r\n", State.UNKNOWN)])
def test_an_unknown_one_that_lies_in_the_sent_folder_has_been_sent(desk: _Desk, answer: bytes, state: State) -> None:
    """We had not filed it, so the provider has; where it is not there, nothing is known."""
    with _filing(desk, ImapScript(untagged={"UID SEARCH": answer}), _replies(final=CLOSE)) as (sending, filing):
        message = desk.put()
        desk.work()
        before = desk.get(message).state
        desk.set(message, look_due=message.created)
        desk.work()
    told = desk.get(message)

    assert (before, told.state) == (State.UNKNOWN, state)
    assert told.looked is not None
    assert (len(sending.messages), _appends(filing)) == (1, 0)


def test_an_unsure_message_is_looked_for_when_its_person_asks(desk: _Desk) -> None:
    """Whenever that is; what is not found stays unsure, and a folder that cannot be searched says so."""
    with _filing(desk, ImapScript(untagged=_NOT_THERE), _replies(final=CLOSE)) as (sending, _):
        message = desk.put()
        desk.work()
        absent = desk.workbench.outbox.look_for(desk.ana, message.id)
    with pytest.raises(OutboxRefused) as away:
        desk.workbench.outbox.look_for(desk.ana, message.id)
    with _filing(desk, ImapScript(untagged={"UID SEARCH": b"* SEARCH 7\r\n"})) as (other, filing):
        found = desk.workbench.outbox.look_for(desk.ana, message.id)
        with pytest.raises(OutboxRefused) as late:
            desk.workbench.outbox.look_for(desk.ana, message.id)

    assert absent.state is State.UNKNOWN
    assert absent.looked is not None
    assert (found.state, found.copy_state) == (State.SENT, CopyState.SKIPPED)
    assert (away.value.code, late.value.code) == ("not_searched", "too_late")
    assert (len(sending.messages), len(other.messages), _appends(filing)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("marks", "holder", "searched", "state"),
    [
        ((b"Sent", b"All"), "Enviado", [b"Enviado"], State.SENT),
        ((b"Sent", b"All"), "Todos", [b"Enviado", b"Todos"], State.SENT),
        ((b"Sent", b"All"), "", [b"Enviado", b"Todos"], State.UNKNOWN),
        ((b"Drafts", b"Trash"), "", [], None),
    ],
)
def test_without_a_chosen_folder_an_unsure_message_is_looked_for_where_its_provider_files(
    desk: _Desk, marks: tuple[bytes, bytes], holder: str, searched: list[bytes], state: State | None
) -> None:
    """In what it marks for sent and for all mail; where it marks neither, a refusal says that nothing was searched."""
    opened = list[bytes]()

    def file(wire: Any) -> None:
        say, read = wire.send, wire.read_line

        def read_line() -> bytes:
            line = read()
            opened.extend(re.findall(rb'SELECT "(.*)"', line))
            return line

        def send(data: bytes) -> None:
            known = bool(opened) and opened[-1] == holder.encode()
            say(data.replace(b"* SEARCH\r\n", b"* SEARCH 9\r\n") if known else data)

        wire.send, wire.read_line = send, read_line
        rows = zip(marks, (b"Enviado", b"Todos"), strict=True)
        listing = (rb'() "/" INBOX', *(b'(\\%s) "/" %s' % row for row in rows))
        ImapScript(untagged=_NOT_THERE, listing=listing)(wire)

    with smtp_server(_replies(final=CLOSE)) as sending, ScriptedServer(file) as filing:
        _account(desk, sending, filing, folder="")
        message = desk.put()
        desk.work()
        code = ""
        try:
            desk.workbench.outbox.look_for(desk.ana, message.id)
        except OutboxRefused as refused:
            code = refused.code
    told = desk.get(message)

    assert (opened, code) == (searched, "" if state else "not_searched")
    assert (told.state, told.copy_folder) == (state or State.UNKNOWN, holder)
    assert ((told.looked is not None), _appends(filing)) == (state is not None, 0)


def test_an_unknown_one_that_lies_there_under_another_name_has_been_sent(desk: _Desk) -> None:
    """Outlook.com gives a message a name of its own, and keeps ours in a header of its own."""

    def file_renamed(wire: Any) -> None:
        say, read, asked = wire.send, wire.read_line, list[bytes]()

        def read_line() -> bytes:
            asked.append(read())
            return asked[-1]

        def send(data: bytes) -> None:
            known = bool(asked) and b"X-Microsoft-Original-Message-ID" in asked[-1]
            say(data.replace(b"* SEARCH\r\n", b"* SEARCH 9\r\n") if known else data)

        wire.send, wire.read_line = send, read_line
        ImapScript(untagged=_NOT_THERE)(wire)

    with smtp_server(_replies(final=CLOSE)) as sending, ScriptedServer(file_renamed) as filing:
        _account(desk, sending, filing)
        message = desk.put()
        desk.work()
        before = desk.get(message).state
        desk.set(message, look_due=message.created)
        desk.work()

    assert (before, desk.get(message).state) == (State.UNKNOWN, State.SENT)
    assert _appends(filing) == 0


# ---- The threads


def test_a_worker_whose_clock_is_set_back_goes_on_sending(desk: _Desk) -> None:
    """What was to be tried again in a minute is not tried again tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with _serving(desk) as server:
        message = desk.put()
        desk.set(message, due=tomorrow)
        set_clock(desk.workbench, lambda: tomorrow)
        _ = desk.workbench.outbox.worker
        set_clock(desk.workbench, lambda: datetime.now(UTC))
        desk.work()

    assert desk.get(message).state is State.SENT
    assert len(server.messages) == 1


def test_a_worker_notes_that_it_is_there_also_without_work(desk: _Desk) -> None:
    """Once an hour, for every account: what waits then is no left-over of a copy that was put back."""
    account, long_ago = OutboxAccountRow, datetime.now(UTC) - timedelta(days=2)
    with _serving(desk):
        desk.put(replace(_REQUEST, delay_s=3000.0))
    served: list[datetime] = []
    with desk.workbench.database.session() as session:
        session.exec(update(account).values(served=long_ago))
    for waited in (0.0, 3601.0):
        desk.workbench.outbox.worker._attended -= waited
        desk.work()
        with desk.workbench.database.read() as session:
            served.append(session.get_one(account, desk.ana.user_id).served)

    assert served[0] == long_ago
    assert datetime.now(UTC) - served[1] < timedelta(minutes=5)


def test_the_worker_of_a_process_sends_by_itself(desk: _Desk) -> None:
    """Whoever hands in wakes it; closing waits for what is under way."""
    import threading

    arrived = threading.Event()

    def watch(wire: Any) -> None:
        keep = wire.keep

        def kept(message: bytes) -> None:
            keep(message)
            arrived.set()

        wire.keep = kept
        SmtpScript()(wire)

    with ScriptedServer(watch) as server:
        _account(desk, server)
        desk.workbench.outbox.worker.start()
        message = desk.put()
        assert arrived.wait(20)
        desk.workbench.outbox.worker.close()

    assert desk.get(message).state is State.SENT
    assert len(server.messages) == 1


def test_a_document_that_has_left_goes_once_more_as_a_new_message(desk: _Desk) -> None:
    """To the same people, with the same texts and bytes of the file; the head is of today, and it says what it is."""
    with _serving(desk) as server:
        first = desk.put()
        by_hand = desk.workbench.by_hand
        with pytest.raises(OutboxRefused) as waiting:
            by_hand.send_again(desk.ana, first.id, "again")
        desk.work()
        second, same = (by_hand.send_again(desk.ana, first.id, "again") for _ in range(2))
        desk.work()
        raws, hidden = list(server.messages), server.heard("TO:<gestoria@example.com>")
    one, two = (message_from_bytes(raw, policy=default) for raw in raws)
    renewed = {"Message-ID", "Date", "X-Cloud-Gestion-Id"}
    found = desk.get(second)

    assert (waiting.value.code, same.id, len(raws)) == ("too_late", second.id, 2)
    assert {name for name in set(one) if str(one[name]) != str(two[name])} <= renewed
    assert (two["Message-ID"], two["X-Cloud-Gestion-Id"]) == (found.message_id, second.id)
    assert one["Message-ID"] != two["Message-ID"]
    assert raws[0].partition(b"\r\n\r\n")[2] == raws[1].partition(b"\r\n\r\n")[2]
    assert (found.state, found.resent_of, found.size) == (State.SENT, first.id, len(raws[1]))
    assert [(e.address, e.kind) for e in found.recipients] == [(e.address, e.kind) for e in desk.get(first).recipients]
    assert hidden


@pytest.mark.parametrize("state", [State.HELD, State.FAILED])
def test_what_went_another_way_is_marked_and_leaves_no_more(desk: _Desk, state: State) -> None:
    """It counts as sent from then on, and what is on its way, or has left, is not marked."""
    with _serving(desk) as server:
        message, waiting = desk.put(), desk.put()
        desk.set(message, state=state.value, held_by="person" if state is State.HELD else "")
        marked = desk.workbench.by_hand.mark_sent(desk.ana, message.id)
        desk.workbench.outbox.resume(desk.ana)
        for late in (waiting, message):
            with pytest.raises(OutboxRefused):
                desk.workbench.by_hand.mark_sent(desk.ana, late.id)
        desk.work()

    assert (marked.state, marked.host, marked.reason) == (State.SENT, "", None)
    assert len(server.messages) == 1
    assert desk.get(message).state is State.SENT
    assert "document_resolved" in desk.told()


def test_a_document_that_was_handed_over_elsewhere_is_noted_without_a_mail(desk: _Desk) -> None:
    """Its number is enough; it is found by it, known as sent when a sheet brings it, and needs no account."""
    by_hand = desk.workbench.by_hand
    noted = by_hand.note_sent(desk.ana, replace(_REQUEST, to=(), cc=(), bcc=(), number="70"), "note")
    addressed = by_hand.note_sent(desk.ana, replace(_REQUEST, cc=(), bcc=()), "note-2")
    with pytest.raises(OutboxRefused) as again:
        by_hand.note_sent(desk.ana, _REQUEST, "note")
    with pytest.raises(InvalidInput) as refused:
        by_hand.note_sent(desk.ana, replace(_REQUEST, number=""), "note-3")
    desk.work()
    listed = desk.workbench.outbox.list(desk.ana, MessageFilters(query="70")).messages
    sheet = read_sheet("Serie;Número;Cliente;Correo\r\nF;7;Ruiz;eva@example.com\r\n".encode())
    plan = desk.workbench.batches.plan(desk.ana, DocumentType.SALES_INVOICE, sheet, [])

    assert (noted.state, noted.size, noted.recipients) == (State.SENT, 0, ())
    assert [each.id for each in listed] == [noted.id]
    assert [each.address for each in addressed.recipients] == ["eva@example.com", "luis@example.com"]
    assert (again.value.code, refused.value.problems[0].field) == ("idempotency_key_reused", "number")
    assert plan.before[0].state is State.SENT
    assert list(desk.workbench.outbox.read(desk.ana, noted.id)) == []
