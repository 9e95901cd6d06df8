"""Signing in at mail servers with a connection: real tokens, a real Dovecot and Postfix, renewal and its faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from cgcore.activity import Action
from cgcore.errors import VaultError
from cgcore.mail.account import AccessToken, AuthKind, LoginNames, MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Cell, Run, Step
from cgcore.storage.database import Database, open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.grants import GrantState
from cgcore.workbench.secrets import oauth_secret
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.connecting import OPERATOR, Connected, connect
from tests.servers.dovecot import Dovecot
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import PASSWORD
from tests.servers.postfix import SHARED, Postfix
from tests.servers.probing import ANA


@pytest.fixture
def house(tmp_path: Path, certificates: Certificates, migrated_file: Path) -> Iterator[Workbench]:
    """A workbench that reaches this machine."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    workbench = Workbench(
        settings, open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    )
    yield workbench
    workbench.close()


@pytest.fixture
def ana(house: Workbench, openid: OpenIdProvider) -> Connected:
    """Ana, connected; her servers are names only."""
    server = ServerDraft("localhost", 587)
    draft = MailAccountDraft(ANA, smtp=server, imap=server, auth=AuthKind.CUSTOM)
    return Connected(house, connect(house, openid, draft), draft, openid)


def _auth(run: Run) -> Step:
    return next(step for step in run.steps if step.stage == Stage.AUTH)


def _account(mail: tuple[Dovecot, Postfix]) -> MailAccountDraft:
    dovecot, postfix = mail
    return MailAccountDraft(
        ANA,
        smtp=ServerDraft("localhost", postfix.tls_port, Security.SSL),
        imap=ServerDraft("localhost", dovecot.tls_port, Security.SSL),
        sent_folder="Sent",
        auth=AuthKind.CUSTOM,
    )


def test_both_legs_and_a_test_mail_sign_in_with_one_token(
    house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """Postfix and Dovecot prove the provider's signature; the token stands in no step and no row."""
    draft = _account(openid_mail)
    ana = Connected(house, connect(house, openid, draft), draft, openid)
    smtp, imap = ana.prove(Leg.SMTP), ana.prove(Leg.IMAP)
    mail = house.mail_runs.start_test_mail(ana.actor, draft, ANA)
    sent = list(house.runs.follow(ana.actor, mail))[-1]
    token = ana.token().secret.reveal()

    assert [run.verdict.key for run in (smtp, imap, sent) if run.verdict] == ["ok", "ok", "ok"]
    assert _auth(smtp).details["mechanism"] == "XOAUTH2"
    assert sent.result is not None
    assert (sent.result["sent"], sent.result["copy"]) == (True, "stored")
    assert token not in repr((smtp, imap, sent))
    assert len(ana.refreshes()) <= 1


def test_a_token_that_a_server_refuses_is_renewed_once_and_then_explained(
    house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """It has run out although it was given for an hour; the next one is good. One that stays refused says why."""
    draft = _account(openid_mail)
    ana = Connected(house, connect(house, openid, draft), draft, openid)
    openid.order(seconds=-60)
    ana.token()
    openid.order(seconds=3600)
    healed = ana.prove(Leg.IMAP)
    other = replace(draft, user="eva@tosma.example")
    refused = ana.prove(Leg.IMAP, other)

    assert healed.verdict is not None
    assert healed.verdict.key == "ok"
    assert refused.verdict is not None
    assert refused.verdict.key == "oauth_not_connected"


@pytest.mark.parametrize(("minutes", "key"), [(5, "clock_wrong"), (0, "token_rejected")])
def test_a_new_token_that_is_refused_is_the_clocks_fault_where_that_is_off(
    house: Workbench,
    openid: OpenIdProvider,
    openid_mail: tuple[Dovecot, Postfix],
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    key: str,
) -> None:
    """A server beside us compares the token with the same clock; it only says no, the provider's date says why."""
    draft = _account(openid_mail)
    ana = Connected(house, connect(house, openid, draft), draft, openid)
    now = house.context.clock
    monkeypatch.setitem(vars(house.context), "clock", lambda: now() + timedelta(minutes=minutes))
    openid.order(seconds=-60)
    run = ana.prove(Leg.IMAP)

    assert run.verdict is not None
    assert run.verdict.key == key
    assert _auth(run).details.get("ahead") == ("5" if minutes else None)


def test_a_shared_mailbox_that_the_server_does_not_open_is_explained(
    house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """The account that has signed in is another one: the server says only no, and we say which."""
    draft = _account(openid_mail)
    ana = Connected(house, connect(house, openid, draft, user="jefa@tosma.example"), draft, openid)
    run = ana.prove(Leg.SMTP)

    assert run.verdict is not None
    assert run.verdict.key == "oauth_other_account"
    assert _auth(run).details["connected"] == "jefa@tosma.example"
    assert len(ana.refreshes()) == 2


@pytest.mark.parametrize(
    ("logins", "keys"),
    [
        (LoginNames(), ("oauth_other_account", "oauth_other_account")),
        (LoginNames(smtp=ANA), ("ok", "oauth_other_account")),
        (LoginNames(imap=ANA), ("oauth_other_account", "ok")),
    ],
)
def test_each_server_is_told_its_own_user(
    house: Workbench,
    openid: OpenIdProvider,
    openid_mail: tuple[Dovecot, Postfix],
    logins: LoginNames,
    keys: tuple[str, str],
) -> None:
    """Real servers take a token for its owner alone: who is told the shared mailbox says no, the other yes."""
    draft = replace(_account(openid_mail), user=SHARED, logins=logins)
    ana = Connected(house, connect(house, openid, draft), draft, openid)
    runs = [ana.prove(leg) for leg in Leg]

    assert [run.verdict.key for run in runs if run.verdict] == [*keys]


def test_mail_of_a_shared_mailbox_comes_from_it_whoever_signs_in(
    house: Workbench, openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix]
) -> None:
    """Test and test mail name the shared address as their sender, and the copy is filed; what was proven counts."""
    dovecot, _ = openid_mail
    draft = replace(_account(openid_mail), user=SHARED, logins=LoginNames(ANA, ANA))
    ana = Connected(house, connect(house, openid, draft), draft, openid)
    probe = ana.prove(Leg.SMTP)
    mail = house.mail_runs.start_test_mail(ana.actor, draft, ANA)
    sent = list(house.runs.follow(ana.actor, mail))[-1]
    # Of the others that this mailbox was sent by other tests, none is from it.
    arrived = dovecot.wait_for_message(ANA, f"<{SHARED}>".encode())
    before = house.mail_runs.fingerprint(ana.actor, Cell.SMTP, replace(draft, logins=LoginNames()))

    assert [run.verdict.key for run in (probe, sent) if run.verdict] == ["ok", "ok"]
    assert sent.result is not None
    assert sent.result["copy"] == "stored"
    assert SHARED in str(message_from_bytes(arrived)["From"])
    assert probe.fingerprint == house.mail_runs.fingerprint(ana.actor, Cell.SMTP, draft)
    assert probe.fingerprint != before


@pytest.mark.parametrize(
    "change",
    [{"smtp": ServerDraft("127.0.0.1", 587)}, {"user": "otra@tosma.example"}, {"auth": AuthKind.GOOGLE}],
)
def test_a_token_goes_only_where_the_account_was_connected(ana: Connected, change: dict[str, Any]) -> None:
    """Another server, another mailbox, another provider: asked anew, and nothing is taken out of the vault."""
    with pytest.raises(TokenRefused) as refused:
        ana.workbench.oauth.tokens.source(ana.actor, replace(ana.draft, **change), Leg.SMTP).take()

    assert refused.value.key == "oauth_not_connected"
    assert ana.refreshes() == []


def test_threads_that_need_a_token_ask_for_one(ana: Connected) -> None:
    """Eight at once: one request, one token, and the refresh token that came with it is the stored one."""
    before = ana.workbench.vault.get(oauth_secret(ana.actor.user_id))
    found: list[AccessToken] = []
    threads = [threading.Thread(target=lambda: found.append(ana.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert all(each == found[0] for each in found)
    assert ana.refreshes() == [200]
    assert ana.workbench.vault.get(oauth_secret(ana.actor.user_id)) != before


def test_replicas_renew_one_after_the_other(ana: Connected) -> None:
    """A provider that takes a refresh token once would end the connection for two at once: nobody loses it."""
    workbench = ana.workbench
    url = workbench.database.engine.url.render_as_string(hide_password=False)
    beside = Workbench(workbench.settings, Database(url))
    sources = [each.oauth.tokens.source(ana.actor, ana.draft, Leg.SMTP) for each in (workbench, beside)]
    found: list[AccessToken] = []
    for _ in range(3):
        workbench.oauth.tokens.forget(ana.actor.user_id)
        beside.oauth.tokens.forget(ana.actor.user_id)
        threads = [threading.Thread(target=lambda each=each: found.append(each.take())) for each in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    beside.close()

    assert len(found) == 6
    assert ana.refreshes() == [200] * 6


def test_a_connection_that_has_died_is_noted_once_and_told(ana: Connected) -> None:
    """Asked once; afterwards the stored answer counts, until it is connected anew."""
    ana.workbench.mail_account.save(ana.actor, ana.draft, version=0)
    ana.openid.order(faults={"/token": Fault(400, {"error": "invalid_grant"})})
    for _ in range(3):
        with pytest.raises(TokenRefused) as refused:
            ana.token()
        assert refused.value.key == "oauth_expired"
    connected = ana.workbench.oauth.grants.connection(ana.actor)
    lines = [each for each in ana.workbench.activity.list(ana.actor)["items"] if each.action == Action.OAUTH_LOST]

    assert connected is not None
    assert (connected.state, connected.key) == (GrantState.NEEDS_LOGIN, "oauth_expired")
    assert [(each.object, each.result) for each in lines] == [(ANA, "oauth_expired")]
    assert len(ana.refreshes()) == 1
    assert ana.workbench.mail_runs.overview(ana.actor).code == "mail_connection_lost"


def test_what_passes_by_itself_ends_no_connection(ana: Connected) -> None:
    """A provider that is down is told; a lapsed secret is the administrator's, and both heal without the user."""
    ana.openid.order(faults={"/token": Fault(503)})
    with pytest.raises(TokenRefused) as down:
        ana.token()
    ana.openid.order(faults={"/token": Fault(401, {"error": "invalid_client"})})
    with pytest.raises(TokenRefused) as lapsed:
        ana.token()
    connected = ana.workbench.oauth.grants.connection(ana.actor)
    ana.openid.order(faults={})

    assert (down.value.key, lapsed.value.key) == ("oauth_unreachable", "oauth_client_wrong")
    assert connected is not None
    assert connected.state is GrantState.NEEDS_ADMIN
    assert ana.token()
    healed = ana.workbench.oauth.grants.connection(ana.actor)
    assert healed is not None
    assert healed.state is GrantState.CONNECTED


def test_a_refusal_is_looked_at_again_where_another_process_has_renewed(
    ana: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is old by the time it is refused: the stored one is taken, and the connection lives."""
    name = oauth_secret(ana.actor.user_id)
    vault, read = ana.workbench.vault, 0
    get = vault.get

    def stale(wanted: str, **more: Any) -> Secret | None:
        nonlocal read
        if wanted == name:
            read += 1
            if read == 1:
                return Secret("uno-que-ya-no-vale")
        return get(wanted, **more)

    monkeypatch.setattr(vault, "get", stale)

    assert ana.token()
    assert ana.refreshes() == [400, 200]


def test_no_token_is_used_whose_refresh_token_could_not_be_kept(
    ana: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has answered, the vault does not write: told as ours, held here, and kept before anything else."""

    def fails(*_: Any, **__: Any) -> None:
        raise VaultError("no", code="record_write_failed")

    name = oauth_secret(ana.actor.user_id)
    before = ana.workbench.vault.get(name)
    with monkeypatch.context() as broken:
        broken.setattr(ana.workbench.vault, "set", fails)
        for _ in range(2):
            with pytest.raises(TokenRefused) as refused:
                ana.token()
            assert (refused.value.key, refused.value.details["reason"]) == ("vault_away", "record_write_failed")
    connected = ana.workbench.oauth.grants.connection(ana.actor)

    assert connected is not None
    assert connected.state is GrantState.CONNECTED
    # Nobody asked a second time: the old one would have ended the whole family.
    assert ana.refreshes() == [200]
    assert ana.token()
    assert ana.refreshes() == [200]
    assert ana.workbench.vault.get(name) != before
    ana.forget()
    assert ana.token()
    assert ana.refreshes() == [200, 200]


def test_disconnecting_revokes_and_forgets(ana: Connected) -> None:
    """The provider takes the refresh token no more, the vault holds none, and a second time there is nothing."""
    name = oauth_secret(ana.actor.user_id)
    stored, workbench = ana.workbench.vault.get(name), ana.workbench
    ended = workbench.oauth.grants.disconnect(ana.actor)
    actions = [each.action for each in workbench.activity.list(ana.actor)["items"]]

    assert stored is not None
    assert (ended.provider, ended.revoked) == (OAuthProvider.CUSTOM, True)
    assert workbench.vault.get(name) is None
    assert workbench.oauth.grants.connection(ana.actor) is None
    assert Action.OAUTH_DISCONNECTED in actions
    assert [each["status"] for each in ana.openid.asked("/token/revocation")] == [200]
    with pytest.raises(TokenRefused):
        ana.token()
    with pytest.raises(LookupError):
        workbench.oauth.grants.disconnect(ana.actor)


def test_disconnecting_works_while_the_provider_is_down(ana: Connected) -> None:
    """It is forgotten here all the same, and said that the provider was not told."""
    ana.openid.order(faults={"/token/revocation": Fault(503)})
    ended = ana.workbench.oauth.grants.disconnect(ana.actor)

    assert not ended.revoked
    assert ana.workbench.vault.get(oauth_secret(ana.actor.user_id)) is None


def test_saving_with_a_password_ends_the_connection(ana: Connected) -> None:
    """So does another mailbox; what else is saved leaves it alone."""
    section, grants = ana.workbench.mail_account, ana.workbench.oauth.grants
    section.save(ana.actor, ana.draft, version=0)
    shown, usable = section.to_json(section.get(ana.actor)), section.get(ana.actor).can_sign_in
    section.save(ana.actor, replace(ana.draft, read_receipt=True), version=1)
    kept = grants.connection(ana.actor)
    section.save(ana.actor, replace(ana.draft, auth=AuthKind.PASSWORD, password=Secret("clave")), version=2)

    assert (shown["auth"], shown["connected"]["address"], shown["connected"]["scopes"]) == ("custom", ANA, ["mail"])
    assert kept is not None
    assert usable
    assert grants.connection(ana.actor) is None
    assert section.to_json(section.get(ana.actor))["connected"] is None


def test_what_nobody_uses_is_renewed_once_a_week(
    tmp_path: Path, certificates: Certificates, migrated_file: Path, openid: OpenIdProvider
) -> None:
    """Before that it is left alone; what has died meanwhile is noted, not silent."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    database = open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    later, now = [timedelta()], Workbench(settings, database).clock
    workbench = Workbench(settings, database, clock=lambda: now() + later[0])
    draft = MailAccountDraft(ANA, smtp=ServerDraft("localhost", 587), auth=AuthKind.CUSTOM)
    ana = Connected(workbench, connect(workbench, openid, draft), draft, openid)
    counts: list[int] = []
    for days in (6, 8, 9):
        later[0] = timedelta(days=days)
        workbench.oauth.keep_alive.work_once()
        counts.append(len(ana.refreshes()))
    later[0] = timedelta(days=30)
    openid.order(faults={"/token": Fault(400, {"error": "invalid_grant"})})
    workbench.oauth.keep_alive.work_once()
    actor = workbench.identity.sessions.log_in("ana", PASSWORD).actor
    connected = workbench.oauth.grants.connection(actor)

    assert counts == [0, 1, 1]
    assert connected is not None
    assert connected.state is GrantState.NEEDS_LOGIN
    workbench.close()


def test_a_client_is_checked_without_anybody_signing_in(ana: Connected) -> None:
    """The right secret, a wrong one, and a provider that is away; the secret stands in no answer."""
    clients = ana.workbench.oauth.clients
    right = clients.check(OPERATOR, OAuthProvider.CUSTOM)
    ana.openid.order(faults={"/.well-known/openid-configuration": Fault(503)})
    away = clients.check(OPERATOR, OAuthProvider.CUSTOM)
    ana.openid.order(faults={})
    draft = ClientDraft(
        OAuthProvider.CUSTOM, ana.openid.client_id, Secret("otro-secreto"), issuer=ana.openid.url, scope="mail"
    )
    clients.save(OPERATOR, draft, version=1)
    wrong = clients.check(OPERATOR, OAuthProvider.CUSTOM)

    assert [each.key for each in (right, away, wrong)] == ["", "oauth_unreachable", "oauth_client_wrong"]
    assert "otro-secreto" not in repr(wrong)
