"""The one door to OAuth2 providers: discovery, the way to log in, codes and refresh tokens for access tokens, the end.

Authlib (https://docs.authlib.org) builds and reads the messages, joserfc checks signatures; both load at first use.
What goes over the line goes by :mod:`cgcore.mail.https`. Every failure is an :class:`OAuthFailure` with a key of the
diagnosis; no token, code or secret stands in one.

Standards: RFC 6749, 7009, 7636, 8628, 9207, 9700; OpenID Connect Core and Discovery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, partial
from http.client import HTTPException
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

from cgcore.mail.https import RefusedRequest, exchange, may_be_plain
from cgcore.mail.oauth_answers import (
    DeviceCode,
    DeviceReply,
    OAuthFailure,
    Person,
    Tokens,
    ask_as_either,
    failure_of,
    find_token_faults,
    read_code,
    read_device_reply,
    read_error,
    read_object,
    read_tokens,
    to_person,
)
from cgcore.mail.oauth_client import Client, OAuthProvider
from cgcore.mail.request import ProbeEnvironment
from cgcore.vault.secret import Secret

__all__ = ["OAuthDoor"]

_SECONDS = 5.0
_DAY_S = 86_400.0
_CLOCK_OFF = timedelta(minutes=2)
_SIGNATURES = ("RS256", "PS256", "ES256", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "EdDSA")


class OAuthDoor:
    """Speaks with providers. Discovery documents and keys are kept for a day. Each call blocks for 5 s at most a hop.

    ``environment`` is the world it runs in, ``now`` the hour (for the end of an ID token), ``clock`` counts seconds.
    """

    def __init__(
        self,
        environment: Callable[[], ProbeEnvironment],
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment, self._now, self._clock = environment, now, clock
        self._documents: dict[str, tuple[float, dict[str, Any]]] = {}
        self._clocks_off: dict[str, timedelta] = {}
        self._lock = Lock()

    def discover(self, client: Client, *, fresh: bool = False) -> dict[str, Any]:
        """Return the provider's description of itself, at most a day old, or new with ``fresh``.

        Raises :class:`OAuthFailure` ``oauth_unreachable``, also for one that is somebody else's or not by https.
        """
        document = self._document(client.discovery_url, client, fresh=fresh)
        issuer = str(document.get("issuer", ""))
        if client.provider is OAuthProvider.CUSTOM and issuer.rstrip("/") != client.issuer.rstrip("/"):
            raise OAuthFailure("oauth_unreachable", {"reason": "issuer"})
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            url = str(document.get(name, ""))
            if urlsplit(url).scheme != "https" and not may_be_plain(url):
                raise OAuthFailure("oauth_unreachable", {"reason": "not_https"})
        return document

    def authorization_url(
        self, client: Client, *, redirect_uri: str, state: str, nonce: str, verifier: str, login_hint: str
    ) -> str:
        """Return where the browser goes to log in (RFC 6749, 4.1.1; PKCE with S256). Asks nobody but discovery."""
        document = self.discover(client)
        with self._session(client, None, redirect_uri=redirect_uri, code_challenge_method="S256") as session:
            url, _ = session.create_authorization_url(
                document["authorization_endpoint"],
                state=state,
                code_verifier=verifier,
                nonce=nonce,
                response_mode="query",
                **({"login_hint": login_hint} if login_hint else {}),
                **client.authorization_extra,
            )
        return str(url)

    def check_issuer(self, client: Client, issuer: str) -> None:
        """Compare the ``iss`` of an answer with the provider's (RFC 9207). Raises :class:`OAuthFailure`."""
        document = self.discover(client)
        required = document.get("authorization_response_iss_parameter_supported") is True
        if (issuer or required) and issuer != str(document.get("issuer", "")):
            raise OAuthFailure("oauth_id_token", {"reason": "issuer"})

    def redeem(
        self, client: Client, secret: Secret | None, *, redirect_uri: str, code: str, verifier: str, nonce: str
    ) -> tuple[Tokens, Person]:
        """Exchange a code for tokens, and return them with whoever signed in. Raises :class:`OAuthFailure`."""
        document = self.discover(client)
        with self._session(client, secret, document=document, redirect_uri=redirect_uri) as session:
            answer = _asked(
                lambda: session.fetch_token(
                    document["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=verifier
                )
            )
        tokens = read_tokens(answer)
        if tokens.id_token is None:
            raise OAuthFailure("oauth_id_token", {"reason": "missing"})
        return tokens, self._identify(client, document, tokens.id_token, nonce)

    def ask_code(self, client: Client, secret: Secret | None) -> DeviceCode:
        """Return a code that a person types at the provider (RFC 8628, 3.1). Raises :class:`OAuthFailure`.

        ``oauth_unreachable`` with the reason ``no_codes`` is one that knows no such way.
        """
        document = self.discover(client)
        endpoint = str(document.get("device_authorization_endpoint", ""))
        if urlsplit(endpoint).scheme != "https" and not may_be_plain(endpoint):
            raise OAuthFailure("oauth_unreachable", {"reason": "no_codes"})
        answer = self._post(client, secret, document, endpoint, {"scope": " ".join(client.scopes)})
        if answer.status_code != 200:
            raise failure_of(*read_error(answer.content), status=answer.status_code)
        return read_code(read_object(answer.content) or {})

    def redeem_code(
        self, client: Client, secret: Secret | None, device_code: Secret
    ) -> tuple[Tokens, Person] | DeviceReply:
        """Ask once whether a code was typed and agreed to (RFC 8628, 3.4). Raises :class:`OAuthFailure`."""
        document = self.discover(client)
        asked = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code.reveal()}
        answer = ask_as_either(lambda proof: self._poll(client, proof, document, asked), secret)
        if isinstance(answer, DeviceReply):
            return answer
        tokens = read_tokens(answer)
        if tokens.id_token is None:
            raise OAuthFailure("oauth_id_token", {"reason": "missing"})
        return tokens, self._identify(client, document, tokens.id_token, None)

    def refresh(self, client: Client, secret: Secret | None, token: Secret) -> Tokens:
        """Return new tokens for a refresh token; the scopes are sent along, Microsoft wants them.

        Raises :class:`OAuthFailure`: ``oauth_expired`` where the refresh token is good for nothing any more.
        """
        document = self.discover(client)

        def ask(proof: Secret | None) -> Any:
            with self._session(client, proof, document=document, scope=" ".join(client.scopes)) as session:
                return _asked(lambda: session.refresh_token(document["token_endpoint"], refresh_token=token.reveal()))

        tokens = read_tokens(ask_as_either(ask, secret))
        # The library fills in the old one where none came.
        return Tokens(
            tokens.access,
            tokens.expires_in,
            tokens.scopes,
            None if tokens.refresh is None or tokens.refresh == token else tokens.refresh,
            tokens.refresh_expires_in,
        )

    def revoke(self, client: Client, secret: Secret | None, token: Secret) -> bool:
        """Tell the provider that a refresh token is given up (RFC 7009); return whether it can be told, and was.

        Raises :class:`OAuthFailure` where it does not answer or says no.
        """
        document = self.discover(client)
        endpoint = str(document.get("revocation_endpoint", ""))
        if urlsplit(endpoint).scheme != "https" and not may_be_plain(endpoint):
            return False
        with self._session(client, secret, document=document) as session:
            answer = _asked(
                lambda: session.revoke_token(endpoint, token=token.reveal(), token_type_hint="refresh_token")  # noqa: S106
            )
        if answer.status_code >= 400:
            raise failure_of(*read_error(answer.content), status=answer.status_code)
        return True

    def check(self, client: Client, secret: Secret | None) -> None:
        """Prove a client: discovery is read anew, and a code that nobody was given is refused for its own sake.

        A provider looks at the client first, so ``invalid_grant`` says that it is known and its secret right.
        Raises :class:`OAuthFailure`, ``oauth_client_wrong`` where it is not, ``clock_wrong`` where all else is right.
        """
        document = self.discover(client, fresh=True)
        uri = "https://localhost/oauth/vuelta"
        with self._session(client, secret, document=document, redirect_uri=uri) as session:
            try:
                _asked(
                    lambda: session.fetch_token(
                        document["token_endpoint"],
                        grant_type="refresh_token",
                        refresh_token="cloud-gestion",  # noqa: S106
                    )
                )
            except OAuthFailure as failure:
                if failure.key != "oauth_expired":
                    raise
        if off := self.clock_off(client):
            raise OAuthFailure("clock_wrong", off)

    def clock_off(self, client: Client) -> dict[str, str]:
        """Return by how many minutes our clock was ``ahead`` or ``behind`` at the provider's last answer.

        Its ``Date`` says so (RFC 9110, 6.6.1). Empty where it was two minutes at most, or where no date is told.
        Nobody is asked.
        """
        with self._lock:
            off = self._clocks_off.get(client.discovery_url, timedelta())
        minutes = str(round(abs(off) / timedelta(minutes=1)))
        return {"ahead" if off > timedelta() else "behind": minutes} if abs(off) > _CLOCK_OFF else {}

    # ---- Parts

    def _poll(
        self, client: Client, secret: Secret | None, document: Mapping[str, Any], asked: Mapping[str, str]
    ) -> dict[str, Any] | DeviceReply:
        answer = self._post(client, secret, document, document["token_endpoint"], asked)
        if answer.status_code == 200:
            return read_object(answer.content) or {}
        error, description = read_error(answer.content)
        reply = read_device_reply(error, description)
        if reply is None:
            raise failure_of(error, description, status=answer.status_code)
        return reply

    def _post(
        self,
        client: Client,
        secret: Secret | None,
        document: Mapping[str, Any],
        url: str,
        form: Mapping[str, str],
    ) -> Any:
        """Send a form of a client's to an endpoint that the library has no call for; return the answer as it came."""
        with self._session(client, secret, document=document) as session:
            proof = session.client_auth(session.token_endpoint_auth_method)
            return _asked(lambda: session.request("POST", url, data=dict(form), withhold_token=True, auth=proof))

    def _identify(self, client: Client, document: Mapping[str, Any], token: Secret, nonce: str | None) -> Person:
        claims = self._verified(client, document, token)
        faults = find_token_faults(client, document, claims, self._now().timestamp(), nonce)
        if "expired" in faults and (off := self.clock_off(client)):
            raise OAuthFailure("clock_wrong", off)
        if faults:
            raise OAuthFailure("oauth_id_token", {"reason": faults[0]})
        return to_person(client, claims)

    def _verified(self, client: Client, document: Mapping[str, Any], token: Secret) -> dict[str, Any]:
        """Return the claims of an ID token whose signature is the provider's; its keys are asked for anew once."""
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        for fresh in (False, True):
            keys = self._document(str(document["jwks_uri"]), client, fresh=fresh)
            try:
                signing = [each for each in keys.get("keys", []) if each.get("use", "sig") == "sig"]
                key_set = KeySet.import_key_set(cast("Any", {"keys": signing}))
                return dict(jwt.decode(token.reveal(), key_set, algorithms=list(_SIGNATURES)).claims)
            except (JoseError, ValueError, TypeError, AttributeError, KeyError):
                continue
        raise OAuthFailure("oauth_id_token", {"reason": "signature"})

    def _document(self, url: str, client: Client, *, fresh: bool) -> dict[str, Any]:
        with self._lock:
            known = self._documents.get(url)
        if known is not None and not fresh and self._clock() - known[0] < _DAY_S:
            return known[1]
        answer = self._ask(client, "GET", url, {"Accept": "application/json"}, b"")
        document = read_object(answer.body) if answer.status == 200 else None
        if document is None:
            raise OAuthFailure("oauth_unreachable", {"reason": f"http_{answer.status}", "provider": client.label})
        with self._lock:
            self._documents[url] = (self._clock(), document)
        return document

    def _ask(self, client: Client, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Any:
        env = self._environment()
        try:
            answer = exchange(method, url, env, env.deadline(_SECONDS), headers=headers, body=body)
            if "age" not in answer.headers:  # a cache's answer has the date of its beginning
                self._note_clock(client, answer.headers.get("date", ""))
            return answer
        except RefusedRequest as refused:
            raise OAuthFailure("oauth_unreachable", {"reason": str(refused)}) from None
        except TimeoutError:
            raise OAuthFailure("oauth_unreachable", {"reason": "timeout"}) from None
        except (OSError, HTTPException, ValueError) as error:
            raise OAuthFailure("oauth_unreachable", {"reason": type(error).__name__}) from None

    def _note_clock(self, client: Client, date: str) -> None:
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:
            return
        if theirs.tzinfo is not None:
            with self._lock:
                self._clocks_off[client.discovery_url] = self._now() - theirs

    def _session(
        self, client: Client, secret: Secret | None, *, document: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        library = _load_library()
        method = _client_method(client, document or {}) if secret else "none"
        session = library.client(
            client_id=client.client_id,
            client_secret=secret.reveal() if secret else None,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            **{"scope": " ".join(client.scopes), **more},
        )
        session.trust_env = False
        adapter = library.adapter(partial(self._ask, client))
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session


@dataclass(frozen=True, slots=True)
class _Library:
    client: Any
    adapter: Callable[[Callable[..., Any]], Any]


@cache
def _load_library() -> _Library:
    """Import Authlib's client over requests, and give requests a line of ours."""
    from authlib.integrations.requests_client import OAuth2Session
    from requests import PreparedRequest, Response
    from requests.adapters import BaseAdapter

    class Adapter(BaseAdapter):
        def __init__(self, ask: Callable[..., Any]) -> None:
            super().__init__()
            self._ask = ask

        def send(self, request: PreparedRequest, *_arguments: Any, **_options: Any) -> Response:
            body = request.body or b""
            data = body.encode() if isinstance(body, str) else bytes(cast("bytes", body))
            answer = self._ask(request.method or "GET", request.url or "", dict(request.headers), data)
            if 300 <= answer.status < 400:
                raise OAuthFailure("oauth_unreachable", {"reason": "redirects"})
            response = Response()
            response.status_code, response.url, response.request = answer.status, request.url or "", request
            response.headers.update(answer.headers)
            response._content = answer.body  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
            return response

        def close(self) -> None:
            pass

    return _Library(OAuth2Session, Adapter)


def _client_method(client: Client, document: Mapping[str, Any]) -> str:
    """Return how a client proves itself: in the body where the provider takes that (RFC 8414: Basic by default)."""
    if client.provider is not OAuthProvider.CUSTOM:
        return "client_secret_post"
    offered = document.get("token_endpoint_auth_methods_supported")
    return (
        "client_secret_post" if isinstance(offered, list) and "client_secret_post" in offered else "client_secret_basic"
    )


def _asked(call: Callable[[], Any]) -> Any:
    """Return what a call of the library's returns; whatever it raises becomes an :class:`OAuthFailure`."""
    from authlib.common.errors import AuthlibBaseError
    from requests.exceptions import RequestException

    try:
        return call()
    except OAuthFailure:
        raise
    except AuthlibBaseError as error:
        raise failure_of(str(error.error or ""), str(error.description or "")) from None
    except RequestException as error:
        status = error.response.status_code if error.response is not None else 0
        raise OAuthFailure("oauth_unreachable", {"reason": f"http_{status}" if status else "answer"}) from None
    except (ValueError, TypeError, KeyError):
        # An answer that is no JSON, or not the one that the standard has.
        raise OAuthFailure("oauth_unreachable", {"reason": "answer"}) from None
