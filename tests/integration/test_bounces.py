"""What came back: reports of many shapes in a real inbox, each on its message and recipient, forged ones on none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, update

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.outbox.message import Message
from cgcore.outbox.notices import NoticeKind, plan_look
from cgcore.outbox.states import State
from cgcore.storage.bounce_queue import Bounces
from cgcore.storage.bounce_tables import BounceSearchRow
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.outbox.describe import filters_for, message_json, shown_state
from cgcore.workbench.overview import SectionName, SectionState
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot, Layout
from tests.servers.fixtures import DovecotFactory
from tests.servers.house import add_series, add_user
from tests.servers.leftout import leave_out
from tests.servers.pages import open_page, sign_in, words
from tests.servers.postfix import Postfix, postfix_installed
from tests.servers.probing import ANA
from tests.servers.reports import report
from tests.servers.scripted import CLOSE, ImapScript, SmtpScript, imap_server, smtp_server

_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE,
    "F",
    "7",
    ("eva@cliente.example", "luis@cliente.example"),
    customer="Talleres Ruiz",
    subject="Va {numero}",
    body="<p>Hola</p>",
    signature="",
)
_JUNK = "Correo no deseado"


@dataclass
class _Desk:
    """Ana, whose inbox is a real one and searched; what she sends is accepted, and left long enough ago."""

    workbench: Workbench
    ana: Actor
    dovecot: Dovecot

    def send(self, request: DocumentRequest = _REQUEST, key: str = "1") -> Message:
        message, _ = self.workbench.outbox.send(self.ana, request, key)
        self.work()
        return self.get(message)

    def work(self) -> None:
        self.workbench.outbox.worker.work_once()

    def get(self, message: Message) -> Message:
        return self.workbench.outbox.get(self.ana, message.id)

    def look(self) -> None:
        """Search now."""
        self.workbench.bounces.hurry(self.ana)
        self.work()

    def put(self, *raw: bytes, folder: str = "INBOX") -> None:
        for each in raw:
            self.dovecot.put(ANA, each, folder)

    def set(self, **values: Any) -> None:
        with self.workbench.database.session() as session:
            session.exec(update(BounceSearchRow).values(**values))


@pytest.fixture
def house(workbench_on_each: Workbench) -> tuple[Workbench, Actor]:
    """A furnished installation, and Ana."""
    workbench = workbench_on_each
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    return workbench, replace(sign_in(workbench, "ana"), mail=ANA)


@pytest.fixture
def inbox(certificates: Certificates, dovecot_with: DovecotFactory) -> Dovecot:
    """An empty mailbox with a folder for unwanted mail."""
    server = dovecot_with(certificates.trusted, Layout(junk=_JUNK))
    server.empty(ANA, "INBOX", "Correo no deseado")
    return server


@pytest.fixture
def desk(house: tuple[Workbench, Actor], inbox: Dovecot):
    """The account stands, and the switch is on."""
    workbench, ana = house
    with smtp_server(SmtpScript()) as server:
        _account(workbench, ana, server.port, inbox.port)
        workbench.bounces.switch(ana, active=True)
        yield _Desk(workbench, ana, inbox)


def _account(workbench: Workbench, ana: Actor, smtp: int, imap: int) -> None:
    draft = MailAccountDraft(
        user=ANA,
        password=Secret(USERS[ANA]),
        smtp=ServerDraft("127.0.0.1", smtp, Security.NONE),
        imap=ServerDraft("127.0.0.1", imap, Security.NONE),
    )
    version = workbench.mail_account.get(ana).version
    workbench.mail_account.save(ana, draft, version=version)


def _states(message: Message) -> list[tuple[str, str]]:
    return [(each.state.value, each.key) for each in message.recipients]


@pytest.mark.parametrize(
    ("shape", "key", "words"),
    [
        ("postfix", "recipient_unknown", "550 5.1.1 <eva@cliente.example>"),
        ("exim", "recipient_full", "552 5.2.2 <eva@cliente.example>: mailbox full"),
        ("exim_text", "recipient_unknown", "550 5.1.1 No such user here"),
        ("gmail", "recipient_unknown", "550-5.1.1 The email account that you tried"),
        ("exchange", "recipient_unknown", "550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
        ("outlook_com", "ip_blocklisted", "550 5.7.1 Service unavailable"),
    ],
)
def test_a_bounce_of_each_shape_comes_to_its_message_and_recipient(
    desk: _Desk, shape: str, key: str, words: str
) -> None:
    """With the diagnosis of its text; the other recipient and the other message stay accepted, and nothing is read."""
    other, message = desk.send(replace(_REQUEST, number="6"), "0"), desk.send()
    desk.put(report(shape, message), folder=_JUNK if shape == "gmail" else "INBOX")
    desk.look()
    told = desk.get(message)
    (notice,) = told.notices

    assert _states(told) == [("bounced", key), ("accepted", "")]
    assert _states(desk.get(other)) == [("accepted", ""), ("accepted", "")]
    assert (notice.kind, notice.address, notice.key) == (NoticeKind.FAILED, "eva@cliente.example", key)
    assert words in notice.reply
    assert told.state is State.SENT
    assert all("\\Seen" not in flags for flags in desk.dovecot.flags(ANA))
    (line,) = [row for row in desk.workbench.activity.list(desk.ana)["items"] if row.action == "document_bounced"]
    assert (line.object, line.result, line.detail) == ("F 7", key, message.id)


def test_a_real_postfix_returns_what_it_could_not_deliver(house: tuple[Workbench, Actor], inbox: Dovecot) -> None:
    """Accepted first and returned later, with the envelope id that it was given: the whole way, on real servers."""
    if not postfix_installed():
        leave_out("postfix")
    workbench, ana = house
    with Postfix(inbox) as postfix:
        _account(workbench, ana, postfix.port, inbox.port)
        workbench.bounces.switch(ana, active=True)
        desk = _Desk(workbench, ana, inbox)
        message = desk.send(replace(_REQUEST, to=("nadie@rebota.example", "luis@otra.example")))
        raw = inbox.wait_for_message(ANA, b"Action: failed")
        desk.look()
    told = desk.get(message)

    assert f"Original-Envelope-Id: {message.id}".encode() in raw
    assert _states(told) == [("bounced", "recipient_unknown"), ("accepted", "")]
    assert told.notices[0].status == "5.1.1"


def test_a_report_is_kept_once_however_often_it_is_read(desk: _Desk) -> None:
    """A folder that begins anew (another UIDVALIDITY) is read again; what is known stays as it is."""
    message = desk.send()
    desk.put(report("postfix", message))
    desk.look()
    desk.look()
    desk.set(places={"INBOX": [1, 1, 0]})
    desk.look()

    assert len(desk.get(message).notices) == 1
    assert (
        len([row for row in desk.workbench.activity.list(desk.ana)["items"] if row.action == "document_bounced"]) == 1
    )


def test_what_a_server_still_tries_is_no_bounce(desk: _Desk) -> None:
    """The recipient stays accepted, and it is told; when it comes back in the end, it has come back."""
    message = desk.send()
    desk.put(report("gmail_delay", message))
    desk.look()
    delayed = desk.get(message)
    desk.put(report("gmail", message))
    desk.look()
    returned = desk.get(message)

    assert _states(delayed)[0] == ("accepted", "")
    assert [notice.kind for notice in delayed.notices] == [NoticeKind.DELAYED]
    assert _states(returned)[0] == ("bounced", "recipient_unknown")
    assert {notice.kind for notice in returned.notices} == {NoticeKind.DELAYED, NoticeKind.FAILED}


def test_a_confirmation_says_when_it_came_and_nothing_else(desk: _Desk) -> None:
    """The recipient confirms that it was shown to them (RFC 8098)."""
    message = desk.send()
    desk.put(report("confirmation", message, "luis@cliente.example"))
    desk.look()
    (notice,) = desk.get(message).notices

    assert (notice.kind, notice.address) == (NoticeKind.CONFIRMED, "luis@cliente.example")
    assert _states(desk.get(message)) == [("accepted", ""), ("accepted", "")]
    assert abs(notice.at - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_forged_report_changes_nothing(desk: _Desk) -> None:
    """It names a message that we never sent, one of another person's, or one of long ago; it is not even listed."""
    message, old = desk.send(), desk.send(replace(_REQUEST, number="5"), "old")
    with desk.workbench.database.session() as session:
        ago = datetime.now(UTC) - timedelta(days=31)
        session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == old.id).values(accepted=ago))
    foreign = {"id": "0" * 32, "message_id": "<otro@example.com>"}
    desk.put(*(report(shape, message, **foreign) for shape in ("postfix", "exim", "gmail", "exchange", "outlook_com")))
    desk.put(report("postfix", old))
    desk.look()

    assert _states(desk.get(message)) == _states(desk.get(old)) == [("accepted", ""), ("accepted", "")]
    assert not desk.get(message).notices
    assert not desk.get(old).notices
    assert not desk.workbench.bounces.list_unassigned(desk.ana)


def test_an_address_that_it_was_forwarded_to_is_no_recipient_of_ours(desk: _Desk) -> None:
    """The message knows of it; which recipient that was, nobody guesses."""
    message = desk.send()
    desk.put(report("exchange", message, "almacen@otra.example"))
    desk.look()
    told = desk.get(message)

    listed = desk.workbench.outbox.list(desk.ana, filters_for("bounced")).messages

    assert [notice.address for notice in told.notices] == ["almacen@otra.example"]
    assert _states(told) == [("accepted", ""), ("accepted", "")]
    assert [(each.id, shown_state(each)) for each in listed] == [(message.id, "bounced")]


def test_a_report_that_names_no_message_is_assigned_to_none(desk: _Desk) -> None:
    """Although the only message that went to this address is known: it is listed as what it is."""
    message = desk.send()
    desk.put(report("nameless", message))
    desk.look()
    (notice,) = desk.workbench.bounces.list_unassigned(desk.ana)

    assert (notice.address, notice.message) == ("eva@cliente.example", "")
    assert not desk.get(message).notices


def test_other_mail_is_not_read(desk: _Desk) -> None:
    """Neither a mail that only looks like a report, nor one whose subject does; they stay unread."""
    message = desk.send()
    written = f"From: eva@cliente.example\nTo: ana@example.com\nSubject: Undelivered Mail\n\n{message.message_id}\n"
    desk.put(written.encode(), written.replace("eva@cliente.example", "postmaster@cliente.example").encode())
    desk.look()

    assert not desk.get(message).notices
    assert desk.dovecot.flags(ANA) == [set(), set()] or all("\\Seen" not in flags for flags in desk.dovecot.flags(ANA))


def test_a_message_of_unknown_fate_has_left_when_it_comes_back(desk: _Desk) -> None:
    """Who returns a mail has had it."""
    with smtp_server(SmtpScript(replies={"final": CLOSE})) as server:
        _account(desk.workbench, desk.ana, server.port, desk.dovecot.port)
        message = desk.send()
    desk.put(report("postfix", message))
    desk.look()
    told = desk.get(message)

    assert message.state is State.UNKNOWN
    assert (told.state, told.reason, _states(told)[0]) == (State.SENT, None, ("bounced", "recipient_unknown"))


def test_without_the_switch_nobody_signs_in(house: tuple[Workbench, Actor]) -> None:
    """It is off until it is turned on, and off again when it is turned off."""
    workbench, ana = house
    with smtp_server(SmtpScript()) as smtp, imap_server(ImapScript()) as imap:
        _account(workbench, ana, smtp.port, imap.port)
        desk = _Desk(workbench, ana, None)  # type: ignore[arg-type]
        desk.send()
        desk.look()
        never = imap.connections
        workbench.bounces.switch(ana, active=True)
        desk.look()
        once = imap.connections
        workbench.bounces.switch(ana, active=False)
        desk.set(due=datetime.now(UTC) - timedelta(hours=1))
        desk.look()
    told = {row.action for row in workbench.activity.list(ana)["items"]}

    assert (never, once, imap.connections) == (0, 1, 1)
    assert {"bounce_search_begun", "bounce_search_ended"} <= told


def test_a_refused_password_is_tried_once_a_day_or_when_the_account_is_saved(house: tuple[Workbench, Actor]) -> None:
    """And the reason is told beside the switch."""
    workbench, ana = house
    refusing = ImapScript(users={"ana@example.com": "otra"})
    with smtp_server(SmtpScript()) as smtp, imap_server(refusing) as imap:
        _account(workbench, ana, smtp.port, imap.port)
        desk = _Desk(workbench, ana, None)  # type: ignore[arg-type]
        workbench.bounces.switch(ana, active=True)
        desk.send()
        desk.look()
        desk.send(replace(_REQUEST, number="8"), "2")
        desk.work()
        tried = imap.connections
        _account(workbench, ana, smtp.port, imap.port)
        desk.work()

    assert (tried, imap.connections) == (1, 2)
    assert workbench.bounces.get(ana).key == "bad_credentials"


def test_the_switch_is_off_says_what_is_read_and_acts_at_once(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded, and nothing of it waits for «Guardar»."""
    ana = sign_in(workbench, "ana")
    app = open_page(monkeypatch, workbench, ana, "mail_account.py")
    app.session_state["mail_account_bounces_panel"] = True
    app.run()
    switch = app.toggle(key="mail_account_bounces_on")
    before, told = (switch.label, switch.value), words(app)
    switch.set_value(True).run()
    after = workbench.bounces.get(ana).active, app.toggle(key="mail_account_bounces_on").value

    assert before == ("Buscar devoluciones en mi bandeja de entrada", False)
    assert "Solo se leen los avisos de devolución" in told
    assert after == (True, True)
    assert not app.exception


def test_a_message_that_came_back_is_shown_as_returned_everywhere(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """«Enviados» with why and what to do, under its own word, Resumen, and the object of the API; an unassigned one
    beside the switch.
    """
    other, message = desk.send(replace(_REQUEST, number="6"), "0"), desk.send()
    desk.put(report("postfix", message), report("confirmation", message, "luis@cliente.example"))
    desk.put(report("nameless", message))
    desk.look()
    told = message_json(desk.get(message))
    overview = {line.section: line for line in desk.workbench.overview.lines(desk.ana)}[SectionName.OUTBOX]
    app = open_page(monkeypatch, desk.workbench, desk.ana, "overview.py")
    resumen = words(app)
    app.switch_page("mail_account.py")
    app.session_state["mail_account_bounces_panel"] = True
    app.run()
    account = words(app)
    app.switch_page("send_document.py")
    found, told_of = dict[str, list[str]](), dict[str, str]()
    for state in ("bounced", "sent", ""):
        app.session_state["send_document_tab"], app.session_state["send_document_state"] = "Enviados", state
        app.run()
        found[state] = [each.partition(" · ")[0] for each in app.radio(key="send_document_picked").options]
        told_of[state] = words(app)

    assert found == {"bounced": ["Factura F 7"], "sent": ["Factura F 6"], "": ["Factura F 7", "Factura F 6"]}
    assert ["Devuelto: " in told_of[state] for state in ("bounced", "sent")] == [True, False]
    assert "El destinatario eva@cliente.example no existe" in told_of["bounced"].replace("\\", "").replace("\u2060", "")
    assert (told["bounced"], message_json(desk.get(other))["bounced"]) == (True, False)
    assert [each["state"] for each in told["recipients"]] == ["bounced", "accepted"]
    assert [(each["kind"], each["key"]) for each in told["notices"]] == [
        ("failed", "recipient_unknown"),
        ("confirmed", ""),
    ]
    assert "eva@cliente.example" in told["notices"][0]["title"]
    assert (overview.state, overview.values) == (SectionState.WARNING, {"bounced": 1})
    assert "Devueltos: 1" in resumen
    assert "Avisos sin asignar" in account
    assert not app.exception


def test_two_processes_share_the_searches(desk: _Desk) -> None:
    """What one has taken the other leaves alone, until its time is over; the late one stores nothing more."""
    desk.send()
    desk.workbench.bounces.hurry(desk.ana)
    first, second = (Bounces(desk.workbench.database, name) for name in ("one", "two"))
    task = first.claim()
    assert task is not None
    taken = second.claim()
    desk.set(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    later = second.claim()

    assert taken is None
    assert later is not None
    assert not first.keep(task, "", {}, (), lambda *_: None)


def test_an_inbox_is_looked_into_after_2_10_and_60_minutes_and_then_hourly_for_five_days() -> None:
    """By the messages that left, many of them together; never more often than once a minute."""
    start = datetime(2026, 11, 30, 10, tzinfo=UTC)

    def planned(last_minutes: float, *left_minutes: float) -> float | None:
        def first_behind(moment: datetime) -> datetime | None:
            behind = (start + timedelta(minutes=each) for each in left_minutes)
            return min((each for each in behind if each > moment), default=None)

        found = plan_look(start + timedelta(minutes=last_minutes), first_behind)
        return None if found is None else (found - start) / timedelta(minutes=1)

    days = 24 * 60.0
    looks: Sequence[tuple[float, float | None]] = [
        (0, 2),
        (2, 10),
        (10, 60),
        (60, 120),
        (120, 180),
        (5 * days - 30, 5 * days + 30),
        (5 * days + 30, None),
    ]
    assert [(at, planned(at, 0)) for at, _ in looks] == list(looks)
    assert planned(2, 0, 1.5) == 3.5
    assert planned(2, *(each / 100 for each in range(300))) == 3
