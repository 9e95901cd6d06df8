"""Sending a message: what leaves, what is known afterwards, and what is never repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cgcore.mail.account import Security
from cgcore.mail.connection import Timeouts
from cgcore.mail.message import build_test_message
from cgcore.mail.probe import send_message
from cgcore.mail.smtp.client import queue_id
from cgcore.runs import Status
from tests.servers.asking import USER, loopback, send_by_smtp, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.scripted import CLOSE, SMTP_CASES, SmtpScript, smtp_server

RAW = b"From: ana@example.com\r\nSubject: x\r\n\r\nHola\r\n"


def test_a_message_goes_on_through_data_to_its_queue_id(certificates: Certificates) -> None:
    """The last steps are data, final and quit, and the server's name for the message is kept."""
    with smtp_server("friendly", certificates.trusted) as server:
        answer = send_by_smtp(RAW, smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.key == "ok"
    assert answer.stages[-5:] == ["mail_from", "rcpt_to", "data", "final", "quit"]
    assert answer.step("final").details["queue_id"] == "4F1A2B3C4D"
    assert server.messages == [RAW]
    assert not server.heard("rset")


def test_the_message_arrives_byte_for_byte(certificates: Certificates) -> None:
    """An EmailMessage is sent as its own bytes: what was previewed is what arrives."""
    message = build_test_message(sender=USER, recipient=USER, read_receipt=True)
    with smtp_server("friendly", certificates.trusted) as server:
        steps = list(send_message(message, smtp_request(server.port, Security.STARTTLS), loopback(certificates)))

    assert all(step.status is Status.OK for step in steps)
    assert server.messages == [message.as_bytes()]


@pytest.mark.parametrize(
    "body",
    [
        b"a\n.\nMAIL FROM:<mal@example.com>\n",
        b"a\r.\rb\r\n",
        b"a\r\n.\r\nRCPT TO:<mal@example.com>\r\n",
        b"a\r\n.\rb\n.\r\nQUIT\r\n",
        b".\r\n..\r\n...a",
    ],
)
def test_no_line_of_the_message_ends_it(certificates: Certificates, body: bytes) -> None:
    """Bare CR and LF become CRLF and dots are doubled: nothing can be smuggled behind the message."""
    with smtp_server("friendly", certificates.trusted) as server:
        answer = send_by_smtp(
            b"Subject: x\r\n\r\n" + body, smtp_request(server.port, Security.STARTTLS), loopback(certificates)
        )
    (arrived,) = server.messages

    assert answer.key == "ok"
    assert arrived.replace(b"\r\n", b"").count(b"\r") == arrived.replace(b"\r\n", b"").count(b"\n") == 0
    assert arrived.split() == (b"Subject: x " + body).split()
    assert (
        sum(line.upper().startswith(b"MAIL FROM") for line in server.lines if line not in arrived.split(b"\r\n")) == 1
    )


@pytest.mark.parametrize("case", ["closes_at_final", "silent_at_final"])
def test_a_connection_lost_after_the_final_dot_is_not_known_to_have_failed(
    certificates: Certificates, case: str
) -> None:
    """Only a person may repeat it; nothing is sent a second time."""
    with smtp_server(case, certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS)
        answer = send_by_smtp(RAW, request, loopback(certificates), timeouts=Timeouts(final=1.0))

    assert (answer.last.stage, answer.key) == ("final", "delivery_unknown")
    assert answer.last.retry == "never"
    assert server.connections == 1
    assert len(server.messages) == 1


def test_a_connection_lost_before_the_dot_is_known_to_have_failed(certificates: Certificates) -> None:
    """Nothing has been handed over yet."""
    with smtp_server(SmtpScript(replies={"data": CLOSE}), certificates.trusted) as server:
        answer = send_by_smtp(RAW, smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("data", "connection_dropped")
    assert server.messages == []


def test_a_refusal_after_data_is_reported_although_rcpt_was_fine(certificates: Certificates) -> None:
    """Send As is checked by Exchange only at the end."""
    with smtp_server("send_as_after_data", certificates.trusted) as server:
        answer = send_by_smtp(RAW, smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.step("rcpt_to").status is Status.OK
    assert (answer.last.stage, answer.key) == ("final", "sender_not_allowed")


def test_a_greylisted_recipient_stops_a_message(certificates: Certificates) -> None:
    """A warning for the probe; but a message without recipient must not go on to DATA."""
    with smtp_server("greylisting", certificates.trusted) as server:
        answer = send_by_smtp(RAW, smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert answer.last.stage == "rcpt_to"
    assert answer.key == "greylisted"
    assert not server.heard("DATA")


def test_a_message_above_the_servers_limit_is_not_uploaded(certificates: Certificates) -> None:
    """SIZE was announced: the limit is named, the bytes stay here."""
    script = replace(SMTP_CASES["friendly"], extensions=("SIZE 2000000", "AUTH PLAIN"))
    with smtp_server(script, certificates.trusted) as server:
        big = RAW + b"x" * 2_100_000
        answer = send_by_smtp(big, smtp_request(server.port, Security.STARTTLS), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("mail_from", "message_too_big")
    assert answer.last.details["limit_mb"] == 2
    assert not server.heard("MAIL FROM")


def test_every_recipient_must_be_taken_or_nobody_gets_it(certificates: Certificates) -> None:
    """One RCPT each; a wrong one among them stops before the connection."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS)
        both = ["eva@example.com", "luis@example.com"]
        answer = send_by_smtp(RAW, request, loopback(certificates), recipients=both)
        wrong = send_by_smtp(RAW, request, loopback(certificates), recipients=["eva@example.com", "x> y"])

    assert answer.stages.count("rcpt_to") == 2
    assert (wrong.stages, wrong.key) == (["input"], "address_syntax")
    assert server.connections == 1
    assert len(server.messages) == 1


def test_a_message_without_a_sender_is_refused_before_the_connection(certificates: Certificates) -> None:
    """MAIL FROM is never empty."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, user="apikey")
        answer = send_by_smtp(RAW, request, loopback(certificates))

    assert (answer.stages, answer.key, answer.last.field) == (["input"], "invalid_input", "sender")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (b"250 2.0.0 Ok: queued as 4F1A2B3C4D", "4F1A2B3C4D"),
        (b"250 OK id=1rX2ab-0007Qk-2A", "1rX2ab-0007Qk-2A"),
        (b"250 2.0.0 OK  1732444444 ffacd0b85a97d-38a - gsmtp", "1732444444 ffacd0b85a97d-38a"),
        (b"250 2.6.0 <a1b2@mail.test> [InternalId=42421337, Hostname=x] Queued mail for delivery", "42421337"),
        (b"250 2.0.0 4AOFrXYZ012345 Message accepted for delivery", "4AOFrXYZ012345"),
        (b"250 OK", ""),
        (b"250 Message accepted for delivery", ""),
    ],
)
def test_the_queue_id_is_read_from_what_servers_say(reply: bytes, name: str) -> None:
    """Postfix, Exim, Gmail, Exchange, Sendmail; nothing is invented where none is told."""
    assert queue_id(reply) == name
