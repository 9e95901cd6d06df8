"""«Conectar con un código» without a browser: offered, shown, followed, ended, and the client that has no secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AuthKind, MailAccountDraft, ServerDraft
from cgcore.mail.oauth_answers import DeviceCode, OAuthFailure
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider, Way
from cgcore.storage import oauth as store
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import AttemptState
from cgcore.workbench.oauth.clients import ClientCheck
from cgcore.workbench.oauth.codes import CodePoller
from pages.ui.panels import PROVIDER
from pages.ui.texts import oauth as texts
from tests.servers import pages
from tests.servers.pages import open_page, panel, save, sign_in

ACCOUNT = MailAccountDraft(
    "ana@empresa.es",
    smtp=ServerDraft("smtp.office365.com", 587),
    imap=ServerDraft("outlook.office365.com", 993),
    auth=AuthKind.MICROSOFT,
)
MICROSOFT = ClientDraft(OAuthProvider.MICROSOFT, "panel", Secret("s"), tenant="empresa.es", codes=True)
CODE = DeviceCode(Secret("lo-que-nadie-ve"), "GTHK-QPMN", "https://microsoft.com/devicelogin", 900, 5)


@pytest.fixture
def jefa(workbench: Workbench) -> Actor:
    """An administrator."""
    return sign_in(workbench, "jefa", Role.ADMIN)


@pytest.fixture
def ana(workbench: Workbench, jefa: Actor, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """Somebody whose account is Microsoft's, which is set up, and gives a code to whoever asks."""
    workbench.oauth.clients.save(jefa, MICROSOFT, version=0)
    ana = sign_in(workbench, "ana")
    workbench.mail_account.save(ana, ACCOUNT, version=0)
    monkeypatch.setattr(workbench.oauth._door, "ask_code", lambda *_asked: CODE)
    vars(workbench.oauth)["code_poller"] = CodePoller(lambda: None)
    return ana


def open_account(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor) -> AppTest:
    """Open «Cuenta mail»."""
    page = open_page(monkeypatch, workbench, actor, "mail_account.py")
    assert not page.exception
    return page


def ask(page: AppTest) -> AppTest:
    """Press the button."""
    page = page.button("mail_account_oauth_code_ask").click().run()
    assert not page.exception
    return page


def words(page: AppTest) -> str:
    """Every text in sight, as a person reads it."""
    boxes = [each.proto.title for each in (*page.error, *page.warning)]
    return "\n".join([pages.words(page), *boxes]).replace("\\", "").replace("\u2060", "")


def links(page: AppTest) -> list[str]:
    """The labels of the link buttons."""
    return [each.proto.label for each in page.get("link_button")]


def conclude(workbench: Workbench, actor: Actor, state: AttemptState, key: str = "", **facts: str) -> None:
    """Let the code that is under way come to something, as whoever asks for it leaves it."""
    found = workbench.oauth.codes.find_open(actor)
    assert found is not None
    with workbench.context.write_as(actor) as (session, _):
        store.conclude_attempt(session, found.attempt.id, state.value, key, facts)


def test_a_code_stands_in_large_letters_with_its_place_and_its_time(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """In every tab of the log-in, with the warning against codes of others; what we ask with is shown to nobody."""
    page = ask(open_account(monkeypatch, workbench, ana))
    other = open_account(monkeypatch, workbench, ana)

    for each in (page, other):
        assert [metric.value for metric in each.metric] == ["GTHK-QPMN"]
        assert "Abrir microsoft.com/devicelogin" in links(each)[-1].replace("\\", "").replace("\u2060", "")
        assert "solo si lo has pedido tú" in words(each)
        assert "15 minutos más" in words(each)
        assert "lo-que-nadie-ve" not in words(each) + repr(each.session_state)


def test_what_slows_us_down_is_told(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor) -> None:
    """The code goes on."""
    page = ask(open_account(monkeypatch, workbench, ana))
    found = workbench.oauth.codes.find_open(ana)
    assert found is not None
    with workbench.context.write_as(ana) as (session, _):
        store.put_off_code(session, found.attempt.id, found.expires - timedelta(minutes=10), 10)
    page.run()

    assert "pide ir más despacio: le preguntamos cada 10 segundos" in words(page)
    assert [metric.value for metric in page.metric] == ["GTHK-QPMN"]


@pytest.mark.parametrize(
    ("state", "key", "facts", "said"),
    [
        (AttemptState.EXPIRED, "", {}, "El código ha caducado"),
        (AttemptState.REFUSED, "oauth_denied", {}, "No has dado permiso"),
        (AttemptState.REFUSED, "oauth_needs_admin", {"code": "AADSTS65001"}, "Código: AADSTS65001"),
        (AttemptState.OTHER_ADDRESS, "oauth_other_account", {"address": "jefa@empresa.es"}, "Has entrado como jefa"),
    ],
)
def test_each_end_has_its_sentence_and_another_code(
    monkeypatch: pytest.MonkeyPatch,
    workbench: Workbench,
    ana: Actor,
    state: AttemptState,
    key: str,
    facts: dict[str, str],
    said: str,
) -> None:
    """Told where the code stood; a shared mailbox is one button away."""
    page = ask(open_account(monkeypatch, workbench, ana))
    conclude(workbench, ana, state, key, **facts)
    page.run()

    assert not page.exception
    assert said in words(page)
    assert not page.metric
    assert page.button("mail_account_oauth_code_ask").label == str(texts.CODE_AGAIN)
    shared = [each for each in page.button if each.key == "mail_account_oauth_confirm"]
    assert len(shared) == (1 if state is AttemptState.OTHER_ADDRESS else 0)


def test_a_code_is_cancelled_and_belongs_to_its_account(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor
) -> None:
    """For another address there is none yet; after Cancelar there is none at all."""
    page = ask(open_account(monkeypatch, workbench, ana))
    page.text_input("mail_account_user").set_value("otra@empresa.es").run()
    elsewhere = [metric.value for metric in page.metric]
    page.text_input("mail_account_user").set_value("ana@empresa.es").run()
    back = [metric.value for metric in page.metric]
    page.button("mail_account_oauth_code_cancel").click().run()

    assert (elsewhere, back) == ([], ["GTHK-QPMN"])
    assert not page.metric
    assert workbench.oauth.codes.find_open(ana) is None
    assert page.button("mail_account_oauth_code_ask").label == str(texts.CODE_ASK)


@pytest.mark.parametrize(
    ("provider", "public", "codes", "ways"),
    [
        (OAuthProvider.GOOGLE, False, True, (Way.LINK,)),
        (OAuthProvider.MICROSOFT, False, False, (Way.LINK,)),
        (OAuthProvider.MICROSOFT, False, True, (Way.LINK, Way.CODE)),
        (OAuthProvider.MICROSOFT, True, False, (Way.CODE,)),
    ],
)
def test_only_the_ways_that_open_a_mailbox_are_offered(
    monkeypatch: pytest.MonkeyPatch,
    workbench: Workbench,
    jefa: Actor,
    provider: OAuthProvider,
    public: bool,
    codes: bool,
    ways: tuple[Way, ...],
) -> None:
    """Google has the link alone, a client without a secret the code alone; elsewhere codes are to be allowed."""
    secret = None if public else Secret("s")
    client = replace(MICROSOFT, provider=provider, public=public, secret=secret, codes=codes)
    workbench.oauth.clients.save(jefa, client, version=0)
    luis = sign_in(workbench, "luis")
    workbench.mail_account.save(luis, replace(ACCOUNT, auth=AuthKind(provider.value)), version=0)
    page = open_account(monkeypatch, workbench, luis)
    shown = [each.key for each in page.button]

    assert ("mail_account_oauth_code_ask" in shown) is (Way.CODE in ways)
    assert bool(links(page)) is (Way.LINK in ways)
    (offer,) = workbench.oauth.clients.offered_for(luis, ACCOUNT.user)
    assert offer.ways == ways


def test_a_client_without_a_secret_is_registered_and_turned_back(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, jefa: Actor
) -> None:
    """Its secret is let go of; with one again, that has to be typed. Google's always has one."""
    workbench.oauth.clients.save(jefa, MICROSOFT, version=0)
    page = open_page(monkeypatch, workbench, jefa, "administration.py")
    page.session_state[PROVIDER] = "microsoft"
    page = panel(page, "sign_in")
    page.toggle("administration_oauth_microsoft_public").set_value(True).run()
    typed = [each.label for each in page.text_input]
    shown, copied = words(page), [each.value for each in page.code]
    page = save(page)
    monkeypatch.setattr(workbench.oauth.clients, "check", lambda *_asked: ClientCheck())
    checked = words(page.button("administration_oauth_check").click().run())
    stored = workbench.oauth.clients.find(jefa, OAuthProvider.MICROSOFT)

    assert str(texts.SECRET) not in typed
    assert str(texts.REDIRECT_URI) not in shown
    assert not [each for each in copied if "/oauth/vuelta/" in each or "redirect_uri" in each]
    assert [each for each in copied if "/empresa.es/adminconsent?client_id=panel" in each]
    assert str(texts["STEPS_PUBLIC"]["microsoft"]) in shown
    assert str(texts.CHECK_EXPLANATION_PUBLIC.format(provider="Microsoft")) in shown
    assert "Microsoft responde y acepta el ID." in checked
    assert stored is not None
    assert stored.public
    assert workbench.oauth.clients.find_secret(stored) is None
    with pytest.raises(InvalidInput):
        workbench.oauth.clients.save(jefa, replace(MICROSOFT, secret=None), version=2)
    google = replace(MICROSOFT, provider=OAuthProvider.GOOGLE, public=True)
    assert not workbench.oauth.clients.save(jefa, google, version=0).public


def test_a_field_has_one_name_wherever_it_is_told_of() -> None:
    """Where it is filled in, and where two administrators meet."""
    named = texts["FIELD_LABELS"]
    fields = {name: getattr(texts, name.upper()) for name in named if name != "client_id"} | {
        "client_id": texts.CLIENT_ID
    }

    assert {name: str(label) for name, label in fields.items()} == {name: str(named[name]) for name in named}


@pytest.mark.parametrize("way", ["refused", "waiting"])
def test_a_code_takes_the_place_of_what_was_told_of_a_link(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, ana: Actor, way: str
) -> None:
    """Above a code that waits stands neither an old refusal nor the other tab."""
    page = open_account(monkeypatch, workbench, ana)
    link = page.session_state["mail_account_oauth_link"].id
    page.session_state["mail_account_oauth_left"] = link
    page.run()
    waiting = words(page)
    if way == "refused":
        with workbench.context.write_as(ana) as (session, _):
            store.conclude_attempt(session, link, "refused", "oauth_denied", {})
        page.run()
    before = words(page)
    page = ask(page)

    assert str(texts.WAITING) in waiting
    assert ("No has dado permiso" in before) is (way == "refused")
    assert [metric.value for metric in page.metric] == ["GTHK-QPMN"]
    assert "No has dado permiso" not in words(page)
    assert str(texts.WAITING) not in words(page)


@pytest.mark.parametrize("public", [False, True])
def test_an_own_provider_that_gives_no_codes_is_named_with_the_way_that_is_left(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, jefa: Actor, public: bool
) -> None:
    """The link; where there is none, neither is spoken of."""
    own = replace(MICROSOFT, provider=OAuthProvider.CUSTOM, issuer="https://identidad.empresa.es", name="Empresa")
    own = replace(own, public=public, secret=None if public else Secret("s"))
    workbench.oauth.clients.save(jefa, own, version=0)
    luis = sign_in(workbench, "luis")
    workbench.mail_account.save(luis, replace(ACCOUNT, auth=AuthKind.CUSTOM), version=0)

    def refuse(*_asked: object) -> DeviceCode:
        raise OAuthFailure("oauth_unreachable", {"reason": "no_codes"})

    monkeypatch.setattr(workbench.oauth._door, "ask_code", refuse)
    page = open_account(monkeypatch, workbench, luis)
    offered = words(page)
    told = words(ask(page))

    assert ("cuando el enlace" in offered) is not public
    assert "Empresa no da códigos para el correo" in told
    assert ("Conecta con el enlace" in told) is not public
    assert ("un cliente con secreto" in told) is public


def test_codes_are_allowed_by_an_administrator_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, jefa: Actor
) -> None:
    """Off until then; where the link will be refused, whose part it is is said."""
    workbench.oauth.clients.save(jefa, replace(MICROSOFT, codes=False), version=0)
    luis = sign_in(workbench, "luis")
    workbench.mail_account.save(luis, ACCOUNT, version=0)
    monkeypatch.setattr("pages.ui.mail.code.find_base_address", lambda: "http://panel.empresa.es")
    before = words(open_account(monkeypatch, workbench, luis))
    page = open_page(monkeypatch, workbench, jefa, "administration.py")
    page.session_state[PROVIDER] = "microsoft"
    page = panel(page, "sign_in")
    save(page.toggle("administration_oauth_microsoft_codes").set_value(True).run())
    after = open_account(monkeypatch, workbench, luis)

    assert str(texts.CODES_OFF.format(provider="Microsoft")) in before
    assert str(texts.CODES_OFF.format(provider="Microsoft")) not in words(after)
    assert after.button("mail_account_oauth_code_ask")
