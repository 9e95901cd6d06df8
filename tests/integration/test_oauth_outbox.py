"""Documents that leave by a connection: sent and filed with tokens, held and let go as it dies and heals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.message import Attachment
from cgcore.outbox.message import Message
from cgcore.outbox.states import CopyState, State
from cgcore.storage.database import open_database
from cgcore.storage.outbox_tables import OutboxAccountRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.connecting import Connected, connect, connect_again, register
from tests.servers.dovecot import Dovecot
from tests.servers.house import add_series, add_user
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA
from tests.servers.scripted import CLOSE, ImapScript
from tests.servers.wire import ScriptedServer, Wire

_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE,
    "F",
    "7",
    (ANA,),
    customer="Talleres Ruiz",
    variables={"contacto": "Eva", "fecha": "30/11/2026", "importe": "12,50 €", "vencimiento": "30/12/2026"},
    attachments=(Attachment("Factura 7.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 90),),
)


@dataclass
class Desk:
    """Ana, connected, with her outbox."""

    ana: Connected
    sent: int = 0

    @property
    def workbench(self) -> Workbench:
        return self.ana.workbench

    def put(self) -> Message:
        """Store one document to be sent."""
        self.sent += 1
        return self.workbench.outbox.send(self.ana.actor, _REQUEST, f"clave-{self.sent}")[0]

    def work(self) -> None:
        """Do what is due now."""
        self.workbench.outbox.worker.work_once()

    def get(self, message: Message) -> Message:
        """Return how it stands now."""
        return self.workbench.outbox.get(self.ana.actor, message.id)

    def rest(self) -> OutboxAccountRow:
        """Return how the account rests."""
        with self.workbench.database.read() as session:
            row = session.get_one(OutboxAccountRow, self.ana.actor.user_id)
            session.expunge(row)
            return row


@pytest.fixture
def house(tmp_path: Path, certificates: Certificates, migrated_file: Path) -> Iterator[Workbench]:
    """A furnished installation that reaches this machine."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    workbench = Workbench(
        settings, open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    )
    admin = add_user(workbench, "admin", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    yield workbench
    workbench.close()


@pytest.fixture
def desk(house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]) -> Desk:
    """Ana at real servers that take the provider's tokens."""
    dovecot, postfix = openid_mail
    return _sit_down(
        house,
        openid,
        MailAccountDraft(
            ANA,
            smtp=ServerDraft("localhost", postfix.tls_port, Security.SSL),
            imap=ServerDraft("localhost", dovecot.tls_port, Security.SSL),
            sent_folder="Sent",
            auth=AuthKind.CUSTOM,
        ),
    )


def _sit_down(house: Workbench, openid: OpenIdProvider, draft: MailAccountDraft) -> Desk:
    actor: Actor = replace(connect(house, openid, draft), mail=ANA)
    house.mail_account.save(actor, draft, version=0)
    return Desk(Connected(house, actor, draft, openid))


def test_a_document_leaves_and_its_copy_is_filed_with_a_token(desk: Desk, openid_mail: tuple[Dovecot, Postfix]) -> None:
    """Real servers prove the token; the copy is the very bytes that were sent, and one token serves both."""
    messages = [desk.put(), desk.put()]
    desk.work()
    token = desk.ana.token().secret.reveal()
    found = [desk.get(message) for message in messages]
    stored = [b"".join(desk.workbench.outbox.read(desk.ana.actor, message.id)) for message in messages]

    assert [(each.state, each.copy_state) for each in found] == [(State.SENT, CopyState.STORED)] * 2
    filed = {each.replace(b"\r\n", b"\n") for each in openid_mail[0].raw_messages(ANA, "Sent")}
    assert {each.replace(b"\r\n", b"\n") for each in stored} <= filed
    assert desk.ana.refreshes() == [200]
    assert token not in repr(found)


def test_the_token_of_the_connection_itself_is_used_first(house: Workbench, desk: Desk, openid: OpenIdProvider) -> None:
    """Just connected, nobody asks for another one."""
    connect_again(house, openid, desk.ana.actor, desk.ana.draft)
    message = desk.put()
    desk.work()

    assert desk.get(message).state is State.SENT
    assert desk.ana.refreshes() == []


def test_what_waits_for_a_dead_connection_goes_once_it_is_made_anew(desk: Desk, openid: OpenIdProvider) -> None:
    """Held with the reason, for a person; whoever connects again has looked, and nobody has to click besides."""
    openid.order(faults={"/token": Fault(400, {"error": "invalid_grant"})})
    message = desk.put()
    desk.work()
    held = desk.get(message)
    openid.order(faults={})
    desk.work()
    waits = desk.get(message).state
    connect_again(desk.workbench, openid, desk.ana.actor, desk.ana.draft)
    desk.work()

    assert held.reason is not None
    assert (held.state, held.reason["key"]) == (State.HELD, "oauth_expired")
    assert waits is State.HELD
    assert desk.get(message).state is State.SENT


def test_what_a_lapsed_secret_holds_goes_once_there_is_another(desk: Desk, openid: OpenIdProvider) -> None:
    """The administrator has mended it, for everybody."""
    register(desk.workbench, openid, secret="ya-no-vale")
    message = desk.put()
    desk.work()
    held = desk.get(message)
    register(desk.workbench, openid)
    desk.work()

    assert held.reason is not None
    assert (held.state, held.reason["key"]) == (State.HELD, "oauth_client_wrong")
    assert desk.get(message).state is State.SENT


def test_a_provider_that_is_away_lets_an_account_rest_for_a_minute(desk: Desk, openid: OpenIdProvider) -> None:
    """To ask for a token again locks nobody's account: not an hour, as after a refused password."""
    openid.order(faults={"/token": Fault(503)})
    message = desk.put()
    desk.work()
    rest, held = desk.rest(), desk.get(message)

    assert held.state is State.HELD
    assert rest.paused_until is not None
    assert timedelta() < rest.paused_until - held.changed <= timedelta(minutes=1)


def test_a_session_that_ends_with_its_token_files_the_copy_all_the_same(
    house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix], certificates: Certificates
) -> None:
    """Exchange ends a session in the middle: signed in again, with another token, at once."""
    said: list[str] = []
    friendly = ImapScript(
        capabilities=("IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2", "UIDPLUS"),
        any_token=True,
        untagged={"UID SEARCH": b"* SEARCH\r\n"},
    )
    bye = b"* BYE Session invalidated - AccessTokenExpired\r\n"
    ending = replace(friendly, untagged={"SELECT": bye}, replies={"SELECT": CLOSE})

    def play(wire: Wire) -> None:
        said.append("session")
        (ending if len(said) == 1 else friendly)(wire)

    context = certificates.trusted.server_context()
    with ScriptedServer(play, context=context, implicit_tls=True) as server:
        draft = MailAccountDraft(
            ANA,
            smtp=ServerDraft("localhost", openid_mail[1].tls_port, Security.SSL),
            imap=ServerDraft("localhost", server.port, Security.SSL),
            sent_folder="Sent",
            auth=AuthKind.CUSTOM,
        )
        desk = _sit_down(house, openid, draft)
        message = desk.put()
        desk.work()

    assert (desk.get(message).state, desk.get(message).copy_state) == (State.SENT, CopyState.STORED)
    assert len(said) == 2
    assert desk.ana.refreshes() == [200, 200]
