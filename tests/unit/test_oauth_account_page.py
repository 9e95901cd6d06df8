"""«Cuenta mail» with a provider in place of a password, without a browser: offered, followed, told and ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, LoginNames, MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.mail.steps import Leg
from cgcore.storage import oauth as store
from cgcore.storage.oauth_tables import OauthGrantRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import AttemptState
from pages.ui.texts import oauth as texts
from tests.servers import pages
from tests.servers.pages import open_page, sign_in

ACCOUNT = MailAccountDraft(
    "ana@empresa.es",
    smtp=ServerDraft("smtp.empresa.es", 587),
    imap=ServerDraft("imap.empresa.es", 993, Security.SSL),
    auth=AuthKind.CUSTOM,
)
OWN = ClientDraft(
    OAuthProvider.CUSTOM, "panel", Secret("s"), issuer="https://identidad.empresa.es", name="Empresa", scope="mail"
)


@pytest.fixture
def ana(workbench: Workbench) -> Actor:
    """Somebody whose account is to sign in by the company's own provider, which is set up."""
    workbench.oauth.clients.save(sign_in(workbench, "jefa", Role.ADMIN), OWN, version=0)
    ana = sign_in(workbench, "ana")
    workbench.mail_account.save(ana, ACCOUNT, version=0)
    return ana


def test_a_provider_without_passwords_is_connected_by_one_button_where_that_is_set_up(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench
) -> None:
    """Before that it is said who sets it up. A connection of another provider is not offered for the mailbox."""
    jefa, luis = sign_in(workbench, "jefa", Role.ADMIN), sign_in(workbench, "luis")

    def open_for(actor: Actor) -> AppTest:
        page = open_account(monkeypatch, workbench, actor)
        page.text_input(key="mail_account_user").set_value("luis@outlook.com").run()
        assert not page.exception
        return page

    assert "quien administra el programa lo prepara" in words(open_for(luis))
    assert "prepáralo antes en «Administración»" in words(open_for(jefa))
    google = ClientDraft(OAuthProvider.GOOGLE, "panel", Secret("s"))
    microsoft = ClientDraft(OAuthProvider.MICROSOFT, "panel", Secret("s"), tenant="common")
    workbench.oauth.clients.save(jefa, google, version=0)
    assert "quien administra el programa lo prepara" in words(open_for(luis))

    workbench.oauth.clients.save(jefa, microsoft, version=0)
    page = open_for(luis)
    page.button(key="mail_account_instead_microsoft").click().run()

    assert not page.exception
    assert page.session_state["mail_account_auth"] is AuthKind.MICROSOFT
    assert page.text_input(key="mail_account_smtp_host").value == "smtp.office365.com"
    assert ("Conectar con Microsoft", "") not in links(page)
    assert [label for label, _ in links(page)] == ["Conectar con Microsoft"]


def open_account(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor) -> AppTest:
    """Open «Cuenta mail»."""
    page = open_page(monkeypatch, workbench, actor, "mail_account.py")
    assert not page.exception
    return page


def words(page: AppTest) -> str:
    """Every text in sight, errors and warnings with their titles, as a person reads it."""
    boxes = [each.proto.title for each in (*page.error, *page.warning)]
    return "\n".join([pages.words(page), *boxes]).replace("\\", "").replace("\u2060", "")


def links(page: AppTest) -> list[tuple[str, str]]:
    """Label and address of every link button."""
    return [(each.proto.label, each.proto.url) for each in page.get("link_button")]


def connect(workbench: Workbench, actor: Actor, **more: Any) -> None:
    """Let somebody be connected, as an attempt leaves it."""
    now = workbench.context.clock()
    fields: dict[str, Any] = {
        "user_id": actor.user_id, "provider": "custom", "client_id": "panel", "subject": "1",
        "address": "ana@empresa.es", "mailbox": "ana@empresa.es", "hosts": ["smtp.empresa.es", "imap.empresa.es"],
        "scopes": ["openid", "mail"], "obtained": now, "refreshed": now,
    }  # fmt: skip
    with workbench.context.write_as(actor) as (session, _):
        store.put_grant(session, OauthGrantRow(**fields | more))


def conclude(workbench: Workbench, actor: Actor, attempt_id: str, state: AttemptState, key: str, **facts: str) -> None:
    """Let an attempt end, as a callback leaves it."""
    with workbench.context.write_as(actor) as (session, _):
        store.conclude_attempt(session, attempt_id, state.value, key, facts)


def let_pass(workbench: Workbench, actor: Actor, link: str, *, minutes: int) -> None:
    """Let the attempt behind a link be older."""
    with workbench.context.write_as(actor) as (session, _):
        row = store.find_attempt(session, link.rpartition("/")[2])
        assert row is not None
        row.made -= timedelta(minutes=minutes)
        session.add(row)


def follow(page: AppTest, workbench: Workbench, actor: Actor, state: AttemptState, key: str, **facts: str) -> AppTest:
    """Click the link, let the attempt end, and look again."""
    attempt = links(page)[0][1].rpartition("/")[2]
    page.session_state["mail_account_oauth_left"] = attempt
    page.run()
    assert not page.exception
    assert str(texts.WAITING) in words(page)
    conclude(workbench, actor, attempt, state, key, **facts)
    page.run()
    assert not page.exception
    return page


def test_only_what_is_set_up_is_offered(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """Without a provider there is no choice; with one its name stands beside the password."""
    luis = sign_in(workbench, "luis")
    before = open_account(monkeypatch, workbench, luis)
    workbench.oauth.clients.save(sign_in(workbench, "jefa", Role.ADMIN), OWN, version=0)
    page = open_account(monkeypatch, workbench, luis)

    assert not [each for each in before.segmented_control if each.label == str(texts.HOW)]
    (choice,) = [each for each in page.segmented_control if each.label == str(texts.HOW)]
    assert choice.options == ["Contraseña", "Empresa"]
    assert choice.value is AuthKind.PASSWORD


def test_a_link_connects_the_account_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """The same link while nothing changes, another one for another address, none while the server is missing."""
    page = open_account(monkeypatch, workbench, ana)
    first = links(page)
    again = links(page.run())
    other = links(page.text_input("mail_account_user").set_value("otra@empresa.es").run())
    page.text_input("mail_account_smtp_host").set_value("").run()

    assert first[0][0] == "Conectar con Empresa"
    assert first[0][1].startswith("/oauth/ir/")
    assert again == first
    assert other != first
    assert links(page) == []
    assert str(texts.CONNECT_INCOMPLETE) in words(page)


@pytest.mark.parametrize(
    ("key", "facts", "said"),
    [
        ("oauth_denied", {}, "No has dado permiso"),
        ("oauth_scope_missing", {"scopes": "mail"}, "Falta el permiso para leer y enviar correo"),
        ("oauth_needs_admin", {"code": "AADSTS65001"}, "Código: AADSTS65001"),
        ("oauth_client_wrong", {}, "no acepta el registro"),
        ("broken", {}, "algo ha fallado en el programa"),
        ("vault", {}, ""),
    ],
)
def test_each_refusal_has_its_sentence_and_another_link(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, key: str, facts: dict[str, str], said: str
) -> None:
    """Told until the next try, for which a fresh link is there."""
    page = open_account(monkeypatch, workbench, ana)
    first = links(page)[0][1]
    page = follow(page, workbench, ana, AttemptState.REFUSED, key, **facts)

    assert said in words(page)
    assert len(page.error) == 1
    ((label, address),) = links(page)
    assert label == "Conectar de nuevo con Empresa"
    assert address != first


@pytest.mark.parametrize(
    ("provider", "sent", "how"),
    [
        (OAuthProvider.GOOGLE, "panel", "Controles de API"),
        (OAuthProvider.MICROSOFT, "https://login.microsoftonline.com/empresa.es/v2.0/adminconsent?client_id=panel", ""),
        (OAuthProvider.CUSTOM, "panel", "quien administra Empresa"),
    ],
)
def test_what_the_administrator_at_the_provider_is_sent_is_there_to_copy(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, provider: OAuthProvider, sent: str, how: str
) -> None:
    """While somebody is at the provider's wall, after a refusal, and for a connection that has died of it."""
    own = provider is OAuthProvider.CUSTOM
    client = OWN if own else ClientDraft(provider, "panel", Secret("s"), tenant="empresa.es")
    workbench.oauth.clients.save(sign_in(workbench, "jefa", Role.ADMIN), client, version=0)
    luis, draft = sign_in(workbench, "luis"), replace(ACCOUNT, auth=AuthKind(provider.value))
    workbench.mail_account.save(luis, draft, version=0)
    page = open_account(monkeypatch, workbench, luis)
    before = [each.value for each in page.code]
    page.session_state["mail_account_oauth_left"] = links(page)[0][1].rpartition("/")[2]
    waiting = [each.value for each in page.run().code]
    page = follow(page, workbench, luis, AttemptState.REFUSED, "oauth_needs_admin", code="AADSTS90094")
    refused, told = [each.value for each in page.code], words(page)
    connect(workbench, luis, provider=provider.value, state="needs_admin", key="oauth_needs_admin")
    page = open_account(monkeypatch, workbench, luis)
    dead = [each.value for each in page.code]
    page = follow(page, workbench, luis, AttemptState.REFUSED, "oauth_needs_admin")
    twice = [each.value for each in page.code]

    assert before == []
    for shown in (waiting, refused, dead, twice):
        assert [each.partition("&")[0] for each in shown] == [sent]
    assert str(texts.CONSENT) in told
    assert how in told


@pytest.mark.parametrize(("role", "shown"), [(Role.ADMIN, 1), (Role.USER, 0)])
def test_a_wrong_registration_leads_whoever_may_mend_it_there(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, role: Role, shown: int
) -> None:
    """Everybody else is told whose it is."""
    workbench.oauth.clients.save(sign_in(workbench, "jefa", Role.ADMIN), OWN, version=0)
    somebody = sign_in(workbench, "luis", role)
    workbench.mail_account.save(somebody, ACCOUNT, version=0)
    page = open_account(monkeypatch, workbench, somebody)
    page = follow(page, workbench, somebody, AttemptState.REFUSED, "oauth_client_wrong")
    ways = [each for each in page.get("page_link") if each.proto.label == str(texts.GO_TO_ADMINISTRATION)]

    assert "no acepta el registro" in words(page)
    assert [each.proto.query_string for each in ways] == ["panel=sign_in&provider=custom"] * shown


def test_another_account_connects_nothing_by_itself(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Both addresses are named; a shared mailbox is one button away."""
    page = open_account(monkeypatch, workbench, ana)
    page = follow(page, workbench, ana, AttemptState.OTHER_ADDRESS, "oauth_other_account", address="jefa@empresa.es")

    assert "Has entrado como jefa@empresa.es y el correo es de ana@empresa.es" in words(page)
    assert [each for each in page.button if each.key == "mail_account_oauth_confirm"]
    assert workbench.oauth.grants.connection(ana) is None


def test_what_is_connected_is_told_and_can_be_ended(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Who, for which servers, which permissions; Desconectar asks first."""
    connect(workbench, ana)
    page = open_account(monkeypatch, workbench, ana)
    told = words(page)
    page.button("mail_account_disconnect").click().run()
    asked = words(page)
    page.button("mail_account_disconnect").click()
    page.button("mail_account_disconnect_yes").click().run()

    assert str(texts.CONNECTED) in told
    assert "ana@empresa" in told
    assert "smtp" in told
    assert links(page)[0][0] == "Conectar con Empresa"
    assert "no podrás enviar" in asked
    assert workbench.oauth.grants.connection(ana) is None
    assert str(texts.NOT_CONNECTED) in words(page)


def test_each_server_may_be_told_its_own_user(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Folded and empty until somebody has a shared mailbox; kept with the account, and let go of with a password."""
    connect(workbench, ana)
    page = open_account(monkeypatch, workbench, ana)
    folded = [each.label for each in page.text_input]
    page.session_state["mail_account_logins"] = True
    page.run()
    page.text_input("mail_account_logins_smtp").set_value(" jefa@empresa.es ").run()
    page.button("mail_account_save").click().run()
    stored = workbench.mail_account.get(ana).draft
    page.session_state["mail_account_auth"] = AuthKind.PASSWORD
    page.run()

    assert str(texts.LOGIN_SMTP) not in folded
    assert stored.logins == LoginNames(smtp="jefa@empresa.es")
    assert stored.login(Leg.SMTP) == "jefa@empresa.es"
    assert stored.login(Leg.IMAP) == "ana@empresa.es"
    assert replace(stored, auth=AuthKind.PASSWORD).login(Leg.SMTP) == "ana@empresa.es"
    assert str(texts.LOGINS) not in {each.label for each in page.expander}


def test_a_connection_that_has_died_says_why(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """With the link that cures it."""
    connect(workbench, ana, state="needs_login", key="oauth_expired", facts={"testing_days": 7})
    page = open_account(monkeypatch, workbench, ana)

    (error,) = page.error
    assert error.proto.title == "La conexión con Empresa ha caducado o se ha retirado"
    assert "modo de prueba" in error.value
    assert str(texts.DEAD) in words(page)
    assert links(page)[0][0] == "Conectar de nuevo con Empresa"


def test_a_token_is_for_the_servers_it_was_given_for(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Another server asks anew, and says so."""
    connect(workbench, ana)
    page = open_account(monkeypatch, workbench, ana)
    page.text_input("mail_account_smtp_host").set_value("smtp.otra.es").run()

    assert "hay que conectar de nuevo" in words(page)
    assert links(page)[0][0] == "Conectar de nuevo con Empresa"


def test_a_password_in_its_place_ends_the_connection_after_a_question(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Nothing is saved before the answer; then the connection is gone."""
    connect(workbench, ana)
    page = open_account(monkeypatch, workbench, ana)
    page.session_state["mail_account_auth"] = AuthKind.PASSWORD
    page.run()
    page.button("mail_account_save").click().run()
    asked = "Al guardar se desconecta" in words(page)
    before = workbench.mail_account.get(ana).draft.auth
    page.session_state["mail_account_save_asked"] = True
    page.run()

    assert not page.exception
    assert asked
    assert before is AuthKind.CUSTOM
    assert workbench.mail_account.get(ana).draft.auth is AuthKind.PASSWORD
    assert workbench.oauth.grants.connection(ana) is None


def test_a_known_provider_brings_its_servers(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """Where none is typed yet."""
    google = replace(OWN, provider=OAuthProvider.GOOGLE, issuer="", scope="", name="")
    workbench.oauth.clients.save(sign_in(workbench, "jefa", Role.ADMIN), google, version=0)
    page = open_account(monkeypatch, workbench, sign_in(workbench, "luis"))
    (choice,) = [each for each in page.segmented_control if each.label == str(texts.HOW)]
    choice.set_value(AuthKind.GOOGLE).run()

    assert not page.exception
    assert page.text_input("mail_account_smtp_host").value == "smtp.gmail.com"
    assert page.text_input("mail_account_imap_host").value == "imap.gmail.com"


def test_an_attempt_that_nobody_finished_is_told(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """After ten minutes the page says so, and has another link."""
    page = open_account(monkeypatch, workbench, ana)
    first = links(page)[0][1]
    page.session_state["mail_account_oauth_left"] = first.rpartition("/")[2]
    let_pass(workbench, ana, first, minutes=11)
    page.run()

    assert [each.value for each in page.warning] == [str(texts.TOO_LATE)]
    assert links(page)[0][1] != first


def test_a_link_that_would_end_under_the_hand_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """Whoever has left the page open finds one with time enough; one that was clicked is followed to its end."""
    page = open_account(monkeypatch, workbench, ana)
    first = links(page)[0][1]
    let_pass(workbench, ana, first, minutes=6)
    second = links(page.run())[0][1]
    page.session_state["mail_account_oauth_left"] = second.rpartition("/")[2]
    let_pass(workbench, ana, second, minutes=6)

    assert second != first
    assert links(page.run())[0][1] == second
    assert str(texts.WAITING) in words(page)
