"""Signing in, both legs: which mechanism, in how many tries, and what goes over the wire of a token."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.diagnose import explain_reply
from cgcore.mail.probe import probe
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.mail.sign_in import AccessToken, Credential, Password
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Status, Step
from cgcore.vault.secret import Secret
from tests.servers.asking import PASSWORD, USER, loopback
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot, Layout
from tests.servers.fixtures import DovecotFactory
from tests.servers.leftout import leave_out
from tests.servers.postfix import Postfix, postfix_installed
from tests.servers.probing import ANA
from tests.servers.scripted import (
    CLOSE,
    IMAP_CASES,
    SMTP_CASES,
    ImapScript,
    ScriptedServer,
    SmtpScript,
    imap_server,
    smtp_server,
)

RIGHT = Password(Secret(PASSWORD))
TOKEN = "ya29.S3cr3t-token"


def _auth(steps: Sequence[Step]) -> Step:
    (step,) = [step for step in steps if step.stage is Stage.AUTH]
    return step


def _ask(leg: Leg, port: int, certificates: Certificates, credential: Credential, **more: Any) -> Step:
    request = ProbeRequest(leg, "127.0.0.1", port, Security.SSL, user=USER, credential=credential, **more)
    return _auth(list(probe(request, loopback(certificates))))


def _server(leg: Leg, script: SmtpScript | ImapScript, certificates: Certificates) -> ScriptedServer:
    make: Callable[..., ScriptedServer] = smtp_server if leg is Leg.SMTP else imap_server
    return make(script, certificates.trusted, implicit_tls=True)


def _script(leg: Leg, *mechanisms: str, **more: Any) -> SmtpScript | ImapScript:
    if leg is Leg.SMTP:
        return replace(SMTP_CASES["friendly"], extensions=("AUTH " + " ".join(mechanisms),), **more)
    names = ("IMAP4rev1", "UIDPLUS", "LOGINDISABLED", *(f"AUTH={name}" for name in mechanisms))
    return replace(IMAP_CASES["friendly"], capabilities=names, **more)


def _tries(server: ScriptedServer) -> list[bytes]:
    """Return the lines that began a sign-in, IMAP's without the tag."""
    lines = [line.partition(b" ")[2] if not line.upper().startswith(b"AUTH") else line for line in server.lines]
    return [line for line in lines if line.upper().startswith((b"AUTH", b"LOGIN "))]


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_a_password_signs_in_by_the_only_mechanism_offered(
    certificates: Certificates, leg: Leg, mechanism: str
) -> None:
    """Each of the three, on both legs; the password itself leaves only by those that need it."""
    with _server(leg, _script(leg, mechanism, "XOAUTH2"), certificates) as server:
        step = _ask(leg, server.port, certificates, RIGHT)

    assert (step.status, step.details["mechanism"]) == (Status.OK, mechanism)
    assert len(_tries(server)) == 1
    assert (base64.b64encode(PASSWORD.encode()) in b"\n".join(server.lines)) == (mechanism == "LOGIN")


@pytest.mark.parametrize("leg", Leg)
def test_login_gives_the_user_name_to_its_prompt(certificates: Certificates, leg: Leg) -> None:
    """The line of the command names the mechanism and nothing else."""
    with _server(leg, _script(leg, "LOGIN"), certificates) as server:
        step = _ask(leg, server.port, certificates, RIGHT)

    assert step.status is Status.OK
    assert _tries(server) == [b"AUTH LOGIN" if leg is Leg.SMTP else b"AUTHENTICATE LOGIN"]
    assert server.lines.count(base64.b64encode(USER.encode())) == 1


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("right", [True, False])
def test_a_plain_no_to_plain_leads_to_an_announced_login_and_no_further(
    certificates: Certificates, leg: Leg, right: bool
) -> None:
    """Some servers announce PLAIN and take only LOGIN; a wrong password costs two tries, and the first no is shown."""
    refusals = {"auth PLAIN": b"535 5.7.8 Authentication failed"} if leg is Leg.SMTP else {}
    script = _script(leg, "PLAIN", "LOGIN", "CRAM-MD5", replies=refusals)
    if isinstance(script, ImapScript):
        refusals = {"AUTHENTICATE": b"NO [AUTHENTICATIONFAILED] Authentication failed"}
        script = replace(script, capabilities=("IMAP4rev1", "AUTH=PLAIN", "AUTH=LOGIN"), replies=refusals)
    with _server(leg, script, certificates) as server:
        step = _ask(leg, server.port, certificates, RIGHT if right else Password(Secret("falsa")))

    assert (step.status, step.key) == ((Status.OK, "") if right else (Status.ERROR, "bad_credentials"))
    assert step.details["mechanism"] == ("LOGIN" if right else "PLAIN")
    assert len(_tries(server)) == 2


@pytest.mark.parametrize(
    "reply",
    [b"454 4.7.0 Too many login attempts", b"534 5.7.9 Application-specific password required", b"421 4.7.0 no"],
)
def test_only_a_plain_no_is_worth_a_second_try(certificates: Certificates, reply: bytes) -> None:
    """After words about the rate, the kind of password or the moment, LOGIN would be a wasted attempt."""
    script = _script(Leg.SMTP, "PLAIN", "LOGIN", replies={"auth": reply})
    with _server(Leg.SMTP, script, certificates) as server:
        step = _ask(Leg.SMTP, server.port, certificates, RIGHT)

    assert step.status is Status.ERROR
    assert len(_tries(server)) == 1


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_signs_in_and_stays_out_of_every_step(certificates: Certificates, leg: Leg, mechanism: str) -> None:
    """By the mechanism that is there, never in the line of the command; how long it was is all that is told."""
    script = _script(leg, "PLAIN", mechanism, tokens={USER: TOKEN})
    with _server(leg, script, certificates) as server:
        step = _ask(leg, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert (step.status, step.details["mechanism"]) == (Status.OK, mechanism)
    assert _tries(server) == [(b"AUTH " if leg is Leg.SMTP else b"AUTHENTICATE ") + mechanism.encode()]
    assert step.details["message_length"] > len(TOKEN)
    assert TOKEN not in repr(step)


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("sasl_ir", [True, False])
@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", b""), ("OAUTHBEARER", b"AQ==")])
def test_a_refused_token_is_answered_read_and_not_tried_again(
    certificates: Certificates, leg: Leg, sasl_ir: bool, mechanism: str, answer: bytes
) -> None:
    """The challenge gets its one answer, never «*», so that the verdict is the server's."""
    script = _script(leg, mechanism, tokens={USER: "another"})
    if isinstance(script, ImapScript) and sasl_ir:
        script = replace(script, capabilities=(*script.capabilities, "SASL-IR"))
    with _server(leg, script, certificates) as server:
        step = _ask(leg, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert (step.status, step.key) == (Status.ERROR, "token_rejected")
    assert step.details["refusal"]["status"] == "401"
    assert answer in server.lines
    assert b"*" not in server.lines
    assert len(_tries(server)) == 1
    assert "eyJ" not in repr(step)


@pytest.mark.parametrize("leg", Leg)
def test_a_mechanism_that_is_not_taken_gives_way_to_the_other_one(certificates: Certificates, leg: Leg) -> None:
    """Offered, and then not known: nothing was judged."""
    script = _script(leg, "XOAUTH2", "OAUTHBEARER", tokens={USER: TOKEN})
    refused = b"504 5.5.4 Unrecognised" if leg is Leg.SMTP else b"BAD Invalid SASL argument"
    script = replace(script, replies={"auth" if leg is Leg.SMTP else "AUTHENTICATE": refused})
    with _server(leg, script, certificates) as server:
        step = _ask(leg, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert step.status is Status.ERROR
    assert len(_tries(server)) == 2


@pytest.mark.parametrize(
    ("leg", "said", "key"),
    [
        (Leg.SMTP, b"535 5.7.3 Authentication unsuccessful [MAD01.EURPRD01.PROD.OUTLOOK.COM]", "token_rejected"),
        (
            Leg.SMTP,
            b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            "smtp_auth_disabled",
        ),
        (Leg.SMTP, b"454 4.7.0 Temporary authentication failure", "temporary_failure"),
        (
            Leg.SMTP,
            b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8 gsmtp",
            "token_rejected",
        ),
        (Leg.IMAP, b"NO AUTHENTICATE failed.", "token_rejected"),
        (Leg.IMAP, b"NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "token_rejected"),
        (Leg.IMAP, b"BAD User is authenticated but not connected.", "mailbox_not_connected"),
        (Leg.IMAP, b"NO [UNAVAILABLE] Temporary authentication failure.", "temporary_failure"),
    ],
)
def test_what_providers_say_to_a_token_is_told_apart(
    certificates: Certificates, leg: Leg, said: bytes, key: str
) -> None:
    """Exchange refuses without a challenge, Gmail in its words for passwords; all else keeps its own key."""
    stage = "auth" if leg is Leg.SMTP else "AUTHENTICATE"
    script = _script(leg, "XOAUTH2", tokens={USER: TOKEN}, replies={stage: said})
    with _server(leg, script, certificates) as server:
        step = _ask(leg, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert step.key == key
    assert TOKEN not in repr(step)


def test_a_session_that_ends_with_its_token_is_no_broken_line(certificates: Certificates) -> None:
    """Exchange ends it in the middle; to sign in again is the cure, not to look for a fault of the network."""
    bye = b"* BYE Session invalidated - AccessTokenExpired\r\n"
    script = _script(Leg.IMAP, "XOAUTH2", tokens={USER: TOKEN}, untagged={"LIST": bye}, replies={"LIST": CLOSE})
    with _server(Leg.IMAP, script, certificates) as server:
        request = ProbeRequest(
            Leg.IMAP, "127.0.0.1", server.port, Security.SSL, user=USER, credential=AccessToken(Secret(TOKEN))
        )
        steps = list(probe(request, loopback(certificates)))

    assert _auth(steps).status is Status.OK
    assert [step.key for step in steps if step.status is Status.ERROR] == ["token_rejected"]


@pytest.mark.parametrize(
    ("text", "key", "code"),
    [
        ("invalid_grant: AADSTS700082: The refresh token has expired due to inactivity.", "oauth_expired", "700082"),
        ("AADSTS7000222: The provided client secret keys for app 'a' are expired.", "oauth_client_wrong", "7000222"),
        ("AADSTS65001: The user or administrator has not consented to use it.", "oauth_needs_admin", "65001"),
    ],
)
def test_what_the_place_of_sign_in_says_is_explained_with_its_number(text: str, key: str, code: str) -> None:
    """The number is for the administrator, who looks it up."""
    found = explain_reply(text, provider="microsoft365")

    assert found.key == key
    assert found.fix.endswith(f"Código: AADSTS{code}.")


@pytest.mark.parametrize("leg", Leg)
def test_a_token_is_no_password(certificates: Certificates, leg: Leg) -> None:
    """Where only passwords are taken nothing of it leaves."""
    with _server(leg, _script(leg, "PLAIN", "LOGIN"), certificates) as server:
        step = _ask(leg, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert step.key == "auth_not_offered"
    assert not server.heard("AUTHENTICATE")
    assert not server.heard("AUTH PLAIN")


@pytest.mark.parametrize("token", ["a b", "a\r\nb", "a\1auth=Bearer x", "ñ", ""])
def test_a_token_that_cannot_be_one_is_refused_before_the_connection(certificates: Certificates, token: str) -> None:
    """A control character would end the field that it travels in (RFC 6749 §A.12)."""
    with _server(Leg.SMTP, _script(Leg.SMTP, "XOAUTH2"), certificates) as server:
        request = ProbeRequest(
            Leg.SMTP, "127.0.0.1", server.port, Security.SSL, user=USER, credential=AccessToken(Secret(token))
        )
        *_, last = probe(request, loopback(certificates))

    assert (last.stage, last.key, last.field) == ("input", "invalid_input", "password")
    assert server.connections == 0


def test_a_server_that_never_stops_asking_is_left(certificates: Certificates) -> None:
    """Challenge after challenge: some, and then no more."""
    script = SmtpScript(extensions=("AUTH XOAUTH2",), replies={"auth": b"334 YWdhaW4=\r\n" * 19 + b"334 YWdhaW4="})
    with _server(Leg.SMTP, script, certificates) as server:
        step = _ask(Leg.SMTP, server.port, certificates, AccessToken(Secret(TOKEN)))

    assert step.status is Status.ERROR
    assert sum(line == b"" for line in server.lines) <= 4


# ---- Real servers


@pytest.fixture(scope="module")
def tokens(certificates: Certificates, dovecot_with: DovecotFactory) -> Dovecot:
    """A Dovecot that takes tokens of its issuer besides passwords."""
    return dovecot_with(certificates.trusted, Layout(mechanisms="plain login xoauth2 oauthbearer"))


def _real(leg: Leg, port: int, env: ProbeEnvironment, credential: Credential, user: str = ANA) -> list[Step]:
    request = ProbeRequest(leg, "localhost", port, Security.SSL, user=user, credential=credential)
    return list(probe(request, env))


@pytest.fixture(scope="module")
def ports(tokens: Dovecot) -> Iterator[dict[Leg, int]]:
    """The TLS ports of Dovecot and of a Postfix that asks it (SASL)."""
    if not postfix_installed():
        leave_out("postfix (or the right to run it: it starts as root)")
    with Postfix(tokens) as postfix:
        yield {Leg.SMTP: postfix.tls_port, Leg.IMAP: tokens.tls_port}


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("size", [0, 3_000, 5_400])
def test_real_servers_take_a_signed_token(
    certificates: Certificates, tokens: Dovecot, ports: dict[Leg, int], leg: Leg, size: int
) -> None:
    """Dovecot checks it by itself, Postfix asks Dovecot; 3 KB are no line too long, nor are 6 KB, the most it takes."""
    token = tokens.issuer.sign(ANA, size=size)
    steps = _real(leg, ports[leg], loopback(certificates), AccessToken(Secret(token)))

    assert (_auth(steps).status, _auth(steps).details["mechanism"]) == (Status.OK, "XOAUTH2")
    assert not any(step.status is Status.ERROR for step in steps)
    assert token[:40] not in repr(steps)


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("fault", ["expired", "scope", "user", "issuer"])
def test_real_servers_refuse_a_token_and_say_so_themselves(
    certificates: Certificates, tokens: Dovecot, ports: dict[Leg, int], leg: Leg, fault: str
) -> None:
    """Expired, of another scope, user or issuer: one key, their own last words, and nothing about cancelling."""
    claims = {"expired": {"seconds": -10}, "scope": {"scope": "other"}, "issuer": {"iss": "https://otro.example/"}}
    owner = "vacia@example.com" if fault == "user" else ANA
    token = tokens.issuer.sign(owner, **claims.get(fault, {}))
    steps = _real(leg, ports[leg], loopback(certificates), AccessToken(Secret(token)))

    assert _auth(steps).key == "token_rejected"
    assert _auth(steps).details["refusal"]["status"] in ("401", "400", "invalid_token")
    assert "abort" not in _auth(steps).reply.lower()
    assert _auth(steps).reply.startswith("535 5.7.8" if leg is Leg.SMTP else "NO [AUTHENTICATIONFAILED]")


def test_a_password_still_signs_in_where_tokens_are_taken_too(
    certificates: Certificates, ports: dict[Leg, int]
) -> None:
    """PLAIN is taken, whatever stands beside it."""
    for leg, port in ports.items():
        step = _auth(_real(leg, port, loopback(certificates), Password(Secret(USERS[ANA]))))

        assert (step.status, step.details["mechanism"]) == (Status.OK, "PLAIN")


@pytest.mark.parametrize("mechanisms", ["cram-md5", "oauthbearer"])
def test_a_real_dovecot_with_one_mechanism_takes_it(
    certificates: Certificates, dovecot_with: DovecotFactory, mechanisms: str
) -> None:
    """Only CRAM-MD5, or only OAUTHBEARER."""
    server = dovecot_with(certificates.trusted, Layout(mechanisms=mechanisms))
    secret = USERS[ANA] if mechanisms == "cram-md5" else server.issuer.sign(ANA)
    credential = Password(Secret(secret)) if mechanisms == "cram-md5" else AccessToken(Secret(secret))
    step = _auth(_real(Leg.IMAP, server.tls_port, loopback(certificates), credential))

    assert (step.status, step.details["mechanism"]) == (Status.OK, mechanisms.upper())
