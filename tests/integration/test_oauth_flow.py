"""The way to a provider and back: through the product's own addresses, with a real OpenID provider behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from cgcore.activity import Action
from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import MailAccountDraft, ServerDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.settings import Settings
from cgcore.storage.database import open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import AttemptState
from cgcore.workbench.secrets import oauth_pending_secret, oauth_secret
from tests.conftest import make_settings, place_database
from tests.servers.asgi import TestClient, open_product
from tests.servers.certificates import Certificates
from tests.servers.house import add_user
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.pages import PASSWORD, sign_in

ANA = "ana@tosma.example"
DRAFT = MailAccountDraft(ANA, smtp=ServerDraft("localhost", 587), imap=ServerDraft("localhost", 993))


@pytest.fixture
def trusting(tmp_path: Path, certificates: Certificates) -> Settings:
    """Settings that reach a provider on this machine."""
    return make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))


@pytest.fixture
def house(trusting: Settings, migrated_file: Path, openid: OpenIdProvider) -> Iterator[Workbench]:
    """A workbench whose administrator has registered the provider."""
    workbench = Workbench(
        trusting, open_database(place_database(migrated_file, trusting.data_dir / "cloud-gestion.db"))
    )
    register(workbench, openid)
    yield workbench
    workbench.close()


def register(workbench: Workbench, openid: OpenIdProvider, secret: str = "") -> None:
    """Set the provider up, in place of what is there."""
    admin = Actor(0, "", role=Role.ADMIN)
    known = workbench.oauth.clients.find(admin, OAuthProvider.CUSTOM)
    draft = ClientDraft(
        OAuthProvider.CUSTOM,
        openid.client_id,
        Secret(secret or openid.client_secret),
        issuer=openid.url,
        name="Empresa",
        scope="mail",
    )
    workbench.oauth.clients.save(admin, draft, version=known.version if known else 0)


@dataclass(frozen=True)
class Person:
    """Somebody with a browser at the product."""

    actor: Actor
    browser: TestClient

    def begin(self, workbench: Workbench, draft: MailAccountDraft = DRAFT) -> str:
        """Begin an attempt and return its id."""
        return workbench.oauth.attempts.begin(self.actor, OAuthProvider.CUSTOM, draft).id

    def go(self, attempt: str) -> str:
        """Click the link; return where it leads."""
        answer = self.browser.get(f"/oauth/ir/{attempt}")
        assert answer.status_code == 303
        return answer.headers["location"]


@pytest.fixture
def ana(house: Workbench) -> Iterator[Person]:
    """Ana at her browser."""
    with person(house, "ana") as ana_:
        yield ana_


class person:
    """A person who is logged in, with a browser that ends by itself."""

    def __init__(self, workbench: Workbench, name: str) -> None:
        add_user(workbench, f"{name}.beside")
        sign_in(workbench, name)
        self._workbench, self._name = workbench, name

    def __enter__(self) -> Person:
        self._browser = open_product(self._workbench).__enter__()
        login = self._workbench.identity.sessions.log_in(self._name, PASSWORD)
        self._browser.cookies.set("cg_session", login.token.reveal())
        return Person(login.actor, self._browser)

    def __exit__(self, *_error: object) -> None:
        self._browser.__exit__(None, None, None)


def back(url: str) -> str:
    """The part of an address that the product answers."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_the_whole_way_connects_and_leaves_nothing_in_an_address(
    house: Workbench, ana: Person, openid: OpenIdProvider
) -> None:
    """PKCE, state and nonce go there; afterwards the refresh token is in the vault alone, and the address is clean."""
    attempt = ana.begin(house)
    target = ana.go(attempt)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    returned = openid.walk(target, ANA)
    answer = ana.browser.get(back(returned))
    page = ana.browser.get(answer.headers["location"])
    connected = house.oauth.grants.connection(ana.actor)

    assert (asked["code_challenge_method"], asked["response_mode"], asked["login_hint"]) == ("S256", "query", ANA)
    assert asked["redirect_uri"] == "http://localhost:8501/oauth/vuelta/custom"
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert (answer.status_code, answer.headers["location"]) == (303, f"/oauth/fin/{attempt}")
    assert answer.headers["cache-control"].startswith("no-store")
    assert "ya está conectado" in page.text
    assert connected is not None
    assert (connected.address, connected.mailbox, connected.hosts) == (ANA, ANA, ("localhost",))
    assert connected.scopes == ("mail",)
    assert connected.is_for(DRAFT)
    found = house.oauth.attempts.find(ana.actor, attempt)
    assert found is not None
    assert found.state is AttemptState.CONNECTED
    token = house.vault.get(oauth_secret(ana.actor.user_id))
    assert token is not None
    assert token.reveal() not in page.text + repr(connected) + _everything(house)
    actions = [entry.action for entry in house.activity.list(ana.actor)["items"]]
    assert Action.OAUTH_CONNECTED in actions


def test_a_callback_that_is_repeated_says_that_it_is_connected(
    house: Workbench, ana: Person, openid: OpenIdProvider
) -> None:
    """The code is exchanged once; a reload is told the same, and the token stays good."""
    returned = back(openid.walk(ana.go(ana.begin(house)), ANA))
    first, second = ana.browser.get(returned), ana.browser.get(returned)

    assert first.headers["location"] == second.headers["location"]
    assert "ya está conectado" in ana.browser.get(second.headers["location"]).text
    assert [each["status"] for each in openid.asked("/token")] == [200]


def test_another_log_in_session_connects_nothing_and_uses_nothing_up(
    house: Workbench, ana: Person, openid: OpenIdProvider
) -> None:
    """Not another user's, not the same user's other browser, and nobody's; the right one still can."""
    attempt = ana.begin(house)
    returned = back(openid.walk(ana.go(attempt), ANA))
    with person(house, "eva") as eva:
        foreign = eva.browser.get(returned)
        foreign_start = eva.browser.get(f"/oauth/ir/{attempt}")
    with open_product(house) as nobody:
        away = nobody.get(returned)
        login = nobody.get(away.headers["location"])
        other = house.identity.sessions.log_in("ana", PASSWORD)
        nobody.cookies.set("cg_session", other.token.reveal())
        elsewhere = nobody.get(returned)

    assert foreign.headers["location"] == foreign_start.headers["location"] == "/oauth/fin/-"
    assert elsewhere.headers["location"] == "/oauth/fin/-"
    assert away.headers["location"] == "/entrar?aviso=conexion"
    assert "vuelve a conectar" in login.text
    assert openid.asked("/token") == []
    assert house.oauth.grants.connection(ana.actor) is None
    assert ana.browser.get(returned).headers["location"] == f"/oauth/fin/{attempt}"
    assert house.oauth.grants.connection(ana.actor) is not None


def test_another_account_is_connected_only_when_it_is_confirmed(
    house: Workbench, ana: Person, openid: OpenIdProvider
) -> None:
    """Until then nothing signs in with it, and the token waits in the vault."""
    attempt = ana.begin(house)
    page = ana.browser.get(
        ana.browser.get(back(openid.walk(ana.go(attempt), "jefa@tosma.example"))).headers["location"]
    )
    found = house.oauth.attempts.find(ana.actor, attempt)

    assert found is not None
    assert (found.state, found.address, found.mailbox) == (AttemptState.OTHER_ADDRESS, "jefa@tosma.example", ANA)
    assert "jefa@tosma.example" in page.text
    assert house.oauth.grants.connection(ana.actor) is None
    connected = house.oauth.attempts.confirm(ana.actor, attempt)
    assert (connected.address, connected.mailbox) == ("jefa@tosma.example", ANA)
    assert house.oauth.grants.connection(ana.actor) == connected
    assert house.vault.get(oauth_pending_secret(ana.actor.user_id)) is None
    with pytest.raises(LookupError):
        house.oauth.attempts.confirm(ana.actor, attempt)


@pytest.mark.parametrize(
    ("options", "key"), [({"cancel": True}, "oauth_denied"), ({"mail": False}, "oauth_scope_missing")]
)
def test_what_is_refused_at_the_provider_is_told_and_nothing_is_kept(
    house: Workbench, ana: Person, openid: OpenIdProvider, options: dict[str, bool], key: str
) -> None:
    """Its own sentence for consent refused and for the permission left off; the address is clean afterwards."""
    attempt = ana.begin(house)
    answer = ana.browser.get(back(openid.walk(ana.go(attempt), ANA, **options)))
    found = house.oauth.attempts.find(ana.actor, attempt)

    assert answer.headers["location"] == f"/oauth/fin/{attempt}"
    assert found is not None
    assert (found.state, found.key) == (AttemptState.REFUSED, key)
    assert ana.browser.get(answer.headers["location"]).status_code == 200
    assert house.oauth.grants.connection(ana.actor) is None
    assert house.vault.get(oauth_secret(ana.actor.user_id)) is None


@pytest.mark.parametrize(
    ("change", "key"),
    [({"iss": "https://otro.example"}, "oauth_id_token"), ({"code": "inventado"}, "oauth_expired")],
)
def test_an_answer_that_was_changed_on_the_way_is_refused(
    house: Workbench, ana: Person, openid: OpenIdProvider, change: dict[str, str], key: str
) -> None:
    """Another issuer is a mix-up (RFC 9207); a code that is not ours is good for nothing."""
    attempt = ana.begin(house)
    parts = urlsplit(openid.walk(ana.go(attempt), ANA))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | change
    ana.browser.get(f"{parts.path}?{urlencode(query)}")
    found = house.oauth.attempts.find(ana.actor, attempt)

    assert found is not None
    assert (found.state, found.key) == (AttemptState.REFUSED, key)
    assert house.oauth.grants.connection(ana.actor) is None


@pytest.mark.parametrize(
    ("path", "fault", "key"),
    [
        ("/token", Fault(503), "oauth_unreachable"),
        ("/token", Fault(401, {"error": "invalid_client"}), "oauth_client_wrong"),
        ("/token", Fault(400, {"error": "interaction_required"}), "oauth_interaction"),
        ("/token", Fault(400, {"error": "redirect_uri_mismatch"}), "oauth_redirect"),
        ("/token", Fault(200, "no es JSON"), "oauth_unreachable"),
        ("/token", Fault(302, headers={"location": "https://localhost/otra"}), "oauth_unreachable"),
        ("/token", Fault(200, "x" * 70_000), "oauth_unreachable"),
        ("/jwks", Fault(200, {"keys": []}), "oauth_id_token"),
        (
            "/token",
            Fault(400, {"error": "invalid_grant", "error_description": "AADSTS65001: … Trace ID: " + "a" * 36}),
            "oauth_needs_admin",
        ),
    ],
)
def test_a_provider_that_fails_is_told_and_nothing_is_kept(
    house: Workbench, ana: Person, openid: OpenIdProvider, path: str, fault: Fault, key: str
) -> None:
    """Each kind of fault has its key, and none reaches the browser in English or as a traceback."""
    attempt = ana.begin(house)
    returned = back(openid.walk(ana.go(attempt), ANA))
    openid.order(faults={path: fault})
    answer = ana.browser.get(returned)
    found = house.oauth.attempts.find(ana.actor, attempt)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/oauth/fin/{attempt}")
    assert found is not None
    assert (found.state, found.key) == (AttemptState.REFUSED, key)
    assert found.facts["provider"] == "Empresa"
    assert found.facts.get("code", "") == ("AADSTS65001" if key == "oauth_needs_admin" else found.facts.get("code", ""))
    assert house.oauth.grants.connection(ana.actor) is None


def test_an_attempt_is_good_for_ten_minutes(trusting: Settings, migrated_file: Path, openid: OpenIdProvider) -> None:
    """After that it is told, and the code is not exchanged."""
    database = open_database(place_database(migrated_file, trusting.data_dir / "cloud-gestion.db"))
    late = [timedelta()]
    now = Workbench(trusting, database).clock
    workbench = Workbench(trusting, database, clock=lambda: now() + late[0])
    register(workbench, openid)
    with person(workbench, "ana") as ana:
        attempt = ana.begin(workbench)
        returned = back(openid.walk(ana.go(attempt), ANA))
        late[0] = timedelta(minutes=11)
        ana.browser.get(returned)
        found = workbench.oauth.attempts.find(ana.actor, attempt)

    assert found is not None
    assert found.state is AttemptState.EXPIRED
    assert openid.asked("/token") == []
    workbench.close()


@pytest.mark.parametrize(
    ("off", "key", "facts"),
    [
        (timedelta(hours=2), "clock_wrong", {"ahead": "120"}),
        (timedelta(minutes=-7), "clock_wrong", {"behind": "7"}),
        (timedelta(seconds=100), "", {}),
    ],
)
def test_a_clock_that_is_off_is_told_by_the_date_of_the_provider(
    house: Workbench,
    monkeypatch: pytest.MonkeyPatch,
    off: timedelta,
    key: str,
    facts: dict[str, str],
) -> None:
    """The check of the registration says which way and by how much; two minutes are nobody's trouble."""
    now = house.context.clock
    monkeypatch.setitem(vars(house.context), "clock", lambda: now() + off)
    found = house.oauth.clients.check(Actor(0, "", role=Role.ADMIN), OAuthProvider.CUSTOM)

    assert found.key == key
    assert {name: value for name, value in found.values if name != "provider"} == facts


def test_an_id_token_that_seems_old_to_a_clock_ahead_is_told_as_the_clocks_fault(
    house: Workbench, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours ahead the answer looks as if it had ended: nothing is kept, and it is no fault of the provider's."""
    now = house.context.clock
    monkeypatch.setitem(vars(house.context), "clock", lambda: now() + timedelta(hours=2))
    with person(house, "ana") as ana:
        attempt = ana.begin(house)
        ana.browser.get(back(openid.walk(ana.go(attempt), ANA)))
        found = house.oauth.attempts.find(ana.actor, attempt)

        assert found is not None
        assert (found.key, found.facts["ahead"]) == ("clock_wrong", "120")
        assert house.oauth.grants.connection(ana.actor) is None


def test_whoever_agrees_for_everybody_is_thanked_and_connects_nothing(
    house: Workbench, ana: Person, openid: OpenIdProvider
) -> None:
    """An administrator at Microsoft comes back without a log-in here, or with one; neither is told of an attempt."""
    query = "/oauth/vuelta/microsoft?admin_consent=True&tenant=11112222-aaaa-bbbb-cccc-333344445555"
    with open_product(house) as nobody:
        away = nobody.get(query)
        told = nobody.get(away.headers["location"])
    known = ana.browser.get(query)
    page = ana.browser.get(known.headers["location"])

    assert (away.headers["location"], known.headers["location"]) == ("/entrar?aviso=permiso", "/oauth/fin/consent")
    for text in (told.text, page.text):
        assert "Tu organización ha dado su permiso" in text
        assert "11112222" not in text
    assert openid.asked("/token") == []
    assert house.oauth.grants.connection(ana.actor) is None


@pytest.mark.parametrize("answer", ["admin_consent=True&error=consent_required", "admin_consent=False"])
def test_whoever_did_not_agree_for_everybody_is_not_thanked(house: Workbench, ana: Person, answer: str) -> None:
    """A refusal comes back by the same way, and in the same words but for its error."""
    query = f"/oauth/vuelta/microsoft?{answer}&error_description=AADSTS65004"
    with open_product(house) as nobody:
        told = nobody.get(nobody.get(query).headers["location"])
    page = ana.browser.get(ana.browser.get(query).headers["location"])

    for text in (told.text, page.text):
        assert "No se ha dado el permiso de tu organización" in text
        assert "AADSTS" not in text


def test_a_private_issuer_is_reached_only_where_the_setting_allows_it(
    tmp_path: Path, certificates: Certificates, migrated_file: Path, openid: OpenIdProvider
) -> None:
    """An administrator's word is no way into the network either."""
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file), mail_allow_private="10.9.8.7/32")
    workbench = Workbench(
        settings, open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    )
    register(workbench, openid)
    with person(workbench, "ana") as ana:
        attempt = ana.begin(workbench)
        assert ana.go(attempt) == f"/oauth/fin/{attempt}"
        found = workbench.oauth.attempts.find(ana.actor, attempt)

    assert found is not None
    assert (found.key, found.facts["reason"]) == ("oauth_unreachable", "forbidden_target")
    workbench.close()


def _everything(workbench: Workbench) -> str:
    """Every row of every table, as text."""
    from cgcore.storage.tables import metadata

    with workbench.database.read() as session:
        return "\n".join(
            str(row)
            for table in metadata.sorted_tables
            if table.name != "vault_record"
            for row in session.connection().execute(table.select())
        )
