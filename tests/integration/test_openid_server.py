"""The OpenID provider of the tests is a real one: what it gives signs in at real mail servers, and its rules hold."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from cgcore.mail.account import Security
from cgcore.mail.probe import probe
from cgcore.mail.request import ProbeRequest
from cgcore.mail.sign_in import AccessToken
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret
from tests.servers.asking import loopback
from tests.servers.certificates import Certificates
from tests.servers.dovecot import Dovecot
from tests.servers.openid import Fault, OpenIdProvider
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA

_VERIFIER = "v" * 43
_BACK = "http://localhost:8501/oauth/vuelta/custom"


def _consent(openid: OpenIdProvider, **clicks: Any) -> dict[str, list[str]]:
    """Return the query that comes back after a person has clicked."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest()).rstrip(b"=").decode()
    fields = {
        "response_type": "code", "client_id": openid.client_id, "redirect_uri": _BACK, "state": "e", "nonce": "n",
        "scope": " ".join(openid.scopes), "prompt": "consent", "code_challenge": challenge,
        "code_challenge_method": "S256", "login_hint": ANA,
    }  # fmt: skip
    back = openid.walk(f"{openid.url}/auth?{urlencode(fields)}", ANA, **clicks)
    assert back.startswith(_BACK)
    return parse_qs(urlsplit(back).query)


def _token(openid: OpenIdProvider, **fields: str) -> dict[str, Any]:
    own = {"client_id": openid.client_id, "client_secret": openid.client_secret}
    return dict(openid.http.post("/token", data=own | fields).json())


def _exchange(openid: OpenIdProvider, query: dict[str, list[str]]) -> dict[str, Any]:
    given = {"code": query["code"][0], "code_verifier": _VERIFIER, "redirect_uri": _BACK}
    return _token(openid, grant_type="authorization_code", **given)


def _sign_in(leg: Leg, port: int, token: str, certificates: Certificates) -> Step:
    security = Security.SSL if leg is Leg.IMAP else Security.STARTTLS
    credential = AccessToken(Secret(token))
    request = ProbeRequest(leg, "127.0.0.1", port, security, user=ANA, credential=credential)
    (step,) = [step for step in probe(request, loopback(certificates)) if step.stage is Stage.AUTH]
    return step


def test_a_consent_gives_a_token_that_both_mail_servers_take(
    openid: OpenIdProvider, openid_mail: tuple[Dovecot, Postfix], certificates: Certificates
) -> None:
    """Log-in, consent, code, PKCE, token; then IMAP and SMTP, and not once the token has run out."""
    dovecot, postfix = openid_mail
    query = _consent(openid)
    given = _exchange(openid, query)
    openid.order(seconds=-60)
    expired = _token(openid, grant_type="refresh_token", refresh_token=given["refresh_token"])

    assert query["iss"] == [openid.url]
    assert given["id_token"]
    assert "mail" in given["scope"].split()
    for leg, port in ((Leg.IMAP, dovecot.tls_port), (Leg.SMTP, postfix.submission_port)):
        step = _sign_in(leg, port, given["access_token"], certificates)
        assert (step.status, step.details["mechanism"]) == (Status.OK, "XOAUTH2")
        assert _sign_in(leg, port, expired["access_token"], certificates).key == "token_rejected"


def test_a_refresh_token_works_once_and_an_old_one_ends_the_family(openid: OpenIdProvider) -> None:
    """Each refresh gives a new one; who comes with the old one loses the new one too."""
    first = _exchange(openid, _consent(openid))
    second = _token(openid, grant_type="refresh_token", refresh_token=first["refresh_token"])
    reused = _token(openid, grant_type="refresh_token", refresh_token=first["refresh_token"])
    after = _token(openid, grant_type="refresh_token", refresh_token=second["refresh_token"])

    assert second["refresh_token"] != first["refresh_token"]
    assert (reused["error"], after["error"]) == ("invalid_grant", "invalid_grant")
    assert [entry["status"] for entry in openid.asked("/token")] == [200, 200, 400, 400]


@pytest.mark.parametrize(("clicks", "expected"), [({"mail": False}, ""), ({"cancel": True}, "access_denied")])
def test_a_person_may_leave_the_permission_off_or_refuse(
    openid: OpenIdProvider, clicks: dict[str, bool], expected: str
) -> None:
    """The answers of a real provider: a token without the permission, or an error in the address."""
    query = _consent(openid, **clicks)

    assert query.get("error", [""]) == [expected]
    if not expected:
        assert "mail" not in _exchange(openid, query)["scope"].split()


def test_faults_come_on_demand_and_end_with_the_test(openid: OpenIdProvider) -> None:
    """A path answers what it was told to, the others as ever."""
    openid.order(faults={"/token": Fault(400, {"error": "invalid_client"})})

    assert _token(openid, grant_type="refresh_token", refresh_token="x") == {"error": "invalid_client"}
    assert openid.http.get("/.well-known/openid-configuration").json()["issuer"] == openid.url
    openid.reset()
    assert _token(openid, grant_type="refresh_token", refresh_token="x")["error"] == "invalid_grant"
