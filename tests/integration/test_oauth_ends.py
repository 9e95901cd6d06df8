"""What becomes of a connection that others end: the account is closed, a file changes it, the provider goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cgcore.activity import Action
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, LoginNames, MailAccountDraft, ServerDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.portable.reading import Refused
from cgcore.storage.database import Database, open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.grants import GrantState
from cgcore.workbench.secrets import oauth_secret
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.connecting import OPERATOR, Connected, connect, connect_again
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import sign_in
from tests.servers.probing import ANA

_SERVER = ServerDraft("localhost", 587)


@pytest.fixture
def ana(tmp_path: Path, certificates: Certificates, migrated_file: Path, openid: OpenIdProvider) -> Iterator[Connected]:
    """Ana, connected, her account stored; her servers are names only. An administrator is there besides."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    workbench = Workbench(
        settings, open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    )
    draft = MailAccountDraft(ANA, smtp=_SERVER, imap=_SERVER, auth=AuthKind.CUSTOM)
    sign_in(workbench, "jefa", Role.ADMIN)
    actor = connect(workbench, openid, draft)
    workbench.mail_account.save(actor, draft, version=0)
    yield Connected(workbench, actor, draft, openid)
    workbench.close()


def _revocations(ana: Connected) -> list[int]:
    """How the provider has answered, once everything that was to be told has been told."""
    ana.workbench.oauth.grants.close()
    return [each["status"] for each in ana.openid.asked("/token/revocation")]


def _trail(ana: Connected) -> list[tuple[str, str]]:
    return [(each.action, each.result) for each in ana.workbench.activity.list(ana.actor)["items"]]


def test_closing_an_account_revokes_and_forgets(ana: Connected) -> None:
    """Whoever has left the company leaves no key to the mailbox behind; opened again, it is to be connected anew."""
    workbench = ana.workbench
    workbench.users.disable(OPERATOR, "ana")
    revoked, stored = _revocations(ana), workbench.vault.get(oauth_secret(ana.actor.user_id))
    workbench.users.enable(OPERATOR, "ana")
    with pytest.raises(TokenRefused) as refused:
        ana.token()

    assert revoked == [200]
    assert stored is None
    assert refused.value.key == "oauth_not_connected"


def test_a_file_that_changes_the_account_ends_the_connection_and_says_so_before(ana: Connected) -> None:
    """To a password, or to another mailbox; a file that changes neither leaves it alone."""
    portable = ana.workbench.portable
    same = portable.export_all(OPERATOR).encode()
    value = json.loads(same)
    account = next(each for each in value["users"] if each["name"] == "ana")["mail_account"]
    account["read_receipt"] = True
    other = json.dumps(value).encode()
    portable.apply(OPERATOR, other)
    kept = ana.workbench.oauth.grants.connection(ana.actor)
    account.pop("auth")
    to_password = json.dumps(value).encode()
    plan = portable.plan(OPERATOR, to_password)
    untouched = ana.workbench.oauth.grants.connection(ana.actor)
    portable.apply(OPERATOR, to_password, fingerprint=plan.fingerprint)

    assert kept is not None
    assert untouched is not None
    assert "El correo de «ana» se desconectará: cambian el buzón o la forma de entrar." in map(str, plan.notes)
    assert _revocations(ana) == [200]
    assert ana.workbench.oauth.grants.connection(ana.actor) is None
    assert ana.workbench.vault.get(oauth_secret(ana.actor.user_id)) is None
    assert (Action.OAUTH_LOST, "oauth_not_connected") in _trail(ana)


def test_a_file_brings_no_connection_along(ana: Connected) -> None:
    """Who is told to sign in by a provider connects there in a browser: said before anything is imported."""
    file = ana.workbench.portable.export_all(OPERATOR).encode()
    secret = ana.workbench.vault.get(oauth_secret(ana.actor.user_id))
    ana.workbench.oauth.grants.disconnect(ana.actor)
    stored = ana.workbench.mail_account.get(ana.actor)
    by_password = replace(ana.draft, auth=AuthKind.PASSWORD)
    ana.workbench.mail_account.save(ana.actor, by_password, version=stored.version)
    plan = ana.workbench.portable.apply(OPERATOR, file)

    assert secret is not None
    assert secret.reveal() not in file.decode()
    assert "«ana» tendrá que conectar su correo: una conexión no viaja en el archivo." in map(str, plan.notes)
    assert ana.workbench.oauth.grants.connection(ana.actor) is None


def test_a_file_brings_the_user_of_each_server(ana: Connected) -> None:
    """Out and in again they are the same; a file of before has none, and what is no text is refused in its place."""
    portable, draft = ana.workbench.portable, replace(ana.draft, logins=LoginNames(smtp="jefa@tosma.example"))
    ana.workbench.mail_account.save(ana.actor, draft, version=1)
    value = json.loads(portable.export_all(OPERATOR))
    account = next(each for each in value["users"] if each["name"] == "ana")["mail_account"]
    logins = account.pop("logins")
    portable.apply(OPERATOR, json.dumps(value).encode())
    without = ana.workbench.mail_account.get(ana.actor).draft
    account["logins"] = logins
    portable.apply(OPERATOR, json.dumps(value).encode())
    account["logins"] = {"smtp": 7}
    with pytest.raises(Refused) as refused:
        portable.plan(OPERATOR, json.dumps(value).encode())

    assert logins == {"smtp": "jefa@tosma.example", "imap": ""}
    assert without == ana.draft
    assert ana.workbench.mail_account.get(ana.actor).draft == draft
    assert "logins.smtp" in str(refused.value)
    assert ana.workbench.oauth.grants.connection(ana.actor) is not None


@pytest.mark.parametrize("is_away", [False, True])
def test_taking_a_provider_away_ends_every_connection_by_it(ana: Connected, is_away: bool) -> None:
    """Each is revoked with the secret that goes with it, and forgotten here whatever the provider answers."""
    workbench = ana.workbench
    if is_away:
        ana.openid.order(faults={"/token/revocation": Fault(503)})
    counted = workbench.oauth.clients.count_connected(OPERATOR, OAuthProvider.CUSTOM)
    workbench.oauth.clients.remove(OPERATOR, OAuthProvider.CUSTOM)

    assert counted == 1
    assert _revocations(ana) == [503 if is_away else 200]
    assert workbench.oauth.grants.connection(ana.actor) is None
    assert workbench.vault.get(oauth_secret(ana.actor.user_id)) is None
    assert (Action.OAUTH_LOST, "oauth_not_connected") in _trail(ana)
    assert workbench.mail_runs.overview(ana.actor).code == "mail_not_connected"


def test_a_connection_by_another_client_counts_as_lost(ana: Connected) -> None:
    """The administrator has registered another one: shown as lost, and alive again with the old one."""
    workbench, openid = ana.workbench, ana.openid
    other = ClientDraft(OAuthProvider.CUSTOM, "otro-cliente", Secret("s"), issuer=openid.url, scope="mail")
    workbench.oauth.clients.save(OPERATOR, other, version=1)
    lost = workbench.oauth.grants.connection(ana.actor)
    line = workbench.mail_runs.overview(ana.actor).code
    mine = replace(other, client_id=openid.client_id, secret=Secret(openid.client_secret))
    workbench.oauth.clients.save(OPERATOR, mine, version=2)
    again = workbench.oauth.grants.connection(ana.actor)

    assert lost is not None
    assert (lost.state, lost.key, line) == (GrantState.NEEDS_LOGIN, "oauth_not_connected", "mail_connection_lost")
    assert again is not None
    assert again.state is GrantState.CONNECTED
    assert ana.token()


def test_connecting_with_another_account_revokes_the_one_before(ana: Connected) -> None:
    """With the same account nothing is revoked: Google would end the new one as well."""
    connect_again(ana.workbench, ana.openid, ana.actor, ana.draft)
    same = _revocations(ana)
    connect_again(ana.workbench, ana.openid, ana.actor, ana.draft, user="jefa@tosma.example")

    assert same == []
    assert _revocations(ana) == [200]
    assert ana.token()


def test_no_token_of_a_connection_before_serves_the_next_one(ana: Connected) -> None:
    """Another process has kept one; disconnected and connected anew here, with another account, it asks for its own."""
    workbench = ana.workbench
    beside = Workbench(
        workbench.settings, Database(workbench.database.engine.url.render_as_string(hide_password=False))
    )
    source = beside.oauth.tokens
    old = source.take(ana.actor.user_id)
    workbench.oauth.grants.disconnect(ana.actor)
    connect_again(workbench, ana.openid, ana.actor, ana.draft, user="jefa@tosma.example")
    ana.forget()
    ana.token()
    new = source.take(ana.actor.user_id)
    beside.close()

    assert new != old


def test_somebody_else_cannot_be_disconnected(ana: Connected) -> None:
    """Each has one connection, and ends the own one only."""
    luis: Actor = sign_in(ana.workbench, "luis")
    with pytest.raises(LookupError):
        ana.workbench.oauth.grants.disconnect(luis)

    assert ana.workbench.oauth.grants.connection(ana.actor) is not None
