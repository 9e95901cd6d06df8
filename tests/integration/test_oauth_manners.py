"""What Google and Microsoft do with connections that no other provider does; their answers are given by the test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cgcore.identity.actor import Actor
from cgcore.mail.oauth_answers import OAuthFailure, Tokens
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.mail.request import TokenRefused
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.grants import NewGrant
from cgcore.workbench.secrets import oauth_secret
from tests.servers.connecting import OPERATOR
from tests.servers.pages import sign_in

_ANA = "ana@empresa.es"


def _connect(workbench: Workbench, provider: OAuthProvider, answer: Callable[..., Any]) -> Actor:
    """Let Ana be connected by a provider whose every answer to a renewal is ``answer``."""
    door = SimpleNamespace(refresh=answer, revoke=lambda *_: provider is not OAuthProvider.MICROSOFT)
    vars(workbench.oauth)["_door"] = door
    tenant = "empresa.es" if provider is OAuthProvider.MICROSOFT else ""
    draft = ClientDraft(provider, "panel", Secret("secreto-del-cliente"), tenant=tenant)
    client = workbench.oauth.clients.save(OPERATOR, draft, version=0)
    ana = sign_in(workbench, "ana")
    new = NewGrant(Secret("refresco-1"), "1", _ANA, _ANA, ("smtp.empresa.es",), client.mail_scopes)
    workbench.oauth.grants.connect(ana, client, new)
    return ana


@pytest.mark.parametrize(
    ("provider", "days", "hinted"),
    [(OAuthProvider.GOOGLE, 7, True), (OAuthProvider.GOOGLE, 9, False), (OAuthProvider.MICROSOFT, 7, False)],
)
def test_a_connection_that_dies_within_eight_days_hints_at_testing_mode(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, provider: OAuthProvider, days: int, hinted: bool
) -> None:
    """Google ends them after seven while the registration is in testing; later, or elsewhere, nothing of it is said."""

    def dead(*_: Any) -> Tokens:
        raise OAuthFailure("oauth_expired", {"code": "invalid_grant"})

    ana = _connect(workbench, provider, dead)
    now = workbench.context.clock
    monkeypatch.setitem(vars(workbench.context), "clock", lambda: now() + timedelta(days=days))
    with pytest.raises(TokenRefused) as refused:
        workbench.oauth.tokens.take(ana.user_id)

    assert refused.value.key == "oauth_expired"
    assert refused.value.details.get("testing_days") == ("7" if hinted else None)


def test_google_gives_no_new_refresh_token_and_the_old_one_goes_on(workbench: Workbench) -> None:
    """Nothing comes, so what is there stays."""
    asked: list[str] = []

    def same(_client: Any, _secret: Any, token: Secret) -> Tokens:
        asked.append(token.reveal())
        return Tokens(Secret("acceso"), 3599, None)

    ana = _connect(workbench, OAuthProvider.GOOGLE, same)
    for _ in range(2):
        workbench.oauth.tokens.forget(ana.user_id)
        workbench.oauth.tokens.take(ana.user_id)

    assert asked == ["refresco-1", "refresco-1"]


def test_microsoft_gives_another_one_each_time_and_it_is_the_one_that_is_used(workbench: Workbench) -> None:
    """Whoever drops it is disconnected on day 90."""
    asked: list[str] = []

    def another(_client: Any, _secret: Any, token: Secret) -> Tokens:
        asked.append(token.reveal())
        return Tokens(Secret("acceso"), 3900, None, Secret(f"refresco-{len(asked) + 1}"))

    ana = _connect(workbench, OAuthProvider.MICROSOFT, another)
    for _ in range(3):
        workbench.oauth.tokens.forget(ana.user_id)
        workbench.oauth.tokens.take(ana.user_id)
    stored = workbench.vault.get(oauth_secret(ana.user_id))

    assert asked == ["refresco-1", "refresco-2", "refresco-3"]
    assert stored is not None
    assert stored.reveal() == "refresco-4"


def test_a_token_is_renewed_five_minutes_before_it_ends(workbench: Workbench) -> None:
    """A sending may take minutes; one that lives for less than ten serves half of its life."""
    given: list[int] = []
    seconds = [0.0]

    def short(*_: Any) -> Tokens:
        given.append(3600)
        return Tokens(Secret(f"acceso-{len(given)}"), given[-1], None)

    ana = _connect(workbench, OAuthProvider.GOOGLE, short)
    tokens = workbench.oauth.tokens
    vars(tokens)["_clock"] = lambda: seconds[0]
    taken: list[str] = []
    for moment in (0.0, 3299.0, 3301.0):
        seconds[0] = moment
        taken.append(tokens.take(ana.user_id).secret.reveal())

    assert taken == ["acceso-1", "acceso-1", "acceso-2"]


@pytest.mark.parametrize(
    ("provider", "revoked", "page"),
    [(OAuthProvider.GOOGLE, True, ""), (OAuthProvider.MICROSOFT, False, "https://myaccount.microsoft.com/")],
)
def test_who_cannot_be_told_names_the_place_where_it_is_done_by_hand(
    workbench: Workbench, provider: OAuthProvider, revoked: bool, page: str
) -> None:
    """Microsoft has no way to give one token up; the program says where its owner takes the permission away."""
    ana = _connect(workbench, provider, lambda *_: Tokens(Secret("acceso"), 3600, None))
    ended = workbench.oauth.grants.disconnect(ana)

    assert (ended.revoked, ended.manage_url) == (revoked, page)
