"""Servers without manners: each ends in time, with a diagnosis, and leaves nothing open."""

from __future__ import annotations

import pytest

from cgcore.mail.account import Security
from tests.servers.asking import USER, ask_smtp, loopback, send_by_smtp, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.scripted import ScriptedServer, SmtpScript, StoppedClock, dripping, rude_server, smtp_server
from tests.servers.wire import Closed, Wire


@pytest.mark.parametrize(
    ("name", "security", "key"),
    [
        ("silence", Security.NONE, "server_silent"),
        ("silence", Security.SSL, "server_silent"),
        ("smtp_drip", Security.NONE, "server_silent"),
        ("close_at_once", Security.NONE, "connection_dropped"),
        ("close_at_once", Security.SSL, "connection_dropped"),
        ("smtp_close_after_banner", Security.NONE, "connection_dropped"),
        ("smtp_megabyte_line", Security.NONE, "protocol_error"),
        ("smtp_ten_megabytes", Security.NONE, "protocol_error"),
        ("http", Security.NONE, "host_is_website"),
        ("http", Security.SSL, "host_is_website"),
        ("http_speaks_first", Security.STARTTLS, "host_is_website"),
        ("pop3", Security.STARTTLS, "wrong_protocol"),
        ("pop3", Security.SSL, "wrong_protocol"),
        ("imap", Security.NONE, "wrong_protocol"),
        ("bye", Security.NONE, "wrong_protocol"),
        ("ssh", Security.NONE, "wrong_protocol"),
        ("ftp", Security.NONE, "wrong_protocol"),
    ],
)
def test_a_rude_server_is_named_within_the_deadline(
    certificates: Certificates, name: str, security: Security, key: str
) -> None:
    """Silence, one byte a second, floods, and servers of another kind."""
    with rude_server(name) as server:
        answer = ask_smtp(smtp_request(server.port, security, timeout=3.0), loopback(certificates))

    assert answer.key == key
    assert sum(step.ms for step in answer.steps) < 3500
    assert not server.heard(USER)


@pytest.mark.parametrize("name", ["ssh", "pop3", "imap", "ftp", "http_speaks_first"])
def test_a_banner_that_is_no_mail_of_this_leg_is_not_echoed(certificates: Certificates, name: str) -> None:
    """Error texts must not make a port scanner of us."""
    with rude_server(name) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.last.reply == ""
    assert not any(word in answer.text for word in ("OpenSSH", "vsFTPd", "nginx", "1896.697170952"))


def test_the_other_mail_protocol_is_named(certificates: Certificates) -> None:
    """Incoming and outgoing server crossed."""
    with rude_server("imap") as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.last.details["server_kind"] == "imap"
    assert answer.last.field == "host"


def test_bytes_that_are_no_text_are_shown_harmlessly(certificates: Certificates) -> None:
    """Invalid UTF-8, a null byte and a terminal sequence in a refusal."""
    with rude_server("smtp_invalid_utf8") as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.last.stage == "greeting"
    assert answer.last.reply.startswith("554 ")
    assert "\x1b" not in answer.last.reply
    assert "\x00" not in answer.last.reply


@pytest.mark.parametrize("stage", ["ehlo", "auth", "mail_from", "rcpt_to"])
def test_a_server_that_falls_silent_later_is_cut_at_the_deadline(certificates: Certificates, stage: str) -> None:
    """Every stage keeps to the one deadline."""
    from tests.servers.scripted import HOLD

    with smtp_server(SmtpScript(replies={stage: HOLD})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE, timeout=1.0), loopback(certificates))

    assert (answer.last.stage, answer.key) == (stage, "server_silent")


@pytest.mark.parametrize("reply", [b"250-wait a moment " * 20, b"250-wait a moment\r\n" * 20], ids=["line", "lines"])
@pytest.mark.parametrize("stage", ["ehlo", "starttls", "auth", "mail_from", "rcpt_to", "data"])
def test_a_server_that_drips_later_does_not_stretch_the_deadline(
    certificates: Certificates, stage: str, reply: bytes
) -> None:
    """A byte a second is an answer each time and never the end of one: the 15 seconds are over all of them."""
    clock = StoppedClock()
    script = dripping(SmtpScript(replies={stage: reply}), reply, clock)
    security = Security.STARTTLS if stage == "starttls" else Security.NONE
    with ScriptedServer(script) as server:
        env = loopback(certificates, clock=clock)
        answer = send_by_smtp(b"Subject: x\r\n\r\nHola\r\n", smtp_request(server.port, security), env)
        left = server.wait_for_goodbye()

    assert (answer.last.stage, answer.key) == (stage, "server_silent")
    assert left


def test_a_handshake_that_drips_does_not_stretch_the_deadline(certificates: Certificates) -> None:
    """OpenSSL reads by itself, and asks our clock nothing: its own time is what is left."""
    hello = b"\x16\x03\x03\x3f\xff" + b"\0" * 0x3FFF  # a record so long that its end never comes
    with ScriptedServer(lambda wire: wire.drip(hello, 0.02)) as server:
        answer = ask_smtp(smtp_request(server.port, Security.SSL, timeout=1.0), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("tls", "server_silent")


@pytest.mark.parametrize("stage", ["ehlo", "auth", "mail_from", "rcpt_to"])
def test_a_server_that_hangs_up_later_has_dropped_the_connection(certificates: Certificates, stage: str) -> None:
    """Not a silence, and not an unknown reply."""
    from tests.servers.scripted import CLOSE

    with smtp_server(SmtpScript(replies={stage: CLOSE})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert (answer.last.stage, answer.key) == (stage, "connection_dropped")


@pytest.mark.parametrize("stage", ["rset", "quit"])
def test_a_server_that_never_says_goodbye_is_not_waited_for(certificates: Certificates, stage: str) -> None:
    """All that was asked of it has been answered: the rest of the deadline is not spent on it."""
    from tests.servers.scripted import HOLD

    with smtp_server(SmtpScript(replies={stage: HOLD})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE, timeout=60.0), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("quit", "ok")
    assert answer.last.ms < 10_000


@pytest.mark.parametrize("stage", ["auth", "mail_from"])
def test_half_a_reply_is_none(certificates: Certificates, stage: str) -> None:
    """What a cut connection leaves of a line may begin like good news."""
    half = b"235 2.7" if stage == "auth" else b"250 2.1"

    def play(wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if data.startswith(half):
                say(half)
                raise Closed
            say(data)

        wire.send = send
        SmtpScript()(wire)

    with ScriptedServer(play) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert (answer.last.stage, answer.key) == (stage, "connection_dropped")


@pytest.mark.parametrize("stage", ["ehlo", "auth", "mail_from", "rcpt_to"])
def test_words_without_a_code_are_no_reply(certificates: Certificates, stage: str) -> None:
    """RFC 5321 §4.2: we and the server have not understood each other; its words are shown all the same."""
    with smtp_server(SmtpScript(replies={stage: b"\0\0hello"})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert (answer.last.stage, answer.key, answer.last.reply) == (stage, "protocol_error", "hello")


def test_a_server_that_hangs_up_instead_of_saying_goodbye_has_passed(certificates: Certificates) -> None:
    """All that was asked of it has been answered."""
    from tests.servers.scripted import CLOSE

    with smtp_server(SmtpScript(replies={"rset": CLOSE})) as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE), loopback(certificates))

    assert answer.key == "ok"


@pytest.mark.parametrize("reply", [b"hello", b"", b"999 what", b"25", b"250-a\r\n251 b", b"-1 no"])
def test_a_reply_that_is_none_is_an_error_and_no_exception(certificates: Certificates, reply: bytes) -> None:
    """What no server should say ends in a step."""
    with smtp_server(SmtpScript(replies={"mail_from": reply})) as server:
        request = smtp_request(server.port, Security.NONE, timeout=2.0)
        answer = ask_smtp(request, loopback(certificates))

    assert answer.last.stage in ("mail_from", "quit")
    assert (answer.key == "ok") == (answer.last.stage == "quit")


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS, Security.SSL])
def test_a_server_that_greets_late_is_proven_all_the_same(certificates: Certificates, security: Security) -> None:
    """It is waited for as long as the deadline allows; the question who this is goes out beside the waiting."""
    script = SmtpScript(greeting_after=2.0)
    with smtp_server(script, certificates.trusted, implicit_tls=security is Security.SSL) as server:
        answer = ask_smtp(smtp_request(server.port, security, timeout=3.6), loopback(certificates))

    assert answer.key == "ok"
    assert "tls" not in answer.stages[:3] or security is Security.SSL
