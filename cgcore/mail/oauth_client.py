"""OAuth2 as values: the providers, the client that an administrator registers with one, and what is asked for there.

Apart from :mod:`cgcore.mail.oauth`, which speaks with providers and loads a library for it: storage, facade and pages
handle these values all the time. Sources: https://developers.google.com/identity/protocols/oauth2/web-server,
https://developers.google.com/workspace/gmail/imap/xoauth2-protocol,
https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth,
https://learn.microsoft.com/entra/identity-platform/reply-url
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cgcore.errors import FieldProblem
from cgcore.mail import account_texts
from cgcore.mail.addresses import domain_of, is_address
from cgcore.mail.network.public_suffix import has_public_suffix
from cgcore.mail.oauth_paths import CALLBACK
from cgcore.mail.steps import Leg
from cgcore.text_rules import MAX_NAME, find_text_problem
from cgcore.vault.secret import Secret

__all__ = [
    "SECRET_NOTICE",
    "Client",
    "ClientDraft",
    "OAuthProvider",
    "Way",
    "check_client_draft",
    "consent_link",
    "find_redirect_problem",
    "missing_scopes",
    "redirect_uri",
]

SECRET_NOTICE = timedelta(days=30)
"""How long before its end a secret is told of."""

_MAX_FIELD = 300
_MAX_DOMAINS = 50
_TENANT = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,251}[0-9A-Za-z])?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_MICROSOFT = "https://login.microsoftonline.com"


class OAuthProvider(StrEnum):
    """Who signs people in: Google, Microsoft, or one OpenID provider of the company's own."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    CUSTOM = "custom"


class Way(StrEnum):
    """How somebody connects: a link that leads to the provider and back, or a code that is typed there (RFC 8628)."""

    LINK = "link"
    CODE = "code"


_MAIL_SCOPES = {
    # Both protocols; none of the narrower ones of Gmail's API is taken by its mail servers.
    OAuthProvider.GOOGLE: dict.fromkeys(Leg, "https://mail.google.com/"),
    OAuthProvider.MICROSOFT: {
        Leg.SMTP: "https://outlook.office.com/SMTP.Send",
        Leg.IMAP: "https://outlook.office.com/IMAP.AccessAsUser.All",
    },
}
# RFC 9700 has no word against a question too many, and without it Google gives a refresh token only the first time.
_EXTRA = {
    OAuthProvider.GOOGLE: {"access_type": "offline", "prompt": "consent"},
    OAuthProvider.MICROSOFT: {"prompt": "select_account"},
    OAuthProvider.CUSTOM: {"prompt": "consent"},
}


@dataclass(frozen=True, slots=True)
class ClientDraft:
    """What an administrator fills in of a client; ``secret`` is ``None`` where the stored one is kept.

    A ``public`` client has no secret, and connects by codes alone (RFC 6749, 2.1); Google's never is.
    ``tenant`` is Microsoft's, ``issuer``, ``name``, ``domains`` and ``scope`` are the own provider's. ``domains`` say
    whose addresses it is offered to (empty: everybody's); they may be given for the other two as well.
    """

    provider: OAuthProvider
    client_id: str = ""
    secret: Secret | None = None
    tenant: str = ""
    issuer: str = ""
    name: str = ""
    domains: tuple[str, ...] = ()
    scope: str = ""
    secret_ends: date | None = None
    public: bool = False
    codes: bool = False


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client as it is stored, without its secret."""

    provider: OAuthProvider
    client_id: str
    tenant: str = ""
    issuer: str = ""
    name: str = ""
    domains: tuple[str, ...] = ()
    scope: str = ""
    secret_ends: date | None = None
    version: int = 1
    updated: datetime | None = None
    public: bool = False
    codes: bool = False

    @property
    def label(self) -> str:
        """What people call the provider."""
        if self.provider is OAuthProvider.CUSTOM:
            return self.name or urlsplit(self.issuer).hostname or self.issuer
        return {OAuthProvider.GOOGLE: "Google", OAuthProvider.MICROSOFT: "Microsoft"}[self.provider]

    @property
    def discovery_url(self) -> str:
        """Where the provider describes itself (OpenID Connect Discovery 1.0, section 4)."""
        return f"{self._place()}/.well-known/openid-configuration"

    @property
    def mail_scopes(self) -> tuple[str, ...]:
        """The scopes that open mail servers; without one of them a token is of no use. Each once."""
        known = _MAIL_SCOPES.get(self.provider)
        return tuple(dict.fromkeys(known.values())) if known else tuple(self.scope.split())

    @property
    def scopes(self) -> tuple[str, ...]:
        """Everything that is asked for: who it is, the mail servers, and to go on when nobody is there."""
        offline = () if self.provider is OAuthProvider.GOOGLE else ("offline_access",)
        return ("openid", "email", *offline, *self.mail_scopes)

    @property
    def authorization_extra(self) -> dict[str, str]:
        """What this provider wants to be asked besides the standard's parameters."""
        return dict(_EXTRA[self.provider])

    @property
    def ways(self) -> tuple[Way, ...]:
        """How its people connect. Google's codes open no mailbox: it refuses their scope before anybody is asked.

        Elsewhere codes are for whom they are switched on (``codes``): one may be agreed to by somebody else than who
        has asked for it (RFC 8628, 5.4). A client without a secret has no other way.
        """
        if self.public:
            return (Way.CODE,)
        return (Way.LINK, Way.CODE) if self.codes and self.provider is not OAuthProvider.GOOGLE else (Way.LINK,)

    def scopes_for(self, leg: Leg) -> tuple[str, ...]:
        """Return the scopes without which the servers of ``leg`` take no token."""
        known = _MAIL_SCOPES.get(self.provider)
        return (known[leg],) if known else tuple(self.scope.split())

    def is_offered_to(self, address: str) -> bool:
        """Return whether the owner of ``address`` is offered this provider; somebody without an address is."""
        domain = domain_of(address)
        return not self.domains or not domain or domain in self.domains

    def days_left(self, today: date) -> int | None:
        """Return for how many days the secret is good, negative after its end; ``None`` where that is not known."""
        return None if self.secret_ends is None else (self.secret_ends - today).days

    def ends_soon(self, today: date) -> bool:
        """Return whether the secret's end has to be told: :data:`SECRET_NOTICE` before it, and ever after."""
        left = self.days_left(today)
        return left is not None and left <= SECRET_NOTICE.days

    def as_json(self) -> dict[str, Any]:
        """Return the client as command line and a stale save show it."""
        return {
            "provider": self.provider.value,
            "client_id": self.client_id,
            "tenant": self.tenant,
            "issuer": self.issuer,
            "name": self.name,
            "domains": list(self.domains),
            "scope": self.scope,
            "secret_ends": self.secret_ends.isoformat() if self.secret_ends else None,
            "public": self.public,
            "codes": self.codes,
        }

    def _place(self) -> str:
        if self.provider is OAuthProvider.GOOGLE:
            return "https://accounts.google.com"
        if self.provider is OAuthProvider.MICROSOFT:
            return f"{_MICROSOFT}/{quote(self.tenant, safe='')}/v2.0"
        return self.issuer.rstrip("/")


def check_client_draft(draft: ClientDraft) -> tuple[FieldProblem, ...]:
    """Return everything that is wrong with a client before anybody is asked; the fields are those of the draft."""
    return tuple(_draft_problems(draft))


def _draft_problems(draft: ClientDraft) -> Iterator[FieldProblem]:
    yield from _text_problems("client_id", draft.client_id)
    if draft.secret is not None:
        yield from _text_problems("secret", draft.secret.reveal(), limit=2000)
    if draft.provider is OAuthProvider.MICROSOFT and not _TENANT.fullmatch(draft.tenant.strip()):
        yield account_texts.problem("tenant", "oauth_tenant" if draft.tenant.strip() else "empty")
    if draft.provider is OAuthProvider.CUSTOM:
        yield from _issuer_problems(draft.issuer)
        if find_text_problem(draft.name, MAX_NAME):
            yield account_texts.problem("name", "control_characters")
        if any(not _SCOPE.fullmatch(each) for each in draft.scope.split()) or len(draft.scope) > _MAX_FIELD:
            yield account_texts.problem("scope", "oauth_scope")
    if len(draft.domains) > _MAX_DOMAINS or not all(is_address(f"a@{each}") for each in draft.domains):
        yield account_texts.problem("domains", "oauth_domains")


def _text_problems(name: str, value: str, limit: int = _MAX_FIELD) -> Iterator[FieldProblem]:
    if not value.strip():
        yield account_texts.problem(name, "empty")
    elif find_text_problem(value, limit):
        yield account_texts.problem(name, "control_characters")


def _issuer_problems(issuer: str) -> Iterator[FieldProblem]:
    # Here: it brings along what speaks with servers, and the values of this module are wanted at every start.
    from cgcore.mail.https import may_be_plain

    if not issuer.strip():
        yield account_texts.problem("issuer", "empty")
        return
    try:
        parts = urlsplit(issuer.strip())
        is_closed = parts.scheme == "https" or (parts.scheme == "http" and may_be_plain(issuer.strip()))
        fits = is_closed and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fits, parts = False, urlsplit("")
    # OpenID Connect Discovery 1.0, section 2: https, host, optionally port and path, and nothing else.
    if not fits or parts.query or parts.fragment or len(issuer) > _MAX_FIELD or re.search(r"[\s\\]", issuer.strip()):
        yield account_texts.problem("issuer", "oauth_issuer")


def missing_scopes(wanted: Sequence[str], granted: Sequence[str]) -> tuple[str, ...]:
    """Return what of ``wanted`` was not granted. Capitals do not count, and Microsoft may leave the resource out."""

    def short(scope: str) -> str:
        return scope.rstrip("/").rpartition("/")[2].casefold()

    given = {short(each) for each in granted}
    return tuple(each for each in wanted if short(each) not in given)


def redirect_uri(base: str, provider: OAuthProvider) -> str:
    """Return the address that is registered with the provider; ``base`` is the product's own, without a last slash."""
    return f"{base.rstrip('/')}{CALLBACK}{provider.value}"


def find_redirect_problem(provider: OAuthProvider, uri: str) -> str:
    """Return the code of what a provider will refuse in a redirect address, ``""`` where nothing is known against it.

    ``not_https``: plain HTTP is for this machine alone. ``not_localhost``: Microsoft takes only that name for it.
    ``raw_address`` and ``no_public_name``: Google takes names of the internet only, neither numbers nor ``.local``.
    ``too_long`` and ``forbidden_sign``: Microsoft's limits.
    """
    if provider is OAuthProvider.CUSTOM:
        return ""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme != "https":
        if host not in _LOOPBACK:
            return "not_https"
        return "not_localhost" if provider is OAuthProvider.MICROSOFT and host != "localhost" else ""
    if provider is OAuthProvider.MICROSOFT:
        return "too_long" if len(uri) > 256 else "forbidden_sign" if re.search(r"[!$'(),;]", uri) else ""
    if host == "localhost":
        return ""
    return "raw_address" if _is_number(host) else "" if has_public_suffix(host) else "no_public_name"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def consent_link(client: Client, uri: str) -> str:
    """Return where an administrator of a Microsoft tenant agrees for everybody; it is copied and sent.

    ``uri`` is the registered redirect address. ``state`` names nothing: whoever comes back by it connects nothing.
    A client without a secret has registered none, and gets the link that leads nowhere afterwards
    (https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent).
    """
    if client.public:
        return f"{_MICROSOFT}/{quote(client.tenant, safe='')}/adminconsent?{urlencode({'client_id': client.client_id})}"
    query = {"client_id": client.client_id, "redirect_uri": uri, "scope": " ".join(client.mail_scopes)}
    return f"{_MICROSOFT}/{quote(client.tenant, safe='')}/v2.0/adminconsent?{urlencode(query)}"
