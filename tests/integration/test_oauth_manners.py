"""What Google and Microsoft do with connections that no other provider does: their answers, word by word, over a real
socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cgcore.activity import Action
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, MailAccountDraft, ServerDraft
from cgcore.mail.oauth_answers import failure_of
from cgcore.mail.oauth_client import Client, ClientDraft, OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.mail.steps import Leg
from cgcore.storage import oauth as store
from cgcore.storage.database import open_database
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.grants import GrantState, NewGrant
from cgcore.workbench.secrets import oauth_secret
from tests.conftest import make_settings, place_database
from tests.servers.certificates import Certificates
from tests.servers.connecting import OPERATOR
from tests.servers.pages import sign_in
from tests.servers.scripted_provider import HTML, Reply, ScriptedProvider

_ANA = "ana@empresa.es"
_DRAFT = MailAccountDraft(
    _ANA, smtp=ServerDraft("smtp.empresa.es", 587), imap=ServerDraft("imap.empresa.es", 993), auth=AuthKind.MICROSOFT
)
_TRACE = "0a1b2c3d-0000-1111-2222-333344445555"
_MAIL = "https://outlook.office.com/SMTP.Send https://outlook.office.com/IMAP.AccessAsUser.All"


@dataclass(frozen=True)
class House:
    """A workbench in which Ana is connected by a provider whose answers the test writes."""

    workbench: Workbench
    ana: Actor
    provider: ScriptedProvider

    def take(self) -> str:
        """What a sign-in would show now, asked for anew."""
        self.workbench.oauth.tokens.forget(self.ana.user_id)
        return self.workbench.oauth.tokens.take(self.ana.user_id).secret.reveal()

    def refused(self) -> TokenRefused:
        """Why there is none."""
        with pytest.raises(TokenRefused) as refused:
            self.take()
        return refused.value

    def state(self) -> GrantState:
        """How the connection stands."""
        with self.workbench.database.read() as session:
            row = store.find_grant(session, self.ana.user_id)
        assert row is not None
        return GrantState(row.state)


@pytest.fixture
def house(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificates: Certificates,
    migrated_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """Ana connected by the provider that the test names; it stands where that one describes itself."""
    kind: OAuthProvider = request.param
    settings = make_settings(tmp_path, ssl_cert_file=str(certificates.ca_file))
    database = open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    workbench = Workbench(settings, database)
    with ScriptedProvider(certificates, revokes=kind is not OAuthProvider.MICROSOFT) as provider:
        monkeypatch.setattr(Client, "_place", lambda _client: provider.url)
        tenant = "empresa.es" if kind is OAuthProvider.MICROSOFT else ""
        draft = ClientDraft(kind, "panel", Secret("secreto-del-cliente"), tenant=tenant)
        client = workbench.oauth.clients.save(OPERATOR, draft, version=0)
        ana = sign_in(workbench, "ana")
        hosts = ("smtp.empresa.es", "imap.empresa.es")
        workbench.oauth.grants.connect(
            ana, client, NewGrant(Secret("refresco-1"), "1", _ANA, _ANA, hosts, client.mail_scopes)
        )
        yield House(workbench, ana, provider)
    workbench.close()


_GOOGLE = pytest.mark.parametrize("house", [OAuthProvider.GOOGLE], indirect=True)
_MICROSOFT = pytest.mark.parametrize("house", [OAuthProvider.MICROSOFT], indirect=True)


def _google(status: int, error: str, description: str = "Bad Request") -> Reply:
    return Reply(status, {"error": error, "error_description": description})


def _microsoft(status: int, error: str, number: int, suberror: str = "") -> Reply:
    described = f"AADSTS{number}: Words that change. Trace ID: {_TRACE} Correlation ID: {_TRACE} Timestamp: 2026-12-01"
    body = {"error": error, "error_description": described, "error_codes": [number], "trace_id": _TRACE}
    return Reply(status, {**body, **({"suberror": suberror} if suberror else {})})


def _given(access: str, **more: Any) -> Reply:
    return Reply(200, {"token_type": "Bearer", "access_token": access, "expires_in": 3599, **more})


@_GOOGLE
@pytest.mark.parametrize(
    ("reply", "key", "state"),
    [
        (_google(400, "invalid_grant", "Token has been expired or revoked."), "oauth_expired", GrantState.NEEDS_LOGIN),
        (_google(401, "invalid_client", "The OAuth client was not found."), "oauth_client_wrong", "needs_admin"),
        (_google(401, "deleted_client", "The OAuth client was deleted."), "oauth_client_wrong", "needs_admin"),
        (_google(400, "admin_policy_enforced"), "oauth_needs_admin", GrantState.NEEDS_ADMIN),
        (_google(400, "org_internal"), "oauth_needs_admin", GrantState.NEEDS_ADMIN),
        (_google(429, "rate_limit_exceeded"), "oauth_unreachable", GrantState.CONNECTED),
        (Reply(502, "<html><title>Error 502 (Server Error)!!1</title>", HTML), "oauth_unreachable", "connected"),
        (Reply(400, "<html><title>Error 400 (Bad Request)!!1</title>", HTML), "oauth_unreachable", "connected"),
        (Reply(200, "<html>Wi-Fi: acepta las condiciones</html>", HTML), "oauth_unreachable", "connected"),
        (Reply(302, "", {"Location": "https://portal.example/"}), "oauth_unreachable", GrantState.CONNECTED),
    ],
)
def test_what_google_answers_a_renewal_is_told_apart(house: House, reply: Reply, key: str, state: GrantState) -> None:
    """What is over, what an administrator has to mend, and what passes: only the first two stay."""
    house.provider.answers = [reply]
    refused = house.refused()

    assert (refused.key, house.state()) == (key, state)
    assert len(house.provider.asked) == 1
    house.provider.answers = [_given("acceso")]
    if state != GrantState.NEEDS_LOGIN:
        assert house.take() == "acceso"
        assert house.state() is GrantState.CONNECTED


@_MICROSOFT
@pytest.mark.parametrize(
    ("reply", "key", "state"),
    [
        (_microsoft(400, "invalid_grant", 700082), "oauth_expired", GrantState.NEEDS_LOGIN),
        (_microsoft(400, "invalid_grant", 50173), "oauth_expired", GrantState.NEEDS_LOGIN),
        (_microsoft(400, "invalid_grant", 65001, "consent_required"), "oauth_needs_admin", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "invalid_grant", 50076, "basic_action"), "oauth_interaction", GrantState.NEEDS_LOGIN),
        (_microsoft(400, "interaction_required", 50079), "oauth_interaction", GrantState.NEEDS_LOGIN),
        (_microsoft(400, "invalid_grant", 53003, "message_only"), "oauth_interaction", GrantState.NEEDS_LOGIN),
        (_microsoft(401, "invalid_client", 7000215), "oauth_client_wrong", GrantState.NEEDS_ADMIN),
        (_microsoft(401, "invalid_client", 7000222), "oauth_client_wrong", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "unauthorized_client", 700016), "oauth_client_wrong", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "invalid_request", 50128), "oauth_client_wrong", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "invalid_grant", 50034), "oauth_account_missing", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "invalid_request", 90002), "oauth_client_wrong", GrantState.NEEDS_ADMIN),
        (_microsoft(400, "invalid_grant", 50196), "oauth_unreachable", GrantState.CONNECTED),
        (_microsoft(503, "temporarily_unavailable", 90033), "oauth_unreachable", GrantState.CONNECTED),
        (Reply(429, "<h2>Too many requests</h2>", HTML), "oauth_unreachable", GrantState.CONNECTED),
    ],
)
def test_what_microsoft_answers_a_renewal_is_told_apart_by_its_number(
    house: House, reply: Reply, key: str, state: GrantState
) -> None:
    """Its words are shared by many cases; number and trace are shown, and nothing else of what it wrote."""
    house.provider.answers = [reply]
    refused = house.refused()
    lost = [each for each in house.workbench.activity.list(house.ana)["items"] if each.action == Action.OAUTH_LOST]

    assert (refused.key, house.state()) == (key, state)
    assert len(lost) == (0 if state == GrantState.CONNECTED else 1)
    if isinstance(reply.body, dict) and reply.status < 500:
        number = reply.body["error_codes"][0]
        assert (refused.details["code"], refused.details["trace"]) == (f"AADSTS{number}", _TRACE)
    assert "Words that change" not in repr(refused.details)


def test_what_is_explained_in_a_pasted_text_is_known_in_an_answer_too() -> None:
    """Each number of Microsoft's that the rules for texts know has a key of its own at the token endpoint."""
    rules = (Path(__file__).parents[2] / "cgcore/mail/diagnosis/oauth.toml").read_text("utf-8")
    groups = re.findall(r"aadsts\(([\d|]+)\)|aadsts(\d+)", rules)
    numbers = {number for group in groups for number in "|".join(group).split("|") if number}
    unknown = {each for each in numbers if "reason" in failure_of("", f"AADSTS{each}: x", status=400).facts}

    assert len(numbers) > 50
    assert unknown == set()


@_GOOGLE
@pytest.mark.parametrize(("days", "hinted"), [(7, True), (9, False)])
def test_a_connection_that_dies_within_eight_days_hints_at_testing_mode(
    house: House, monkeypatch: pytest.MonkeyPatch, days: int, hinted: bool
) -> None:
    """Google ends them after seven while the registration is in testing; later nothing of it is said."""
    house.provider.answers = [_google(400, "invalid_grant", "Token has been expired or revoked.")]
    now = house.workbench.context.clock
    monkeypatch.setitem(vars(house.workbench.context), "clock", lambda: now() + timedelta(days=days))

    assert house.refused().details.get("testing_days") == ("7" if hinted else None)


@_MICROSOFT
def test_microsoft_knows_no_testing_mode(house: House) -> None:
    """Whatever dies young there has died of something else."""
    house.provider.answers = [_microsoft(400, "invalid_grant", 700082)]

    assert "testing_days" not in house.refused().details


@_GOOGLE
def test_google_gives_no_new_refresh_token_and_the_old_one_goes_on(house: House) -> None:
    """Nothing comes, so what is there stays."""
    house.provider.answers = [_given("acceso", scope="https://mail.google.com/ openid")]
    taken = [house.take() for _ in range(2)]

    assert taken == ["acceso", "acceso"]
    assert [each["refresh_token"] for each in house.provider.asked] == ["refresco-1", "refresco-1"]


@_MICROSOFT
def test_microsoft_gives_another_one_each_time_and_it_is_the_one_that_is_used(house: House) -> None:
    """Whoever drops it is disconnected on day 90. Each renewal names its scopes, or Microsoft refuses it."""
    house.provider.answers = [
        _given(f"acceso-{each}", refresh_token=f"refresco-{each + 1}", scope=_MAIL) for each in (1, 2, 3)
    ]
    taken = [house.take() for _ in range(3)]
    stored = house.workbench.vault.get(oauth_secret(house.ana.user_id))

    assert taken == ["acceso-1", "acceso-2", "acceso-3"]
    assert [each["refresh_token"] for each in house.provider.asked] == ["refresco-1", "refresco-2", "refresco-3"]
    assert {each["scope"] for each in house.provider.asked} == {f"openid email offline_access {_MAIL}"}
    assert {each["client_secret"] for each in house.provider.asked} == {"secreto-del-cliente"}
    assert stored is not None
    assert stored.reveal() == "refresco-4"


@_MICROSOFT
def test_a_renewal_that_allows_less_is_judged_before_the_token_is_shown(house: House) -> None:
    """The permission to read mail was taken away: the outgoing server still gets a token, the incoming one none."""
    house.provider.answers = [_given("acceso", scope="https://outlook.office.com/SMTP.Send")]
    tokens = house.workbench.oauth.tokens
    with pytest.raises(TokenRefused) as refused:
        tokens.source(house.ana, _DRAFT, Leg.IMAP).take()
    taken = tokens.source(house.ana, _DRAFT, Leg.SMTP).take()

    assert refused.value.key == "oauth_scope_missing"
    assert refused.value.details["scopes"] == "https://outlook.office.com/IMAP.AccessAsUser.All"
    assert taken.secret.reveal() == "acceso"
    assert len(house.provider.asked) == 1


@_GOOGLE
def test_a_token_is_renewed_five_minutes_before_it_ends(house: House) -> None:
    """A sending may take minutes; one that lives for less than ten serves half of its life."""
    house.provider.answers = [_given(f"acceso-{each}", expires_in=3600) for each in (1, 2)]
    seconds, tokens, taken = [0.0], house.workbench.oauth.tokens, list[str]()
    vars(tokens)["_clock"] = lambda: seconds[0]
    for moment in (0.0, 3299.0, 3301.0):
        seconds[0] = moment
        taken.append(tokens.take(house.ana.user_id).secret.reveal())

    assert taken == ["acceso-1", "acceso-1", "acceso-2"]


@_GOOGLE
def test_google_is_told_that_a_connection_ends(house: House) -> None:
    """The refresh token is given up, and with it the whole permission."""
    ended = house.workbench.oauth.grants.disconnect(house.ana)

    assert (ended.revoked, ended.manage_url) == (True, "")
    assert house.provider.given_up == ["refresco-1"]


@_MICROSOFT
def test_who_cannot_be_told_names_the_place_where_it_is_done_by_hand(house: House) -> None:
    """Microsoft has no way to give one token up; the program says where its owner takes the permission away."""
    ended = house.workbench.oauth.grants.disconnect(house.ana)

    assert (ended.revoked, ended.manage_url) == (False, "https://myaccount.microsoft.com/")
    assert house.provider.given_up == []


@_GOOGLE
def test_a_connection_that_is_made_anew_while_the_old_one_dies_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is the old one's: the new one keeps its state, and nobody is told that it has died."""
    door, grants = house.workbench.oauth._door, house.workbench.oauth.grants
    ask = door.refresh

    def meanwhile(client: Client, secret: Secret, token: Secret) -> Any:
        grants.connect(house.ana, client, NewGrant(Secret("nuevo"), "1", _ANA, _ANA, (), client.mail_scopes))
        return ask(client, secret, token)

    monkeypatch.setattr(door, "refresh", meanwhile)
    house.provider.answers = [_google(400, "invalid_grant")]
    house.refused()

    assert house.state() is GrantState.CONNECTED
    assert Action.OAUTH_LOST not in [each.action for each in house.workbench.activity.list(house.ana)["items"]]


@_MICROSOFT
def test_a_mended_registration_is_noticed_by_the_keep_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week with a lapsed secret, then a new one: an idle connection lives on, without anybody's click."""
    house.provider.answers = [_microsoft(401, "invalid_client", 7000222)]
    now = house.workbench.context.clock
    monkeypatch.setitem(vars(house.workbench.context), "clock", lambda: now() + timedelta(days=8))
    house.workbench.oauth.keep_alive.work_once()
    lapsed = house.state()
    house.provider.answers = [_given("acceso", refresh_token="refresco-2", scope=_MAIL)]
    house.workbench.oauth.keep_alive.work_once()
    resting = len(house.provider.asked)
    draft = ClientDraft(OAuthProvider.MICROSOFT, "panel", Secret("secreto-nuevo"), tenant="empresa.es")
    house.workbench.oauth.clients.save(OPERATOR, draft, version=1)
    house.workbench.oauth.keep_alive.work_once()

    assert lapsed is GrantState.NEEDS_ADMIN
    assert resting == 1
    assert house.state() is GrantState.CONNECTED


@_MICROSOFT
def test_what_an_administrator_does_not_mend_is_asked_for_less_and_less(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour after the first refusal, then twice as long each time, once a day in the end; a clock set back counts."""
    house.provider.answers = [_microsoft(400, "invalid_grant", 65001, "consent_required")]
    start, hours = house.workbench.context.clock() + timedelta(days=8), [0]
    monkeypatch.setitem(vars(house.workbench.context), "clock", lambda: start + timedelta(hours=hours[0]))
    asked: list[int] = []
    for hour in range(97):
        hours[0], before = hour, len(house.provider.asked)
        house.workbench.oauth.keep_alive.work_once()
        asked += [hour] * (len(house.provider.asked) - before)
    hours[0] = 20
    house.workbench.oauth.keep_alive.work_once()
    house.provider.answers = [_given("acceso", refresh_token="refresco-2", scope=_MAIL)]
    hours[0] = 44
    house.workbench.oauth.keep_alive.work_once()

    assert asked == [0, 1, 3, 7, 15, 31, 55, 79]
    assert len(house.provider.asked) == len(asked) + 2
    assert house.state() is GrantState.CONNECTED
