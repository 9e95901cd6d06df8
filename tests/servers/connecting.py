"""Somebody who has connected a mailbox with the OpenID provider of the tests, as the product does it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from cgcore.identity.actor import Actor, Role
from cgcore.mail.account import AccessToken, MailAccountDraft
from cgcore.mail.oauth_client import ClientDraft, OAuthProvider
from cgcore.mail.steps import Leg
from cgcore.runs import Run
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from tests.servers.openid import OpenIdProvider
from tests.servers.pages import sign_in
from tests.servers.probing import ANA

__all__ = ["OPERATOR", "Connected", "connect", "connect_again", "register"]

OPERATOR = Actor(0, "", role=Role.ADMIN)


@dataclass
class Connected:
    """A workbench in which Ana has connected her mailbox."""

    workbench: Workbench
    actor: Actor
    draft: MailAccountDraft
    openid: OpenIdProvider

    def token(self) -> AccessToken:
        """What a sign-in at the outgoing server would take now."""
        return self.workbench.oauth.tokens.source(self.actor, self.draft, Leg.SMTP).take()

    def forget(self) -> None:
        """Let the access token run out."""
        self.workbench.oauth.tokens.forget(self.actor.user_id)

    def refreshes(self) -> list[int]:
        """How the provider has answered each renewal since the connection."""
        return [each["status"] for each in self.openid.asked("/token") if each["grant"] == "refresh_token"]

    def prove(self, leg: Leg, draft: MailAccountDraft | None = None) -> Run:
        """Test one leg, to its end."""
        run = self.workbench.mail_runs.start_probe(self.actor, leg, draft or self.draft)
        return list(self.workbench.runs.follow(self.actor, run))[-1]


def register(workbench: Workbench, openid: OpenIdProvider, *, secret: str = "") -> None:
    """Set the provider up, or again with another secret."""
    known = workbench.oauth.clients.find(OPERATOR, OAuthProvider.CUSTOM)
    client = ClientDraft(
        OAuthProvider.CUSTOM,
        openid.client_id,
        Secret(secret or openid.client_secret),
        issuer=openid.url,
        scope="mail",
        codes=True,
    )
    workbench.oauth.clients.save(OPERATOR, client, version=known.version if known else 0)


def connect(workbench: Workbench, openid: OpenIdProvider, draft: MailAccountDraft, user: str = ANA) -> Actor:
    """Register the provider, and let a new user connect ``draft``, signed in as ``user``.

    The access token that came with it is forgotten: most tests are about the next ones.
    """
    register(workbench, openid)
    actor = sign_in(workbench, "ana")
    connect_again(workbench, openid, actor, draft, user)
    workbench.oauth.tokens.forget(actor.user_id)
    return actor


def connect_again(
    workbench: Workbench, openid: OpenIdProvider, actor: Actor, draft: MailAccountDraft, user: str = ANA
) -> None:
    """Go the whole way once more."""
    attempts = workbench.oauth.attempts
    attempt = attempts.begin(actor, OAuthProvider.CUSTOM, draft)
    url = attempts.leave(actor, attempt.id, "http://localhost:8501")
    assert isinstance(url, str)
    query = openid.walk(url, user).partition("?")[2]
    back = attempts.come_back(actor, OAuthProvider.CUSTOM, dict(parse_qsl(query)))
    if back.state == "other_address":
        attempts.confirm(actor, attempt.id)
