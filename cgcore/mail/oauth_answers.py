"""What a provider's answers mean: tokens as they are given, and a refusal as a key of the diagnosis.

Apart from :mod:`cgcore.mail.oauth`, which loads a library: the page that a browser comes back to asks this alone.
Sources: RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core, 3.1.2.6;
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from urllib.parse import urlsplit

from cgcore.mail.oauth_client import Client, OAuthProvider
from cgcore.vault.secret import Secret

__all__ = [
    "DeviceCode",
    "DeviceReply",
    "OAuthFailure",
    "Person",
    "Tokens",
    "ask_as_either",
    "facts_of",
    "failure_of",
    "find_token_faults",
    "read_code",
    "read_device_reply",
    "read_error",
    "read_object",
    "read_tokens",
    "to_person",
]

_NUMBER = re.compile(r"AADSTS(\d{4,9})")
_TRACE = re.compile(r"Trace ID: ([0-9a-fA-F-]{36})")
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_DEFAULT_LIFE_S = 600
_LEEWAY_S = 120

_KEYS = {
    "oauth_client_wrong": "invalid_client unauthorized_client invalid_scope unsupported_grant_type disabled_client"
    " deleted_client 7000215 7000216 7000222 7000218 7000112 700016 700027 50194 50012 90002 90013 90019 70011 500011"
    " 50128 650053 650057 700025 900144 28002 28003",
    "oauth_needs_admin": "admin_policy_enforced org_internal consent_required"
    " 65001 65005 90093 90094 90095 90097 90099 50105 650052",
    "oauth_denied": "access_denied authorization_declined 65004",
    "oauth_redirect": "redirect_uri_mismatch 50011 500112 900971 700054",
    "oauth_interaction": "interaction_required login_required account_selection_required"
    " 50072 50074 50076 50078 50079 50097 50129 50005 50158 53000 53001 53003 530003",
    "oauth_other_account": "50020 50178 51004 16000",
    "oauth_account_missing": "50034",
    "oauth_expired": "invalid_grant 9002313 700081 700082 700084 700005 50089 50132 50133 50173 54005 70000 70002 70008"
    " 70043",
    # Microsoft's limits and faults come with words that would end a connection.
    "oauth_unreachable": "server_error temporarily_unavailable slow_down 90006 90033 90036 90051 50196 81001",
}
_KEY_OF = {code: key for key, codes in _KEYS.items() for code in codes.split()}


class OAuthFailure(Exception):
    """A provider that refused, or was not reached: ``key`` of the diagnosis, and ``facts`` that its sentence names.

    ``code`` is the provider's own word, ``switch`` what is off there, ``trace`` what its support looks a request up by,
    ``reason`` a word of ours.
    """

    def __init__(self, key: str, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.facts = dict(facts or {})


def failure_of(error: str, description: str = "", *, status: int = 0) -> OAuthFailure:
    """Return what ``error`` means (RFC 6749, 5.2). Of the description only Microsoft's number and trace are taken.

    Microsoft's number is more exact than the standard's word, which it often shares with others.
    """
    number, trace = _NUMBER.search(description), _TRACE.search(description)
    shown = f"AADSTS{number[1]}" if number else error if _CODE.fullmatch(error) else ""
    facts = {name: value for name, value in {"code": shown, "trace": trace[1] if trace else ""}.items() if value}
    key = (_KEY_OF.get(number[1]) if number else None) or _KEY_OF.get(error)
    if key is None and status:
        facts.setdefault("reason", f"http_{status}")
    if number and number[1] == _FLOWS_OFF:
        facts["switch"] = "public_flows"
    return OAuthFailure(key or "oauth_unreachable", facts)


_FLOWS_OFF = "7000218"  # Microsoft wants a secret of a client that has none: it is not registered as such a one


def facts_of(failure: OAuthFailure, client: Client) -> dict[str, str]:
    """Return what is told of a failure besides its key; ``parts`` are those of a registration that has no secret."""
    parts = {"parts": "public"} if client.public and failure.key == "oauth_client_wrong" else {}
    return {"provider": client.label, **parts, **failure.facts}


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in at the provider. ``subject`` names the account for good, ``addresses`` are what it is called."""

    subject: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave. ``refresh`` is ``None`` where none came: the old one goes on.

    ``scopes`` are those granted, ``None`` where they are what was asked for (RFC 6749, 5.1); ``refresh_expires_in`` is
    there where the provider says that the refresh token ends.
    """

    access: Secret
    expires_in: int
    scopes: tuple[str, ...] | None
    refresh: Secret | None = None
    refresh_expires_in: int | None = None
    id_token: Secret | None = None


def read_tokens(answer: Mapping[str, Any]) -> Tokens:
    """Return what the token endpoint gave (RFC 6749, 5.1). Raises :class:`OAuthFailure` where no token is in it."""
    access = answer.get("access_token")
    if not isinstance(access, str) or not access:
        raise OAuthFailure("oauth_unreachable", {"reason": "answer"})
    scope, refresh, identity = answer.get("scope"), answer.get("refresh_token"), answer.get("id_token")
    return Tokens(
        access=Secret(access),
        expires_in=_seconds(answer.get("expires_in")) or _DEFAULT_LIFE_S,
        scopes=tuple(scope.split()) if isinstance(scope, str) else None,
        refresh=Secret(refresh) if isinstance(refresh, str) and refresh else None,
        refresh_expires_in=_seconds(answer.get("refresh_token_expires_in")),
        id_token=Secret(identity) if isinstance(identity, str) and identity else None,
    )


class DeviceReply(StrEnum):
    """What a provider says of a code while it gives no tokens (RFC 8628, 3.5): not yet, slower, too late."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code that a person types at ``address`` (RFC 8628, 3.2), good for ``seconds``.

    ``device_code`` is what we ask with, not more often than every ``interval_s`` seconds; nobody is shown it.
    """

    device_code: Secret
    user_code: str
    address: str
    seconds: int
    interval_s: int


_LONGEST_CODE_S, _SLOWEST_S, _USUAL_S = 1800, 60, 5
_USER_CODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 -]{0,38}[A-Za-z0-9])?")


def read_code(answer: Mapping[str, Any]) -> DeviceCode:
    """Return what the device endpoint gave. Raises :class:`OAuthFailure` where a part is missing or no address."""
    device, shown = answer.get("device_code"), answer.get("user_code")
    # Microsoft and Google have called it ``verification_url`` before the standard did otherwise.
    address = str(answer.get("verification_uri") or answer.get("verification_url") or "")
    fits = isinstance(shown, str) and _USER_CODE.fullmatch(shown) and _is_link(address)
    if not fits or not isinstance(device, str) or not device:
        raise OAuthFailure("oauth_unreachable", {"reason": "answer"})
    return DeviceCode(
        device_code=Secret(device),
        user_code=str(shown),
        address=address,
        seconds=min(_seconds(answer.get("expires_in")) or _DEFAULT_LIFE_S, _LONGEST_CODE_S),
        interval_s=min(_seconds(answer.get("interval")) or _USUAL_S, _SLOWEST_S),
    )


def read_device_reply(error: str, description: str) -> DeviceReply | None:
    """Return what a refusal at the token endpoint says of a code; None where it is a refusal indeed."""
    number = _NUMBER.search(description)
    if error == "bad_verification_code" or (number and number[1] in _LATE_CODES):
        return DeviceReply.EXPIRED
    return DeviceReply(error) if error in {*DeviceReply} else None


_LATE_CODES = ("70018", "70019")  # Microsoft: the code is not known, or has run out


def _is_link(address: str) -> bool:
    """Whether an address may be shown as a link: https, and nothing that hides where it leads."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return (
        parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and address.isprintable()
    ) and not re.search(r"[\s\\<>\"'()\[\]]", address)


def find_token_faults(
    client: Client, document: Mapping[str, Any], claims: Mapping[str, Any], moment: float, nonce: str | None
) -> list[str]:
    """Return what is wrong with an ID token whose signature is right (OpenID Connect Core, 3.1.3.7), best first."""
    audience = claims.get("aud")
    audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    expires = claims.get("exp")
    faults = {
        "issuer": str(claims.get("iss", "")) != _expected_issuer(document, claims),
        "audience": client.client_id not in audiences or claims.get("azp", client.client_id) != client.client_id,
        "expired": not isinstance(expires, int | float) or expires < moment - _LEEWAY_S,
        # A code that is typed elsewhere has none: nothing comes back by a browser.
        "nonce": nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()),
        "subject": not claims.get("sub"),
    }
    return [reason for reason, is_so in faults.items() if is_so]


def _expected_issuer(document: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return who has to have issued a token. Microsoft's shared endpoints leave the tenant open; the token has it."""
    tenant = str(claims.get("tid", ""))
    place = tenant if re.fullmatch(r"[0-9a-fA-F-]{36}", tenant) else ""
    return str(document.get("issuer", "")).replace("{tenantid}", place)


def to_person(client: Client, claims: Mapping[str, Any]) -> Person:
    """Return who an ID token names."""
    names = ("email", "preferred_username", "upn")
    addresses = dict.fromkeys(str(claims[name]) for name in names if "@" in str(claims.get(name, "")))
    subject = str(claims["sub"])
    if client.provider is OAuthProvider.MICROSOFT and claims.get("oid"):
        # ``sub`` is another one for each client.
        subject = f"{claims['oid']}@{claims.get('tid', '')}"
    return Person(subject, tuple(each[:320] for each in addresses))


def ask_as_either(ask: Callable[[Secret | None], Any], secret: Secret | None) -> Any:
    """Ask with the client's secret; once more without, where Microsoft says that this client shows none.

    What was connected by a code belongs to a public client there, where the registration allows that flow.
    """
    try:
        return ask(secret)
    except OAuthFailure as failure:
        if secret is None or failure.facts.get("code") != _NO_SECRET:
            raise
        return ask(None)


_NO_SECRET = "AADSTS700025"  # noqa: S105


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a body that is one JSON object, else None."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def read_error(body: bytes) -> tuple[str, str]:
    """Return ``error`` and ``error_description`` of a refusal (RFC 6749, 5.2), each ``""`` where it is not there."""
    value = read_object(body) or {}
    return str(value.get("error", "")), str(value.get("error_description", ""))


def _seconds(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 10 * 366 * 86_400 else None
