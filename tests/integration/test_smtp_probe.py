"""The SMTP probe against servers that answer as scripted."""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator
from dataclasses import replace

import pytest

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.texts import build_verdict, verdict_texts
from cgcore.mail.probe import probe_smtp
from cgcore.mail.providers import list_providers
from cgcore.mail.request import Choice
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import Status
from cgcore.vault.secret import Secret
from tests.servers.asking import PASSWORD, USER, ask_smtp, loopback, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.scripted import SMTP_CASES, SmtpScript, smtp_server
from tests.servers.wire import ScriptedServer, Wire

BEFORE_TLS = ["input", "dns", "tcp", "greeting", "ehlo"]
AFTER_TLS = ["auth", "mail_from", "rcpt_to", "quit"]


def test_starttls_passes_every_stage_and_sends_nothing(certificates: Certificates) -> None:
    """The connection test ends after RCPT TO with RSET and QUIT."""
    with smtp_server("friendly", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "ok"
    assert answer.stages == [*BEFORE_TLS, "starttls", "tls", "ehlo_tls", *AFTER_TLS]
    assert [line.upper() for line in server.lines[-2:]] == [b"RSET", b"QUIT"]
    assert server.messages == []
    assert not any(line.startswith(b"AUTH") for line in server.plain_lines)


def test_ssl_puts_tls_before_the_greeting_and_has_no_starttls(certificates: Certificates) -> None:
    """With TLS from the first byte there is nothing to upgrade."""
    with smtp_server("friendly", certificates.trusted, implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))

    assert answer.key == "ok"
    assert answer.stages == ["input", "dns", "tcp", "tls", "greeting", "ehlo", *AFTER_TLS]
    assert server.plain_lines == []


def test_no_security_signs_in_in_clear_because_it_was_chosen(certificates: Certificates) -> None:
    """«Ninguna» is allowed; the page warns."""
    with smtp_server("friendly") as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.key == "ok"
    assert answer.stages == [*BEFORE_TLS, *AFTER_TLS]
    assert "tls" not in answer.stages


def test_the_steps_carry_what_the_page_shows(certificates: Certificates) -> None:
    """TLS version, certificate card, capabilities, size limit, mechanism, addresses."""
    with smtp_server("friendly", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))
    card = answer.step("tls").details["certificate"]

    assert answer.step("tls").details["version"].startswith("TLSv1.")
    assert card["sha256"] == certificates.trusted.sha256
    assert "mail.test" in card["names"]
    assert set(card) == {"sha256", "names", "issuer", "not_before", "not_after", "chain"}
    assert card["chain"] == "trusted"
    assert "AUTH PLAIN LOGIN" in answer.step("ehlo_tls").details["capabilities"]
    assert answer.step("ehlo_tls").details["size_limit"] == 10485760
    assert answer.step("auth").details["mechanism"] == "PLAIN"
    assert answer.step("dns").details == {"a": ["127.0.0.1"], "aaaa": []}


def test_without_a_user_nobody_signs_in_and_without_a_sender_nothing_is_addressed(certificates: Certificates) -> None:
    """No auth step at all; the two address steps are skipped."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, user="", credential=None)
        answer = ask_smtp(request, loopback(certificates))

    assert answer.key == "ok"
    assert "auth" not in answer.stages
    assert answer.step("mail_from").status is Status.SKIPPED
    assert answer.step("rcpt_to").status is Status.SKIPPED
    assert not server.heard("MAIL FROM")


def test_sender_and_recipient_default_to_the_user(certificates: Certificates) -> None:
    """MAIL FROM is a real address, never empty (Yandex refuses that)."""
    with smtp_server("friendly", certificates.trusted) as server:
        ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert any(line.upper() == b"MAIL FROM:<ANA@EXAMPLE.COM>" for line in server.lines)
    assert any(line.upper() == b"RCPT TO:<ANA@EXAMPLE.COM>" for line in server.lines)


def test_a_user_that_is_no_address_is_no_sender(certificates: Certificates) -> None:
    """«apikey» signs in; the sender must be given."""
    script = replace(SMTP_CASES["friendly"], users={"apikey": PASSWORD})
    with smtp_server(script, certificates.trusted) as server:
        bare = ask_smtp(smtp_request(server.port, Security.STARTTLS, user="apikey"), loopback(certificates))
        given = ask_smtp(
            smtp_request(server.port, Security.STARTTLS, user="apikey", mail_from="ana@example.com"),
            loopback(certificates),
        )

    assert bare.key == given.key == "ok"
    assert bare.step("mail_from").status is Status.SKIPPED
    assert given.step("rcpt_to").details["recipient"] == "ana@example.com"


def test_a_wrong_password_is_tried_once_and_named_as_such(certificates: Certificates) -> None:
    """One click is one failed log-in where PLAIN alone is offered, and the password is in no step."""
    script = replace(SMTP_CASES["friendly"], extensions=("AUTH PLAIN CRAM-MD5",))
    with smtp_server(script, certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, credential=Password(Secret("S3cr3t-ñ-falsa")))
        answer = ask_smtp(request, loopback(certificates))

    assert answer.key == "bad_credentials"
    assert answer.last.stage == "auth"
    assert sum(line.startswith(b"AUTH") for line in server.lines) == 1
    assert "S3cr3t" not in answer.text


@pytest.mark.parametrize(
    "password", ["contraseña€", 'con "comillas" y \\', " delante", "abcd efgh ijkl mnop", "%00'--"]
)
def test_odd_passwords_arrive_as_they_are(certificates: Certificates, password: str) -> None:
    """UTF-8, quotes, backslashes and blanks reach the server untouched and stay out of the steps."""
    script = replace(SMTP_CASES["friendly"], users={"josé@example.com": password})
    with smtp_server(script, certificates.trusted) as server:
        request = smtp_request(
            server.port, Security.STARTTLS, user="josé@example.com", credential=Password(Secret(password))
        )
        answer = ask_smtp(replace(request, mail_from="ana@example.com"), loopback(certificates))

    assert answer.step("auth").status is Status.OK
    assert password not in answer.text


def test_login_is_used_where_plain_is_not_offered(certificates: Certificates) -> None:
    """Exchange offers only LOGIN."""
    with smtp_server("login_only", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "ok"
    assert answer.step("auth").details["mechanism"] == "LOGIN"


def test_a_refused_mechanism_gives_way_to_the_other_one(certificates: Certificates) -> None:
    """504 says nothing about the password: LOGIN is the second and last try."""
    script = SmtpScript(replies={"auth": b"504 5.5.4 Unrecognised"})
    with smtp_server(script, certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.last.stage == "auth"
    assert [line.split()[1] for line in server.lines if line.startswith(b"AUTH")] == [b"PLAIN", b"LOGIN"]


def test_only_oauth_offered_is_said_without_sending_the_password(certificates: Certificates) -> None:
    """There is nothing that a password could be used for."""
    with smtp_server("oauth_only", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "oauth_only"
    assert not server.heard("AUTH")


def test_no_sign_in_offered_is_no_wrong_password(certificates: Certificates) -> None:
    """The last code was 250, and it is not an authentication error."""
    with smtp_server("no_auth", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "auth_not_offered"
    assert not server.heard("AUTH")


def test_sign_in_only_inside_tls_proposes_starttls_once_it_worked(certificates: Certificates) -> None:
    """Security «Ninguna» on 587: the cure is proven, the password stays here."""
    with smtp_server("auth_only_in_tls", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.key == "encryption_required"
    assert answer.patch == {"security": "starttls"}
    assert not server.heard("AUTH")


def test_an_unproven_cure_is_not_offered(certificates: Certificates) -> None:
    """STARTTLS is announced, but its certificate is bad: no patch leads there."""
    with smtp_server("auth_only_in_tls", certificates.expired) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.key == "encryption_required"
    assert answer.patch == {}


def test_greylisting_is_a_warning_because_the_account_works(certificates: Certificates) -> None:
    """The probe goes on to its end, and the verdict names the warning."""
    with smtp_server("greylisting", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "greylisted"
    assert answer.step("rcpt_to").status is Status.WARNING
    assert answer.last.stage == "quit"


@pytest.mark.parametrize("code", [b"500", b"501", b"502 5.5.1", b"503 5.5.1", b"504", b"550 5.7.1", b"554"])
def test_ehlo_refused_falls_back_to_helo(certificates: Certificates, code: bytes) -> None:
    """A server without extensions can still be talked to, just not signed in at."""
    script = SmtpScript(replies={"ehlo": code + b" no EHLO here"})
    with smtp_server(script) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE, user="", credential=None), loopback(certificates))

    assert answer.key == "ok"
    assert server.heard("helo")


def test_helo_is_no_way_round_a_sign_in(certificates: Certificates) -> None:
    """Where somebody has to sign in the refusal of EHLO is the end."""
    with smtp_server(SmtpScript(replies={"ehlo": b"503 5.5.1 no EHLO here"})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.last.stage == "ehlo"
    assert not server.heard("helo")


def test_a_limit_below_any_mail_is_told_in_bytes(certificates: Certificates) -> None:
    """«1e-06 MB» is no size."""
    script = SmtpScript(extensions=("SIZE 1", "AUTH PLAIN"), replies={"mail_from": b"552 5.3.4 Message too big"})
    with smtp_server(script, certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))
    title = verdict_texts(build_verdict(answer.steps, total_ms=0))[0]

    assert answer.key == "message_too_big"
    assert title == "El mensaje es demasiado grande (máximo 1 byte)"


def test_an_address_with_spanish_letters_needs_the_servers_consent(certificates: Certificates) -> None:
    """Without SMTPUTF8 the address is named and nothing of it is sent; with it the command carries the keyword."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, mail_from="peña@example.com")
        refused = ask_smtp(request, loopback(certificates))
    offering = SmtpScript(extensions=("SMTPUTF8", "8BITMIME", "AUTH PLAIN"))
    with smtp_server(offering, certificates.trusted) as willing:
        request = smtp_request(willing.port, Security.STARTTLS, mail_from="peña@example.com")
        accepted = ask_smtp(request, loopback(certificates))

    assert refused.key == "smtputf8_required"
    assert refused.last.field == "sender"
    assert not server.heard("MAIL")
    assert accepted.key == "ok"
    assert willing.heard("SMTPUTF8")


def test_a_domain_with_spanish_letters_travels_in_ascii(certificates: Certificates) -> None:
    """Every server understands it."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, mail_from="ana@peña.es")
        answer = ask_smtp(request, loopback(certificates))

    assert answer.key == "ok"
    assert server.heard("ana@xn--pea-8ma.es")


def test_closing_the_generator_closes_the_socket(certificates: Certificates) -> None:
    """Somebody who looks away leaves no connection behind."""
    left = threading.Event()

    def script(wire: Wire) -> None:
        try:
            SmtpScript()(wire)
        finally:
            left.set()

    with ScriptedServer(script) as server:
        steps = probe_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))
        assert isinstance(steps, Generator)
        while next(steps).stage != "auth":
            pass
        steps.close()
        gone = left.wait(timeout=10)

    assert gone
    assert not server.heard("MAIL")


def test_a_working_port_next_door_is_proposed_when_this_one_is_closed(certificates: Certificates) -> None:
    """The patch holds port and security together, and only what answered with trusted TLS."""
    with (
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as server,
        smtp_server("friendly", certificates.expired) as broken,
    ):
        neighbours = {Leg.SMTP: (Choice(broken.port, Security.STARTTLS), Choice(server.port, Security.SSL))}
        answer = ask_smtp(smtp_request(1, Security.STARTTLS), loopback(certificates, neighbours=neighbours))

    assert answer.key == "port_closed"
    assert answer.patch == {"port": server.port, "security": "ssl"}
    assert answer.last.details["working_ports"] == [server.port]
    assert not server.heard("AUTH")


def test_a_demand_for_encryption_at_mail_from_brings_the_proven_cure(certificates: Certificates) -> None:
    """530 at MAIL FROM in clear: STARTTLS on this port was tried and works."""
    script = SmtpScript(replies={"mail_from": b"530 5.7.0 Must issue a STARTTLS command first"})
    with smtp_server(script, certificates.trusted) as server:
        request = smtp_request(server.port, Security.NONE, user="", credential=None, mail_from="ana@example.com")
        answer = ask_smtp(request, loopback(certificates))

    assert (answer.last.stage, answer.key) == ("mail_from", "encryption_required")
    assert answer.patch == {"security": "starttls"}


def test_the_other_form_of_the_user_name_is_tried_once_where_the_provider_is_known_for_it(
    certificates: Certificates,
) -> None:
    """Two log-ins at most; the form that worked is a patch, and the step stays an error."""
    provider = next(found for found in list_providers() if found.username_form == "local_part")
    script = replace(SMTP_CASES["friendly"], extensions=("AUTH PLAIN",), users={"ana": PASSWORD})
    with smtp_server(script, certificates.trusted) as server:
        known = ask_smtp(smtp_request(server.port, Security.STARTTLS, provider=provider.id), loopback(certificates))
        tries = sum(line.startswith(b"AUTH") for line in server.lines)
        unknown = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert known.patch == {"user": "ana"}
    assert known.step("auth").status is Status.ERROR
    assert tries == 2
    assert unknown.patch == {}
    assert sum(line.startswith(b"AUTH") for line in server.lines) == 3


@pytest.mark.parametrize("reply", [b"454 4.7.0 Too many login attempts, try later", b"421 4.7.0 Too many failures"])
def test_after_a_reply_about_the_rate_nothing_more_is_tried(certificates: Certificates, reply: bytes) -> None:
    """One more try would lock the account."""
    provider = next(found for found in list_providers() if found.username_form == "local_part")
    with smtp_server(SmtpScript(replies={"auth": reply}), certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS, provider=provider.id), loopback(certificates))

    assert answer.last.stage == "auth"
    assert answer.key == "too_many_attempts"
    assert sum(line.startswith(b"AUTH") for line in server.lines) == 1


def test_a_password_that_is_no_text_is_explained(certificates: Certificates) -> None:
    """Bytes that are no UTF-8 reach us as lone surrogates: no exception, and nothing of them is shown."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, credential=Password(Secret("S3cr3t\udcff")))
        answer = ask_smtp(request, loopback(certificates))

    assert (answer.last.stage, answer.key) == ("auth", "credentials_charset")
    assert "S3cr3t" not in answer.text
    assert not server.heard("AUTH")


@pytest.mark.parametrize(
    ("password", "code", "hint"),
    [
        ("abcd efgh ijkl mnop", "password_groups", "grupos de cuatro"),
        (" delante", "password_outer_spaces", "espacio"),
        ("con\u00a0blanco", "password_invisible", "invisibles"),
        ("contraseña€", "password_letters", "letras como ñ"),
        ("con espacio normal", "", ""),
        ("lisa", "", ""),
    ],
)
def test_blanks_and_letters_in_a_refused_password_are_pointed_out(
    certificates: Certificates, password: str, code: str, hint: str
) -> None:
    """They are sent as typed, once; only the refusal makes them worth a word, which holds nothing of the password."""
    script = replace(SMTP_CASES["friendly"], extensions=("AUTH PLAIN",))
    with smtp_server(script, certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, credential=Password(Secret(password)))
        answer = ask_smtp(request, loopback(certificates))
    _title, fix = verdict_texts(build_verdict(answer.steps, total_ms=0))

    assert answer.key == "bad_credentials"
    assert answer.last.details.get("hint", "") == code
    assert hint in fix
    assert fix.endswith("webmail.") is not bool(code)
    assert password not in answer.text + fix
    assert server.heard(base64.b64encode(f"\0{USER}\0{password}".encode()))
    assert sum(line.startswith(b"AUTH") for line in server.lines) == 1
