"""A session that outlives a message: many on one connection, and what is known of each when the wire is cut."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any

import pytest

from cgcore.mail.account import Security
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.imap.folders import unlisted
from cgcore.mail.imap.session import ImapSession
from cgcore.mail.probe import send_message
from cgcore.mail.sign_in import Password
from cgcore.mail.smtp.client import wire_body
from cgcore.mail.smtp.session import Delivery, Envelope, Fate, SmtpSession
from cgcore.runs import Step
from cgcore.vault.secret import Secret
from tests.servers.asking import USER, loopback, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.dovecot import USERS, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.probing import ANA, imap_request, loopback_environment
from tests.servers.scripted import CLOSE, HOLD, SMTP_CASES, ScriptedServer, SmtpScript, imap_server, smtp_server
from tests.servers.wire import Closed, Wire

RAW = b"From: ana@example.com\r\nSubject: x\r\n\r\nHola\r\n"
EVA, LUIS, LEO = "eva@example.com", "luis@example.com", "leo@example.com"
QUICK = Timeouts(stage=5.0, block=5.0, final=1.0)


def _send(
    server: ScriptedServer, certificates: Certificates, *envelopes: Envelope, **more: Any
) -> tuple[list[Delivery], list[Step]]:
    """Send RAW once for each envelope on one connection, as long as the session takes another one."""
    request = smtp_request(server.port, Security.NONE, user="", credential=None, mail_from=USER)
    steps: list[Step] = []
    deliveries: list[Delivery] = []
    with Connection(request, loopback(certificates), QUICK) as connection:
        session = SmtpSession(connection)
        steps += [*session.connect(), *session.sign_in()]
        for envelope in envelopes:
            if session.usable:
                deliveries.append(_drained(session.deliver(envelope, [RAW], **more), steps))
        steps += session.close()
    return deliveries, steps


def _drained(delivering: Any, steps: list[Step]) -> Delivery:
    while True:
        try:
            steps.append(next(delivering))
        except StopIteration as ended:
            return ended.value


def _to(*addresses: str, **more: Any) -> Envelope:
    return Envelope(USER, addresses, size=len(RAW), **more)


def _heard(server: ScriptedServer, verb: str) -> int:
    return sum(line.upper().startswith(verb.encode()) for line in server.lines)


def test_many_messages_go_over_one_connection(certificates: Certificates) -> None:
    """One sign-in, no RSET between messages that were accepted, one goodbye."""
    with smtp_server("friendly") as server:
        deliveries, steps = _send(server, certificates, *[_to(EVA)] * 3)

    assert [delivery.fate for delivery in deliveries] == [Fate.ACCEPTED] * 3
    assert all(d.dot_sent and not d.retry_helps and d.reusable and d.queue_id == "4F1A2B3C4D" for d in deliveries)
    assert server.messages == [RAW] * 3
    assert (server.connections, _heard(server, "RSET"), _heard(server, "QUIT")) == (1, 0, 1)
    assert steps[-1].stage == "quit"


def test_a_refused_message_is_forgotten_before_the_next(certificates: Certificates) -> None:
    """RSET, and the connection goes on."""
    script = SmtpScript(replies={"final": b"554 5.7.1 Content rejected"})
    with smtp_server(script) as server:
        (first, second), _ = _send(server, certificates, _to(EVA), _to(LUIS))

    assert (first.fate, first.dot_sent, first.retry_helps, first.code) == (Fate.REFUSED, True, False, 554)
    assert first.reusable
    assert second.recipients[0].address == LUIS
    assert server.connections == 1


def test_one_of_the_copies_may_be_refused_alone(certificates: Certificates) -> None:
    """It is told for that one; the others get the message."""
    with smtp_server(SmtpScript(refused={LEO: b"550 5.1.1 No such user"})) as server:
        (delivery,), _ = _send(server, certificates, _to(EVA, copies=(LEO, LUIS)))
    told = {result.address: (result.fate, result.code, result.key) for result in delivery.recipients}

    assert delivery.fate is Fate.ACCEPTED
    assert told == {
        EVA: (Fate.ACCEPTED, 250, ""),
        LEO: (Fate.REFUSED, 550, "recipient_unknown"),
        LUIS: (Fate.ACCEPTED, 250, ""),
    }
    assert server.messages == [RAW]


@pytest.mark.parametrize(("code", "later"), [(b"450 4.2.0 Greylisted", True), (b"550 5.1.1 No such user", False)])
def test_a_refused_recipient_stops_the_message_for_all(certificates: Certificates, code: bytes, later: bool) -> None:
    """Nothing is handed over, and whether another time may help is told by the code."""
    with smtp_server(SmtpScript(refused={LUIS: code})) as server:
        (delivery, next_one), _ = _send(server, certificates, _to(EVA, LUIS), _to(EVA))
    told = {result.address: result.fate for result in delivery.recipients}

    assert (delivery.fate, delivery.dot_sent, delivery.retry_helps) == (Fate.REFUSED, False, later)
    assert told == {EVA: Fate.PENDING, LUIS: Fate.REFUSED}
    assert next_one.fate is Fate.ACCEPTED
    assert _heard(server, "RSET") == 1
    assert server.messages == [RAW]


def test_nobody_is_left_when_all_copies_are_refused(certificates: Certificates) -> None:
    """No DATA without a recipient."""
    with smtp_server(SmtpScript(replies={"rcpt_to": b"550 5.1.1 No such user"})) as server:
        (delivery,), _ = _send(server, certificates, Envelope(USER, (), copies=(LEO, LUIS)))

    assert (delivery.fate, delivery.retry_helps) == (Fate.REFUSED, False)
    assert not server.heard("DATA")


@pytest.mark.parametrize(
    ("reply", "fate", "later"),
    [
        (b"250 2.0.0 Ok", Fate.ACCEPTED, False),
        (b"251 forwarded", Fate.ACCEPTED, False),
        (b"200 fine", Fate.ACCEPTED, False),
        (b"250-2.0.0 Ok\r\n250 queued as 4F1A2B3C4D", Fate.ACCEPTED, False),
        (b"421 4.3.2 closing", Fate.REFUSED, True),
        (b"451 4.3.0 try later", Fate.REFUSED, True),
        (b"452 4.3.1 no space", Fate.REFUSED, True),
        (b"550 5.7.1 no", Fate.REFUSED, False),
        (b"354 go on", Fate.UNKNOWN, False),
        (b"25", Fate.UNKNOWN, False),
        (b"garbage", Fate.UNKNOWN, False),
        (CLOSE, Fate.UNKNOWN, False),
        (HOLD, Fate.UNKNOWN, False),
    ],
)
def test_only_a_complete_reply_decides_after_the_dot(
    certificates: Certificates, reply: bytes, fate: Fate, later: bool
) -> None:
    """2yz is acceptance, 4yz and 5yz are refusals; all else is unknown, and nothing is sent a second time."""
    with smtp_server(SmtpScript(replies={"final": reply})) as server:
        (delivery, *_), _ = _send(server, certificates, _to(EVA))

    assert (delivery.fate, delivery.retry_helps, delivery.dot_sent) == (fate, later, True)
    assert delivery.recipients[0].fate is fate
    assert delivery.reusable == (fate in (Fate.ACCEPTED, Fate.REFUSED) and not reply.startswith(b"421"))
    assert len(server.messages) == 1


def test_half_a_reply_after_the_dot_is_unknown(certificates: Certificates) -> None:
    """«250-» and then the end: more was to come."""

    def play(wire: Wire) -> None:
        say = wire.send

        def send(data: bytes) -> None:
            if b"queued as" in data:
                say(b"250-2.0.0 Ok\r\n")
                raise Closed
            say(data)

        wire.send = send
        SmtpScript()(wire)

    with ScriptedServer(play) as server:
        (delivery,), _ = _send(server, certificates, _to(EVA))

    assert (delivery.fate, delivery.step.key, delivery.step.retry) == (Fate.UNKNOWN, "delivery_unknown", "never")
    assert not delivery.reusable


def test_words_behind_the_verdict_end_the_connection(certificates: Certificates) -> None:
    """Two answers to one command would shift every later one: the next message does not go over this connection."""
    with smtp_server(SmtpScript(replies={"final": b"250 2.0.0 Ok\r\n250 2.0.0 Ok"})) as server:
        deliveries, _ = _send(server, certificates, _to(EVA), _to(EVA))

    assert [(delivery.fate, delivery.reusable) for delivery in deliveries] == [(Fate.ACCEPTED, False)]
    assert len(server.messages) == 1


@pytest.mark.parametrize("stage", ["mail_from", "rcpt_to", "data"])
@pytest.mark.parametrize("reply", [CLOSE, b"421 4.3.2 closing"])
def test_before_the_dot_nothing_has_been_handed_over(certificates: Certificates, stage: str, reply: bytes) -> None:
    """Cut or closed: another try is free of danger."""
    with smtp_server(SmtpScript(replies={stage: reply})) as server:
        (delivery, *_), _ = _send(server, certificates, _to(EVA))

    assert (delivery.dot_sent, delivery.retry_helps, delivery.reusable) == (False, True, False)
    assert delivery.fate is (Fate.PENDING if reply == CLOSE else Fate.REFUSED)
    assert str(delivery.step.stage) == stage
    assert server.messages == []


def test_a_message_may_be_taken_back_before_its_dot(certificates: Certificates) -> None:
    """The question comes when all but the dot has been written; «no» closes the connection, and nothing was sent."""
    asked: list[bool] = []
    with smtp_server("friendly") as server:
        (delivery,), _ = _send(server, certificates, _to(EVA), before_dot=lambda _taken: bool(asked.append(True)))

    assert asked == [True]
    assert (delivery.fate, delivery.dot_sent, delivery.reusable) == (Fate.PENDING, False, False)
    assert server.messages == []


def test_a_closing_word_before_the_dot_keeps_the_message_here(certificates: Certificates) -> None:
    """A 421 out of turn means that nothing is accepted any more: the dot stays here."""
    script = SmtpScript(replies={"data": b"354 go on\r\n421 4.3.2 shutting down"})
    with smtp_server(script) as server:
        (delivery,), _ = _send(server, certificates, _to(EVA))

    assert (delivery.fate, delivery.dot_sent, delivery.retry_helps) == (Fate.PENDING, False, True)
    assert delivery.step.key == "temporary_failure"
    assert server.messages == []


def test_the_size_is_told_before_the_upload(certificates: Certificates) -> None:
    """RFC 1870: where SIZE is announced, and nowhere else."""
    for extensions, told in ((("SIZE 100000",), True), (("8BITMIME",), False)):
        with smtp_server(SmtpScript(extensions=extensions)) as server:
            _send(server, certificates, _to(EVA))

        assert server.heard(f"SIZE={len(RAW)}") == told


def test_notices_of_failure_are_asked_for_where_there_are_any(certificates: Certificates) -> None:
    """RFC 3461, in xtext; refused all the same, the message goes without."""
    with smtp_server(SmtpScript(extensions=("DSN",))) as server:
        _send(server, certificates, _to("eva+x=y@example.com", notice_id="a+b=c 1"))
    refusing = SmtpScript(extensions=("DSN",), unless={b"ENVID": b"555 5.5.4 Unsupported option: ENVID"})
    with smtp_server(refusing) as other:
        (delivery,), _ = _send(other, certificates, _to(EVA, notice_id="a1"))

    assert server.heard("RET=HDRS ENVID=a+2Bb+3Dc+201")
    assert server.heard("NOTIFY=FAILURE,DELAY ORCPT=rfc822;eva+2Bx+3Dy@example.com")
    assert delivery.fate is Fate.ACCEPTED
    assert not other.heard("NOTIFY=")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("text", [b".", b"a\n.\n..b\r\n.c", b"a\r.\rb", b"\r\n.\r\n", b"a\r\n", b"", b"\r", b"..\n\n."])
def test_a_message_travels_alike_in_pieces_of_any_length(text: bytes, size: int) -> None:
    """A line, its end and its dot may fall on the border of two pieces."""
    whole = b"".join(wire_body([text]))
    pieces = b"".join(wire_body(text[start : start + size] for start in range(0, len(text), size)))

    assert pieces == whole
    assert whole.endswith(b"\r\n") or not whole
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|(?m:^)\.(?!\.)", whole)


def test_a_sending_tells_what_became_of_it(certificates: Certificates) -> None:
    """The generator's own value, beside the steps."""
    with smtp_server("friendly", certificates.trusted) as server:
        steps: list[Step] = []
        delivery = _drained(
            send_message(RAW, smtp_request(server.port, Security.STARTTLS), loopback(certificates)), steps
        )

    assert (delivery.fate, delivery.queue_id) == (Fate.ACCEPTED, "4F1A2B3C4D")
    assert [str(step.stage) for step in steps][-1] == "quit"


def test_each_stage_of_a_delivery_has_a_time_of_its_own(certificates: Certificates) -> None:
    """A total shorter than all the stages together ends a probe, and no delivery."""
    clock = _Ticking()
    request = smtp_request(0, Security.NONE, timeout=15.0)
    with ScriptedServer(_slow(clock, 10.0)) as server:
        steps: list[Step] = []
        env = loopback(certificates, clock=clock)
        sending = send_message(RAW, replace(request, port=server.port), env, timeouts=Timeouts(stage=15.0))
        delivery = _drained(sending, steps)

    assert delivery.fate is Fate.ACCEPTED, steps
    assert clock() > 60


class _Ticking:
    """The seconds of a test: they pass only where it lets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _slow(clock: _Ticking, seconds: float) -> Callable[[Wire], None]:
    def play(wire: Wire) -> None:
        say, told = wire.send, list[bytes]()

        def send(data: bytes) -> None:
            # The greeting leaves while the client may still be connecting, which is given less.
            clock.now += seconds if told else 0.0
            told.append(data)
            say(data)

        wire.send = send
        SMTP_CASES["friendly"](wire)

    return play


# ---- Copies


def test_copies_are_stored_one_after_another(certificates: Certificates) -> None:
    """One sign-in, one goodbye, each with the time at which the message was accepted."""
    when = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    with imap_server("friendly", certificates.trusted, implicit_tls=True) as server:
        request = imap_request(server.port, Security.SSL, host="127.0.0.1")
        with Connection(request, loopback_environment(certificates), QUICK) as connection:
            session = ImapSession(connection)
            steps = [*session.connect(), *session.sign_in()]
            steps += [session.append(RAW, unlisted("Sent"), when) for _ in range(3)]
            steps += session.close()

    assert [step.details["uid"] for step in steps if step.stage == "append"] == [7, 8, 9]
    assert sum(b"01-Mar-2026 12:30:00 +0000" in line for line in server.lines) == 3
    assert (server.connections, sum(b"LOGOUT" in line for line in server.lines)) == (1, 1)


# ---- Real servers


def test_a_real_postfix_takes_many_and_counts_them_once(
    certificates: Certificates, dovecot: Dovecot, postfix: Postfix
) -> None:
    """Five messages, one connection, a refused recipient in between: each arrives once, by its Message-ID."""
    request = smtp_request(
        postfix.submission_port,
        Security.STARTTLS,
        host="localhost",
        user=ANA,
        credential=Password(Secret(USERS[ANA])),
    )
    marks = [f"<entrega-{number}@example.com>" for number in range(5)]
    fates: list[Fate] = []
    with Connection(request, loopback(certificates), Timeouts()) as connection:
        session = SmtpSession(connection)
        list(session.connect())
        list(session.sign_in())
        for number, mark in enumerate(marks):
            raw = RAW.replace(b"Subject: x", b"Subject: x\r\nMessage-ID: " + mark.encode())
            to = "rebosa@example.com" if number == 2 else "vacia@example.com"
            fates.append(_drained(session.deliver(Envelope(ANA, (to,), size=len(raw)), [raw]), []).fate)
        list(session.close())
    for mark in (marks[0], marks[1], marks[3], marks[4]):
        dovecot.wait_for_message("vacia@example.com", mark.encode())
    arrived = [message_from_bytes(raw)["Message-ID"] for raw in dovecot.raw_messages("vacia@example.com")]

    assert fates == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.REFUSED, Fate.ACCEPTED, Fate.ACCEPTED]
    assert sorted(mark for mark in arrived if mark in marks) == sorted({*marks} - {marks[2]})


@pytest.mark.parametrize("cut", [b".", b".\r", b".\r\n"])
def test_a_real_postfix_stores_what_we_call_unknown_and_nothing_that_we_call_pending(
    certificates: Certificates, dovecot: Dovecot, postfix: Postfix, cut: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut inside the dot nothing was stored, cut behind it everything: the last byte decides, on both sides."""
    from cgcore.mail.smtp.client import SmtpClient

    mark = f"<corte-{len(cut)}@example.com>"
    raw = RAW.replace(b"Subject: x", b"Subject: x\r\nMessage-ID: " + mark.encode())

    def cut_dot(client: Any) -> None:
        client._channel.sendall(cut)
        client._channel._socket.shutdown(socket.SHUT_RDWR)
        if cut != b".\r\n":
            raise ConnectionResetError

    monkeypatch.setattr(SmtpClient, "send_dot", cut_dot)
    request = smtp_request(
        postfix.port, Security.NONE, host="localhost", user=ANA, credential=Password(Secret(USERS[ANA])),
        rcpt_to="comillas@example.com",
    )  # fmt: skip
    delivery = _drained(send_message(raw, request, loopback(certificates), timeouts=QUICK), [])
    stored = _stored(dovecot, mark, expected=cut == b".\r\n")

    assert delivery.fate is (Fate.UNKNOWN if cut == b".\r\n" else Fate.PENDING)
    assert stored == (cut == b".\r\n")


def _stored(dovecot: Dovecot, mark: str, *, expected: bool) -> bool:
    if expected:
        dovecot.wait_for_message("comillas@example.com", mark.encode())
    found: Sequence[bytes] = dovecot.raw_messages("comillas@example.com")
    return any(mark.encode() in raw for raw in found)
