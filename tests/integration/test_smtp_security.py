"""SMTP and TLS: wrong modes, bad certificates, and the attacks of the NO STARTTLS study."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from cgcore.mail.account import Security
from cgcore.mail.connection import Connection
from cgcore.mail.diagnosis.texts import build_verdict, verdict_texts
from cgcore.mail.network.policy import TrustedTarget
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.network.tls import handshake_key
from cgcore.mail.request import Choice
from cgcore.mail.steps import Leg
from tests.servers.asking import PASSWORD, USER, ask_smtp, loopback, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.scripted import SmtpScript, imap_server, obsolete_tls_context, smtp_server
from tests.servers.wire import ScriptedServer


def test_ssl_on_a_starttls_port_is_told_with_the_proven_cure(certificates: Certificates) -> None:
    """SSL on 587: the server answers in clear, and STARTTLS there has just worked."""
    with smtp_server("friendly", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))

    assert answer.key == "ssl_on_starttls_port"
    assert answer.last.stage == "tls"
    assert answer.patch == {"security": "starttls"}
    assert not server.heard("AUTH")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.NONE])
def test_plain_talk_on_an_ssl_port_is_told_within_the_patience(certificates: Certificates, security: Security) -> None:
    """TLS or Ninguna on 465: silence, then a ClientHello is answered."""
    with smtp_server("friendly", certificates.trusted, implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, security, timeout=4.0), loopback(certificates))

    assert answer.key == "starttls_on_ssl_port"
    assert answer.last.stage == "greeting"
    assert answer.last.ms < 4000
    assert answer.patch == {"security": "ssl"}
    assert server.lines == []


@pytest.mark.parametrize("case", ["starttls_stripped", "starttls_502", "starttls_454", "starttls_354", "D_1"])
def test_starttls_stripped_or_refused_never_falls_back_to_plain(certificates: Certificates, case: str) -> None:
    """Whatever stands between the server and us: no credential leaves, no address either."""
    with smtp_server(case, certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "starttls_not_offered"
    assert answer.last.stage == "starttls"
    assert not server.heard("AUTH")
    assert not server.heard("MAIL")


@pytest.mark.parametrize("case", ["starttls_stripped", "D_1"])
def test_what_was_not_announced_is_not_asked_for(certificates: Certificates, case: str) -> None:
    """A server that does not offer STARTTLS hears nothing of it."""
    with smtp_server(case, certificates.trusted) as server:
        ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert not server.heard("STARTTLS")


def test_bytes_looked_at_in_clear_are_gone_after_the_handshake(certificates: Certificates) -> None:
    """The channel itself forgets what was put back, whoever forgets to drop a reader."""
    with smtp_server("friendly", certificates.trusted, implicit_tls=True) as server:
        env = loopback(certificates)
        with Connection(smtp_request(server.port, Security.NONE), env) as connection:
            list(connection.open())
            assert connection.channel is not None
            connection.channel.unread(b"220 injected\r\n")
            step = connection.secure()
            first = connection.channel.read_line()

    assert step.key == ""
    assert first == b"220 mail.test ESMTP ready\r\n"


def test_a_neighbour_that_is_no_smtp_server_is_no_cure(certificates: Certificates) -> None:
    """It speaks TLS with a good certificate, but another protocol inside."""
    with (
        smtp_server("starttls_stripped") as server,
        imap_server("friendly", certificates.trusted, implicit_tls=True) as other,
    ):
        env = loopback(certificates, neighbours={Leg.SMTP: (Choice(other.port, Security.SSL),)})
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), env)

    assert answer.key == "starttls_not_offered"
    assert answer.patch == {}


def test_a_missing_starttls_proposes_the_ssl_port_that_works(certificates: Certificates) -> None:
    """The neighbouring port was tried, without credentials."""
    with (
        smtp_server("starttls_stripped") as server,
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as other,
    ):
        env = loopback(certificates, neighbours={Leg.SMTP: (Choice(other.port, Security.SSL),)})
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), env)

    assert answer.patch == {"port": other.port, "security": "ssl"}
    assert not other.heard(USER)


def test_replies_injected_before_tls_are_not_used_after_it(certificates: Certificates) -> None:
    """B_1: what came in the segment of the STARTTLS reply is dropped; EHLO is asked again."""
    with smtp_server("B_1", certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "ok"
    assert "INJECTED" not in answer.text
    assert sum(line.upper().startswith(b"EHLO") for line in server.lines) == 2


def test_no_word_spoken_before_tls_is_shown(certificates: Certificates) -> None:
    """Anybody on the way could have written it: only the numbers are kept."""
    script = SmtpScript(greeting=b"220 Call 900-123-123 to unlock your mailbox", extensions=("AUTH PLAIN", "X-EVIL"))
    with smtp_server(script, certificates.trusted) as server:
        fine = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))
    refusing = SmtpScript(greeting=b"554 5.7.1 Call 900-123-123 to unlock your mailbox")
    with smtp_server(refusing, certificates.trusted) as server:
        refused = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert fine.key == "ok"
    assert fine.step("greeting").reply == "220"
    assert "900-123-123" not in fine.text + refused.text
    assert refused.last.reply == "554 5.7.1"


@pytest.mark.parametrize("security", [Security.SSL, Security.STARTTLS])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("self_signed", "cert_self_signed"),
        ("expired_self_signed", "cert_self_signed"),
        ("expired", "cert_expired"),
        ("wrong_name", "cert_wrong_name"),
        ("unknown_root", "cert_untrusted_chain"),
        ("intercepted", "tls_intercepted"),
        ("missing_intermediate", "cert_untrusted_chain"),
        ("expired_issuer", "cert_expired"),
        ("not_yet_valid", "cert_not_yet_valid"),
    ],
)
def test_a_bad_certificate_stops_before_any_credential_and_is_shown(
    certificates: Certificates, security: Security, name: str, key: str
) -> None:
    """T_1 to T_4 and more: each fault has its own key, and the card that was read says why."""
    certificate = getattr(certificates, name)
    with smtp_server("friendly", certificate, implicit_tls=security is Security.SSL) as server:
        answer = ask_smtp(smtp_request(server.port, security), loopback(certificates))

    assert answer.key == key
    assert answer.last.details["certificate"]["sha256"] == certificate.sha256
    assert answer.patch == {}
    assert not server.heard("AUTH")
    assert not server.heard(USER)


def test_a_certificate_for_another_name_of_the_same_server_is_proposed(certificates: Certificates) -> None:
    """The name resolves to the same address and its handshake works: only then it is a cure."""

    def resolver(host: str, deadline: Deadline) -> list[str]:
        del deadline
        return ["127.0.0.1"] if host in ("alias.test", "mail.test") else []

    with smtp_server("friendly", certificates.trusted) as server:
        env = loopback(certificates, resolver=resolver)
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS, host="alias.test"), env)

    assert answer.key == "cert_wrong_name"
    assert answer.patch == {"host": "mail.test"}
    assert not server.heard("AUTH")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_explained_and_never_accepted(certificates: Certificates) -> None:
    """The minimum stays TLS 1.2."""
    context = obsolete_tls_context(certificates.trusted)
    with ScriptedServer(SmtpScript(), context=context, implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))

    assert answer.key == "tls_obsolete"
    assert server.lines == []


def test_without_the_authority_the_same_certificate_is_refused(certificates: Certificates) -> None:
    """Trust comes from the file that is named, and from nowhere else."""
    with smtp_server("friendly", certificates.trusted, implicit_tls=True) as server:
        env = loopback(certificates)
        stranger = ask_smtp(smtp_request(server.port, Security.SSL), type(env)(allowed_networks=env.allowed_networks))

    assert stranger.key == "cert_untrusted_chain"
    assert not server.heard(USER)


def test_the_authority_of_a_trusted_target_counts_for_it_alone(certificates: Certificates) -> None:
    """The test mailbox is reached and trusted without any setting; another port is not even connected to."""
    with (
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as mailbox,
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as other,
    ):
        targets = (TrustedTarget("127.0.0.1", mailbox.port, str(certificates.ca_file)),)
        env = type(loopback(certificates))(trusted_targets=targets)
        inside = ask_smtp(smtp_request(mailbox.port, Security.SSL), env)
        outside = ask_smtp(smtp_request(other.port, Security.SSL), env)

    assert inside.key == "ok"
    assert outside.key == "forbidden_target"
    assert other.connections == 0


def test_credentials_need_tls_even_if_a_stage_were_skipped(certificates: Certificates) -> None:
    """The last lock before AUTH: an encrypted mode on a plain socket sends nothing."""
    from cgcore.mail.sign_in import SignIn
    from cgcore.mail.smtp.client import SmtpClient
    from cgcore.mail.steps import Stage

    with smtp_server("friendly") as server:
        plain = smtp_request(server.port, Security.NONE)
        with Connection(plain, loopback(certificates)) as connection:
            list(connection.open())
            assert connection.channel is not None
            client = SmtpClient(connection.channel, "[127.0.0.1]")
            client.read_reply()
            client.hello("[127.0.0.1]")
            connection.request = smtp_request(server.port, Security.STARTTLS)
            step = SignIn(connection, client).run(connection.trace.begin(Stage.AUTH))

    assert step.key == "encryption_required"
    assert not server.heard("AUTH")
    assert PASSWORD not in repr(step)


def test_a_server_that_takes_nobody_just_now_is_not_blamed_for_its_encryption(certificates: Certificates) -> None:
    """421 in place of the consent to STARTTLS: later, not another port; and no password in clear either way."""
    script = SmtpScript(replies={"starttls": b"421 4.3.2 Shutting down, try again later"})
    with smtp_server(script, certificates.trusted) as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("starttls", "temporary_failure")
    assert answer.last.reply == "421 4.3.2"
    assert not server.heard("AUTH")


def test_a_flood_of_capabilities_is_not_passed_on(certificates: Certificates) -> None:
    """A huge AUTH list (NO STARTTLS, X_1) is read to its end and shown in part."""
    mechanisms = " ".join(f"X-{number}" for number in range(9_000))
    script = SmtpScript(extensions=(f"AUTH {mechanisms} PLAIN", *(f"X-{number}" for number in range(2_000))))
    with smtp_server(script, certificates.trusted, implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))

    assert answer.key == "ok"
    assert len(answer.text) < 30_000


def test_a_tls_port_of_the_other_leg_leads_to_the_port_that_works(certificates: Certificates) -> None:
    """STARTTLS typed with 993: SSL on that port would meet an IMAP server, so it is not proposed."""
    with (
        imap_server("friendly", certificates.trusted, implicit_tls=True) as wrong,
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as right,
    ):
        env = loopback(certificates, neighbours={Leg.SMTP: (Choice(right.port, Security.SSL),)})
        answer = ask_smtp(smtp_request(wrong.port, Security.STARTTLS), env)

    assert answer.key == "starttls_on_ssl_port"
    assert answer.patch == {"port": right.port, "security": "ssl"}
    assert not wrong.heard(USER)


@pytest.mark.parametrize(
    ("name", "title", "wrong"),
    [
        ("expired", "El certificado de 127.0.0.1 caducó el ", "firma"),
        (
            "expired_issuer",
            "Ha caducado el certificado de «Issuer of the past», que firma el de 127.0.0.1",
            "caducó el",
        ),
        ("not_yet_valid", "El certificado de 127.0.0.1 no vale hasta el ", "caduc"),
    ],
)
def test_each_wrong_date_has_its_own_sentence(certificates: Certificates, name: str, title: str, wrong: str) -> None:
    """Its own end, the end of the one that signs it, and a beginning that lies ahead; a date is never another one's."""
    with smtp_server("friendly", getattr(certificates, name), implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))
    told = verdict_texts(build_verdict(answer.steps, total_ms=0, host="127.0.0.1"))[0]

    assert told.startswith(title)
    assert wrong not in told


@pytest.mark.parametrize(("year", "key"), [(2026, "cert_expired"), (1999, "clock_wrong"), (2090, "clock_wrong")])
def test_a_clock_that_cannot_be_right_is_blamed_before_the_certificate(year: int, key: str) -> None:
    """A machine without a battery begins in 1970."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = 10

    assert handshake_key(error, now=datetime(year, 12, 1, tzinfo=UTC)) == key


def test_an_alert_is_told_in_the_words_of_the_server(certificates: Certificates) -> None:
    """A server that wants a certificate of ours says so; that is no silence, and no fault of its own certificate."""
    context = certificates.trusted.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca_file)
    with ScriptedServer(SmtpScript(), context=context, implicit_tls=True) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL), loopback(certificates))

    assert answer.key == "unclassified"
    assert answer.last.reply == "TLS alert: certificate required"
    assert not server.heard("AUTH")


def test_a_session_ticket_is_no_word_out_of_turn(certificates: Certificates) -> None:
    """TLS 1.3 sends some behind the handshake: the socket is readable, and nobody has said anything."""
    with (
        smtp_server("friendly", certificates.trusted, implicit_tls=True) as server,
        Connection(smtp_request(server.port, Security.SSL), loopback(certificates)) as connection,
    ):
        list(connection.open())
        assert connection.channel is not None
        greeting = connection.channel.read_line()
        quiet = connection.channel.quiet

    assert greeting.startswith(b"220 ")
    assert quiet
