"""Connecting by a code that is typed at the provider: with a real OpenID provider, and with Microsoft's own answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cgcore.activity import Action
from cgcore.errors import InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, MailAccountDraft, ServerDraft
from cgcore.mail.diagnosis.texts import sentences
from cgcore.mail.oauth_client import Client, ClientDraft, OAuthProvider
from cgcore.mail.steps import Leg
from cgcore.storage import oauth as store
from cgcore.storage.database import open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import Attempt, AttemptState
from cgcore.workbench.oauth.codes import CodeAttempt, CodePoller, CodesUnknown
from cgcore.workbench.secrets import oauth_secret
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.connecting import OPERATOR
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import PASSWORD, sign_in
from tests.servers.scripted_provider import Reply, ScriptedProvider

_ANA = "ana@tosma.example"
_DRAFT = MailAccountDraft(
    _ANA, smtp=ServerDraft("localhost", 587), imap=ServerDraft("localhost", 993), auth=AuthKind.CUSTOM
)
_TRACE = "0a1b2c3d-0000-1111-2222-333344445555"


@dataclass
class House:
    """A workbench in which Ana asks for a code; ``seconds`` have passed since."""

    workbench: Workbench
    ana: Actor
    seconds: list[float]

    def begin(self, provider: OAuthProvider = OAuthProvider.CUSTOM, actor: Actor | None = None) -> Attempt:
        """Ask for a code."""
        draft = replace(_DRAFT, auth=AuthKind(provider.value))
        return self.workbench.oauth.codes.begin(actor or self.ana, provider, draft)

    def shown(self) -> CodeAttempt:
        """What the page shows."""
        found = self.workbench.oauth.codes.find_open(self.ana)
        assert found is not None
        return found

    def work(self, seconds: float = 6) -> None:
        """Let time pass, and ask for what is due."""
        self.seconds[0] += seconds
        self.workbench.oauth.codes.work_once()

    def state(self, attempt: Attempt) -> AttemptState:
        """How it stands."""
        return self.told(attempt).state

    def told(self, attempt: Attempt) -> Attempt:
        """What its owner is told."""
        found = self.workbench.oauth.attempts.find(self.ana, attempt.id)
        assert found is not None
        return found

    def is_sealed(self, attempt: Attempt) -> bool:
        """Whether what it is asked for with is still kept."""
        with self.workbench.database.read() as session:
            row = store.find_attempt(session, attempt.id)
        assert row is not None
        return row.sealed != b""


@pytest.fixture
def house(tmp_path: Path, certificates: Certificates, migrated_file: Path) -> Iterator[House]:
    """A workbench with a clock of its own, and nobody who asks by themselves."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    database = open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    now, seconds = Workbench(settings, database).clock, [0.0]
    workbench = Workbench(settings, database, clock=lambda: now() + timedelta(seconds=seconds[0]))
    vars(workbench.oauth)["code_poller"] = CodePoller(lambda: None)
    yield House(workbench, sign_in(workbench, "ana"), seconds)
    workbench.close()


@pytest.fixture(params=["confidential", "public"])
def own(request: pytest.FixtureRequest, house: House, openid: OpenIdProvider) -> House:
    """The provider of the tests is registered, with a secret or as a client that has none."""
    public = request.param == "public"
    draft = ClientDraft(
        OAuthProvider.CUSTOM,
        openid.public_id if public else openid.client_id,
        None if public else Secret(openid.client_secret),
        issuer=openid.url,
        name="Empresa",
        scope="mail",
        public=public,
        codes=not public,
    )
    house.workbench.oauth.clients.save(OPERATOR, draft, version=0)
    return house


@pytest.fixture
def one(house: House, openid: OpenIdProvider) -> House:
    """The provider of the tests is registered with a secret."""
    draft = ClientDraft(
        OAuthProvider.CUSTOM,
        openid.client_id,
        Secret(openid.client_secret),
        issuer=openid.url,
        scope="mail",
        codes=True,
    )
    house.workbench.oauth.clients.save(OPERATOR, draft, version=0)
    return house


def _polls(openid: OpenIdProvider) -> list[int]:
    return [each["status"] for each in openid.asked("/token") if each["grant"].endswith("device_code")]


def test_a_code_connects_as_the_other_way_does(own: House, openid: OpenIdProvider) -> None:
    """Whoever types it and agrees is connected, and renewed; with a secret and without one."""
    attempt = own.begin()
    shown = own.shown()
    own.work()
    waiting, sealed = own.state(attempt), own.is_sealed(attempt)
    openid.type_code(shown.user_code, _ANA)
    own.work()
    connected = own.workbench.oauth.grants.connection(own.ana)
    own.workbench.oauth.tokens.forget(own.ana.user_id)
    renewed = own.workbench.oauth.tokens.take(own.ana.user_id)

    assert shown.address == f"{openid.url}/device"
    assert (shown.attempt.mailbox, shown.attempt.hosts) == (_ANA, ("localhost",))
    assert (waiting, own.state(attempt)) == (AttemptState.OPEN, AttemptState.CONNECTED)
    assert (sealed, own.is_sealed(attempt)) == (True, False)
    assert connected is not None
    assert (connected.address, connected.mailbox, connected.hosts) == (_ANA, _ANA, ("localhost",))
    assert connected.is_for(_DRAFT)
    assert renewed.secret
    assert own.workbench.oauth.codes.find_open(own.ana) is None
    assert Action.OAUTH_CONNECTED in [each.action for each in own.workbench.activity.list(own.ana)["items"]]
    assert _polls(openid) == [400, 200]


@pytest.mark.parametrize(
    ("options", "state", "key"),
    [
        ({"cancel": True}, AttemptState.REFUSED, "oauth_denied"),
        ({"mail": False}, AttemptState.REFUSED, "oauth_scope_missing"),
        ({"user": "jefa@tosma.example"}, AttemptState.OTHER_ADDRESS, "oauth_other_account"),
    ],
)
def test_what_is_refused_there_is_told_and_nothing_is_connected(
    one: House, openid: OpenIdProvider, options: dict[str, Any], state: AttemptState, key: str
) -> None:
    """Consent refused, a permission left off, another account: as by the other way; a shared mailbox is confirmed."""
    attempt = one.begin()
    openid.type_code(one.shown().user_code, **{"user": _ANA, **options})
    one.work()

    assert (one.told(attempt).state, one.told(attempt).key) == (state, key)
    assert not one.is_sealed(attempt)
    assert one.workbench.oauth.grants.connection(one.ana) is None
    if state is AttemptState.OTHER_ADDRESS:
        assert one.workbench.oauth.attempts.confirm(one.ana, attempt.id).mailbox == _ANA


def test_the_provider_says_how_often_it_is_asked(one: House, openid: OpenIdProvider) -> None:
    """Not before its interval; five seconds more each time it wants us slower, twice as long while it is away."""
    attempt = one.begin()
    for _ in range(4):
        one.work(2)
    usual = len(_polls(openid))
    openid.order(faults={"/token": Fault(400, {"error": "slow_down"})})
    one.work(6)
    slowed = one.shown()
    openid.order(faults={"/token": Fault(503)})
    one.work(9)
    early = len(_polls(openid))
    one.work(2)
    away = one.shown()

    assert usual == 1
    assert (slowed.interval_s, slowed.slowed) == (10, True)
    assert early == 2
    assert len(_polls(openid)) == 3
    assert away.interval_s == 20
    assert one.state(attempt) is AttemptState.OPEN


def test_a_code_ends_with_its_time(one: House, openid: OpenIdProvider) -> None:
    """By our clock nobody is asked any more; by the provider's word it ends as well."""
    first = one.begin()
    one.work(601)
    late, asked = one.state(first), len(_polls(openid))
    second = one.begin()
    openid.order(faults={"/token": Fault(400, {"error": "expired_token"})})
    one.work()

    assert (late, asked) == (AttemptState.EXPIRED, 0)
    assert one.state(second) is AttemptState.EXPIRED
    assert (one.is_sealed(first), one.is_sealed(second)) == (False, False)
    assert one.workbench.oauth.codes.find_open(one.ana) is None


def test_a_log_in_has_one_code_and_another_log_in_its_own(one: House) -> None:
    """A second one takes the first one's place; who is logged in elsewhere sees neither, and ends neither."""
    first, second = one.begin(), one.begin()
    elsewhere = one.workbench.identity.sessions.log_in("ana", PASSWORD).actor
    third = one.begin(actor=elsewhere)
    foreign = one.workbench.oauth.codes.cancel(elsewhere, second.id)

    assert one.state(first) is AttemptState.CANCELLED
    assert one.shown().attempt.id == second.id
    assert one.state(third) is AttemptState.OPEN
    assert not foreign
    assert one.state(second) is AttemptState.OPEN
    assert one.workbench.oauth.codes.cancel(one.ana, second.id)
    assert one.state(second) is AttemptState.CANCELLED
    assert [one.is_sealed(each) for each in (first, second, third)] == [False, False, True]


def test_what_nobody_asks_about_any_more_goes_with_the_next_code(one: House) -> None:
    """Where there is no link whose attempts would take it along."""
    old, recent = one.begin(), one.begin()
    with one.workbench.database.session() as session:
        row = store.find_attempt(session, old.id)
        assert row is not None
        row.made -= timedelta(days=1, minutes=1)
        session.add(row)
    one.begin()

    assert one.workbench.oauth.attempts.find(one.ana, old.id) is None
    assert one.state(recent) is AttemptState.CANCELLED


@pytest.mark.parametrize(("faults", "told"), [({}, 200), ({"/token/revocation": Fault(503)}, 503)])
def test_what_is_agreed_to_while_it_is_cancelled_is_given_back(
    one: House, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch, faults: dict[str, Fault], told: int
) -> None:
    """Cancelled while it was being asked: nothing is connected; the provider is told, whether it hears it or not."""
    openid.order(faults=faults)
    attempt = one.begin()
    openid.type_code(one.shown().user_code, _ANA)
    door = one.workbench.oauth._door
    ask = door.redeem_code

    def meanwhile(*asked: Any) -> Any:
        one.workbench.oauth.codes.cancel(one.ana, attempt.id)
        return ask(*asked)

    monkeypatch.setattr(door, "redeem_code", meanwhile)
    one.work()

    assert one.state(attempt) is AttemptState.CANCELLED
    assert one.workbench.oauth.grants.connection(one.ana) is None
    assert [each["status"] for each in openid.asked("/token/revocation")] == [told]


def test_what_is_agreed_to_while_the_log_in_ends_is_given_back(
    one: House, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended while it was being asked: there is nobody to whom it could belong."""
    one.begin()
    openid.type_code(one.shown().user_code, _ANA)
    elsewhere = one.workbench.identity.sessions.log_in("ana", PASSWORD).actor
    door = one.workbench.oauth._door
    ask = door.redeem_code

    def meanwhile(*asked: Any) -> Any:
        one.workbench.identity.sessions.end_other_sessions(elsewhere)
        return ask(*asked)

    monkeypatch.setattr(door, "redeem_code", meanwhile)
    one.work()

    assert one.workbench.oauth.grants.connection(elsewhere) is None
    assert [each["status"] for each in openid.asked("/token/revocation")] == [200]


def test_a_log_in_that_ends_takes_its_code_along(one: House, openid: OpenIdProvider) -> None:
    """Somebody may type it later: it is not asked for any more."""
    attempt = one.begin()
    openid.type_code(one.shown().user_code, _ANA)
    elsewhere = one.workbench.identity.sessions.log_in("ana", PASSWORD).actor
    one.workbench.identity.sessions.end_other_sessions(elsewhere)
    one.work()
    with one.workbench.database.read() as session:
        row = store.find_attempt(session, attempt.id)

    assert _polls(openid) == []
    assert row is not None
    assert (row.state, row.sealed) == (AttemptState.CANCELLED, b"")
    assert one.workbench.oauth.grants.connection(elsewhere) is None


@pytest.fixture
def other(one: House) -> Iterator[House]:
    """A second process on the same database, with the same clock."""
    first = one.workbench
    second = Workbench(first.settings, open_database(first.settings.resolved_database_url()), clock=first.clock)
    vars(second.oauth)["code_poller"] = CodePoller(lambda: None)
    yield House(second, one.ana, one.seconds)
    second.close()


def test_of_several_processes_one_asks_and_any_of_them_goes_on(
    one: House, other: House, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two look in the same moment, and one finds it taken; whichever is left shows the code, and connects by it."""
    attempt = one.begin()
    look, looked = store.list_codes, list[int]()

    def look_together(session: Any) -> Any:
        rows = look(session)
        if not looked:
            looked.append(len(rows))
            other.work(0)
        return rows

    monkeypatch.setattr(store, "list_codes", look_together)
    one.work()
    first = len(_polls(openid))
    shown = other.shown()
    openid.type_code(shown.user_code, _ANA)
    other.work()

    assert (looked, first) == ([1], 1)
    assert shown.attempt.id == attempt.id
    assert one.state(attempt) is AttemptState.CONNECTED
    assert one.workbench.oauth.grants.connection(one.ana) is not None


def test_another_process_goes_on_after_one_that_died_while_it_asked(
    one: House, other: House, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a minute; until then nobody knows that it died."""
    attempt = one.begin()
    openid.type_code(one.shown().user_code, _ANA)

    def die(*_parts: Any) -> Any:
        raise SystemExit

    monkeypatch.setattr(one.workbench.oauth._door, "redeem_code", die)
    with pytest.raises(SystemExit):
        one.work()
    other.work(29)
    early = other.state(attempt)
    other.work(2)

    assert (early, other.state(attempt)) == (AttemptState.OPEN, AttemptState.CONNECTED)
    assert _polls(openid) == [200]


def test_a_process_asks_by_itself_from_the_first_code_on(one: House, openid: OpenIdProvider) -> None:
    """Also where another process sends what waits."""
    oauth, asked = one.workbench.oauth, threading.Event()

    def ask() -> float | None:
        one.seconds[0] += 6
        wait = oauth.codes.work_once()
        asked.set()
        return wait

    vars(oauth)["code_poller"] = poller = CodePoller(ask)
    attempt = one.begin()
    done = asked.wait(30)
    poller.close()

    assert done
    assert _polls(openid)[:1] == [400]
    assert one.state(attempt) is AttemptState.OPEN


def test_nothing_that_opens_a_mailbox_stands_in_a_table(one: House, openid: OpenIdProvider) -> None:
    """What we ask with and the code itself are sealed; the tokens are in the vault and in memory."""
    one.begin()
    parts = one.workbench.oauth.attempts.unseal(_row(one))
    before = _everything(one)
    openid.type_code(one.shown().user_code, _ANA)
    one.work()
    token = one.workbench.vault.get(oauth_secret(one.ana.user_id))

    assert len(parts["device_code"]) > 20
    assert token is not None
    for each in (parts["device_code"], parts["user_code"]):
        assert each not in before + _everything(one)
    assert token.reveal() not in _everything(one)


def _row(house: House) -> Any:
    with house.workbench.database.read() as session:
        return store.find_code(session, house.ana.session_hash, house.workbench.clock())


def _everything(house: House) -> str:
    from cgcore.storage.tables import metadata

    with house.workbench.database.read() as session:
        return "\n".join(
            repr(tuple(row))
            for table in metadata.sorted_tables
            if table.name != "vault_record"
            for row in session.connection().execute(table.select())
        )


def test_google_is_refused_before_anybody_is_asked(house: House) -> None:
    """Its codes open no mailbox. Nor does one of a provider that is not set up, or without an account or a log-in."""
    house.workbench.oauth.clients.save(OPERATOR, ClientDraft(OAuthProvider.GOOGLE, "panel", Secret("s")), version=0)
    codes = house.workbench.oauth.codes
    with pytest.raises(CodesUnknown):
        house.begin(OAuthProvider.GOOGLE)
    with pytest.raises(NotFound):
        house.begin(OAuthProvider.MICROSOFT)
    with pytest.raises(InvalidInput):
        codes.begin(house.ana, OAuthProvider.GOOGLE, MailAccountDraft(_ANA))
    with pytest.raises(NotAllowed):
        codes.begin(OPERATOR, OAuthProvider.GOOGLE, _DRAFT)

    assert codes.find_open(house.ana) is None


# ---- Microsoft's own answers


@pytest.fixture
def microsoft(
    house: House, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[House, ScriptedProvider]]:
    """Microsoft is registered, and answers what the test writes."""
    with ScriptedProvider(certificates, revokes=False) as provider:
        monkeypatch.setattr(Client, "_place", lambda _client: provider.url)
        draft = ClientDraft(OAuthProvider.MICROSOFT, "panel", Secret("secreto"), tenant="empresa.es", codes=True)
        house.workbench.oauth.clients.save(OPERATOR, draft, version=0)
        provider.codes = [
            Reply(
                200,
                {
                    "device_code": "lo-que-nadie-ve",
                    "user_code": "GTHK-QPMN",
                    "verification_uri": "https://microsoft.com/devicelogin",
                    "expires_in": 900,
                    "interval": 5,
                    "message": "To sign in, use a web browser",
                },
            )
        ]
        yield house, provider


def _said(error: str, number: int) -> Reply:
    return Reply(400, {"error": error, "error_description": f"AADSTS{number}: Words. Trace ID: {_TRACE}"})


@pytest.mark.parametrize(
    ("reply", "state", "key"),
    [
        (_said("authorization_pending", 70016), AttemptState.OPEN, ""),
        (_said("authorization_declined", 65004), AttemptState.REFUSED, "oauth_denied"),
        (_said("bad_verification_code", 70018), AttemptState.EXPIRED, ""),
        (_said("expired_token", 70019), AttemptState.EXPIRED, ""),
        (_said("invalid_grant", 53003), AttemptState.REFUSED, "oauth_interaction"),
        (_said("invalid_grant", 65001), AttemptState.REFUSED, "oauth_needs_admin"),
        (_said("invalid_client", 7000218), AttemptState.REFUSED, "oauth_client_wrong"),
        (Reply(503, "<h2>Busy</h2>"), AttemptState.OPEN, ""),
    ],
)
def test_what_microsoft_says_of_a_code_is_told_apart(
    microsoft: tuple[House, ScriptedProvider], reply: Reply, state: AttemptState, key: str
) -> None:
    """By its own words and numbers; what passes by itself ends nothing."""
    house, provider = microsoft
    attempt = house.begin(OAuthProvider.MICROSOFT)
    shown = house.shown()
    provider.answers = [reply]
    house.work()

    assert (shown.user_code, shown.address) == ("GTHK-QPMN", "https://microsoft.com/devicelogin")
    assert (house.told(attempt).state, house.told(attempt).key) == (state, key)
    assert "lo-que-nadie-ve" not in repr(house.told(attempt)) + repr(shown)
    assert provider.asked[0]["device_code"] == "lo-que-nadie-ve"


def test_a_client_that_shows_no_secret_there_is_asked_for_without_it(
    microsoft: tuple[House, ScriptedProvider],
) -> None:
    """A registration that allows public flows refuses the secret that it has for the other way (AADSTS700025)."""
    house, provider = microsoft
    attempt = house.begin(OAuthProvider.MICROSOFT)
    provider.answers = [_said("invalid_client", 700025), _said("authorization_pending", 70016)]
    house.work()

    assert house.state(attempt) is AttemptState.OPEN
    assert ["client_secret" in each for each in provider.asked] == [True, False]
    assert {each["client_id"] for each in provider.asked} == {"panel"}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"verification_uri": "http://microsoft.com/devicelogin"}, "oauth_unreachable"),
        ({"verification_uri": "https://microsoft.com@malo.example/"}, "oauth_unreachable"),
        ({"verification_uri": "javascript:alert(1)"}, "oauth_unreachable"),
        ({"user_code": "<b>ABCD</b>"}, "oauth_unreachable"),
        ({"device_code": ""}, "oauth_unreachable"),
    ],
)
def test_an_answer_that_nobody_should_be_shown_begins_nothing(
    microsoft: tuple[House, ScriptedProvider], change: dict[str, str], key: str
) -> None:
    """Its address becomes a link, and its code stands in large letters."""
    house, provider = microsoft
    provider.codes = [Reply(200, provider.codes[0].body | change)]
    attempt = house.begin(OAuthProvider.MICROSOFT)

    assert (house.told(attempt).state, house.told(attempt).key) == (AttemptState.REFUSED, key)
    assert house.workbench.oauth.codes.find_open(house.ana) is None


def test_a_provider_that_refuses_to_give_a_code_says_why(microsoft: tuple[House, ScriptedProvider]) -> None:
    """Its number is told, as everywhere."""
    house, provider = microsoft
    provider.codes = [_said("unauthorized_client", 700016)]
    told = house.told(house.begin(OAuthProvider.MICROSOFT))

    assert (told.key, told.facts["code"]) == ("oauth_client_wrong", "AADSTS700016")
    assert not house.is_sealed(told)


@pytest.mark.parametrize(
    ("number", "said"),
    [(7000218, "debe activar «Permitir flujos de cliente público»"), (700016, "debe revisar el ID de cliente; en")],
)
def test_a_client_without_a_secret_is_told_of_none(
    microsoft: tuple[House, ScriptedProvider], number: int, said: str
) -> None:
    """What is off at Microsoft, or what is left to look at; when a code is asked for, and by «Probar»."""
    house, provider = microsoft
    public = ClientDraft(OAuthProvider.MICROSOFT, "panel", tenant="empresa.es", public=True)
    house.workbench.oauth.clients.save(OPERATOR, public, version=1)
    provider.codes, provider.answers = [_said("invalid_client", number)], [_said("invalid_client", number)]
    told = house.told(house.begin(OAuthProvider.MICROSOFT))
    checked = house.workbench.oauth.clients.check(OPERATOR, OAuthProvider.MICROSOFT)

    for key, values in ((told.key, told.facts), (checked.key, dict(checked.values))):
        fix = sentences(key, Leg.SMTP, values)[1]
        assert said in fix
        assert "secreto" not in fix


def test_a_code_that_waits_ends_once_codes_are_allowed_no_more(one: House, openid: OpenIdProvider) -> None:
    """Nobody asks the provider for it any more, whoever agrees there."""
    house, polls = one, len(_polls(openid))
    attempt = house.begin()
    (client,) = house.workbench.oauth.clients.list(OPERATOR)
    draft = ClientDraft(OAuthProvider.CUSTOM, client.client_id, issuer=client.issuer, scope=client.scope, codes=False)
    house.workbench.oauth.clients.save(OPERATOR, draft, version=client.version)
    house.work()

    assert house.workbench.oauth.codes.find_open(house.ana) is None
    assert not house.is_sealed(attempt)
    assert len(_polls(openid)) == polls
