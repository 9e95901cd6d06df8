"""Processes on one PostgreSQL that share connections, drafts and the outbox; one may die at the worst moment."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.outbox.states import State
from cgcore.settings import Settings, load_settings
from cgcore.storage.database import Database, open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import AttemptState
from cgcore.workbench.oauth.grants import GrantState
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.certificates import Certificates
from tests.servers.connecting import connect, register
from tests.servers.house import add_series
from tests.servers.openid import OpenIdProvider
from tests.servers.pages import sign_in
from tests.servers.postgres import PostgresServer
from tests.servers.probing import ANA
from tests.servers.renewal import renew_and_die
from tests.servers.rivals import Rivals, meet
from tests.servers.scripted import SmtpScript, smtp_server

_LEASE = timedelta(seconds=31)
_DRAFT = MailAccountDraft(
    ANA, smtp=ServerDraft("localhost", 587), imap=ServerDraft("localhost", 993), auth=AuthKind.CUSTOM
)


@dataclass
class House:
    """Two processes over one database, and the test's own beside them."""

    url: str
    folder: Path
    settings: Settings
    rivals: Rivals
    workbench: Workbench


@contextmanager
def _environment(certificates: Certificates) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CG_MAIL_ALLOW_PRIVATE", "127.0.0.0/8,::1/128")
        patch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
        patch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
        yield


@pytest.fixture
def house(tmp_path: Path, postgres_server: PostgresServer, certificates: Certificates) -> Iterator[House]:
    """All opened; the two other processes trust the authority of the tests too."""
    url = postgres_server.create_database("t_" + secrets.token_hex(6))
    with _environment(certificates), meet(url, tmp_path) as rivals:
        rivals.open()
        settings = load_settings(database_url=url, data_dir=tmp_path / "own", config_dir=tmp_path / "config")
        workbench = Workbench(settings, open_database(settings.resolved_database_url()))
        yield House(url, tmp_path, settings, rivals, workbench)
        workbench.close()


def _session_of(actor: Actor) -> tuple[int, str]:
    return actor.user_id, actor.session_hash


def test_an_attempt_begins_at_one_process_and_ends_at_another(house: House, openid: OpenIdProvider) -> None:
    """The callback comes six times at once, to both of the others: one exchange, and everybody is told the same end."""
    register(house.workbench, openid)
    ana, attempts = sign_in(house.workbench, "ana"), house.workbench.oauth.attempts
    attempt = attempts.begin(ana, OAuthProvider.CUSTOM, _DRAFT)
    target = attempts.leave(ana, attempt.id, "http://localhost:8501")
    assert isinstance(target, str)
    answer = dict(parse_qsl(openid.walk(target, ANA).partition("?")[2]))
    outcomes = house.rivals.attempt("come_back", answer, *_session_of(ana))
    found = attempts.find(ana, attempt.id)

    assert set(outcomes) <= {"connected", "checking"}
    assert "connected" in outcomes
    assert [each["status"] for each in openid.asked("/token")] == [200]
    assert found is not None
    assert found.state is AttemptState.CONNECTED
    assert house.workbench.oauth.tokens.take(ana.user_id)


def test_processes_that_need_a_token_lose_none(house: House, openid: OpenIdProvider) -> None:
    """The provider ends everything where an old refresh token comes again: it never does, whoever renews."""
    ana = connect(house.workbench, openid, _DRAFT)
    outcomes = [house.rivals.attempt("token", ana.user_id) for _ in range(3)]
    connected = house.workbench.oauth.grants.connection(ana)
    refreshes = [each["status"] for each in openid.asked("/token") if each["grant"] == "refresh_token"]

    assert outcomes == [["done"] * 6] * 3
    assert set(refreshes) == {200}
    assert len(refreshes) >= 6
    assert connected is not None
    assert connected.state is GrantState.CONNECTED


@pytest.mark.parametrize("is_forgiving", [True, False])
def test_a_process_that_dies_between_the_answer_and_the_store(
    house: House, openid: OpenIdProvider, is_forgiving: bool
) -> None:
    """Where the old token still counts (Google, Microsoft) nothing is lost; where it does not, that is said.

    Nobody waits for the dead one for longer than its lease.
    """
    openid.order(forgiving=is_forgiving)
    ana = connect(house.workbench, openid, _DRAFT)
    code = renew_and_die(house.url, house.folder, ana.user_id)
    now = house.workbench.clock
    later = Workbench(house.settings, Database(house.settings.resolved_database_url()), clock=lambda: now() + _LEASE)
    key = ""
    try:
        later.oauth.tokens.take(ana.user_id)
    except TokenRefused as refused:
        key = refused.key
    connected = house.workbench.oauth.grants.connection(ana)
    later.close()

    assert code == -9
    assert connected is not None
    assert (key, connected.state) == (
        ("", GrantState.CONNECTED) if is_forgiving else ("oauth_expired", GrantState.NEEDS_LOGIN)
    )


def test_a_draft_that_is_kept_by_all_at_once_is_one_and_whole(house: House) -> None:
    """The last word counts, and no half of another one; the third process reads it."""
    ana = sign_in(house.workbench, "ana")
    outcomes = house.rivals.attempt("save_draft", *_session_of(ana))
    (draft,) = house.workbench.drafts.list_drafts(ana, "mail_account")

    assert outcomes == ["done"] * 6
    assert draft.content["user"] == draft.content["host"] != ""


def test_documents_leave_once_whoever_sends_them(house: House) -> None:
    """Six workers in two processes on one queue: each message once, nothing left behind."""
    workbench = house.workbench
    admin = sign_in(workbench, "jefa", Role.ADMIN)
    add_series(workbench, admin, "F", DocumentType.SALES_INVOICE)
    workbench.company.save(admin, CompanyDraft("Electricidad Tosma, SL", "B04123451", "Calle de la Luz, 12"), 0)
    people = [replace(sign_in(workbench, name), mail=f"{name}@example.com") for name in ("ana", "luis", "eva")]
    with smtp_server(SmtpScript(users={})) as server:
        for person in people:
            draft = MailAccountDraft(
                person.mail, Secret("correcto-Caballo.9"), ServerDraft("127.0.0.1", server.port, Security.NONE)
            )
            workbench.mail_account.save(person, draft, version=0)
        request = DocumentRequest(
            DocumentType.SALES_INVOICE,
            "F",
            "7",
            ("eva@example.com",),
            customer="Talleres Ruiz",
            variables={"contacto": "Eva", "fecha": "30/11/2026", "importe": "12,50 €", "vencimiento": "30/12/2026"},
        )
        messages = [
            (person, workbench.outbox.send(person, replace(request, number=str(number)), f"clave-{number}")[0])
            for person in people
            for number in range(4)
        ]
        house.rivals.attempt("send_due")
    states = {workbench.outbox.get(person, message.id).state for person, message in messages}

    assert states == {State.SENT}
    assert (len(server.messages), len(set(server.messages))) == (12, 12)
