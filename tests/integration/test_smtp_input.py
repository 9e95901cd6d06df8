"""What never reaches a socket: bad input and forbidden targets are steps, and no server hears of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cgcore.mail.account import Security
from cgcore.mail.network.sockets import Deadline
from cgcore.mail.request import Choice, ProbeEnvironment
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.runs import Status
from cgcore.vault.secret import Secret
from tests.servers.asking import ask_smtp, loopback, smtp_request
from tests.servers.certificates import Certificates
from tests.servers.scripted import smtp_server
from tests.servers.wire import ScriptedServer


@pytest.mark.parametrize(
    ("change", "key", "field"),
    [
        ({"host": ""}, "invalid_input", "host"),
        ({"host": "127.0.0.1 "}, "invalid_input", "host"),
        ({"host": "127.0.0\u200b.1"}, "invalid_input", "host"),
        ({"host": "http://127.0.0.1/"}, "invalid_input", "host"),
        ({"host": "ana@127.0.0.1"}, "invalid_input", "host"),
        ({"host": "127.0..0.1"}, "invalid_input", "host"),
        ({"host": "localhost\r\nX: y"}, "invalid_input", "host"),
        ({"port": 0}, "invalid_input", "port"),
        ({"port": 65536}, "invalid_input", "port"),
        ({"security": Security.SSL_PINNED}, "invalid_input", "security"),
        ({"user": "ana\r\nQUIT"}, "invalid_input", "user"),
        ({"user": "ana\0@example.com"}, "invalid_input", "user"),
        ({"credential": Password(Secret("uno\r\ndos"))}, "invalid_input", "password"),
        ({"credential": Password(Secret("uno\0dos"))}, "invalid_input", "password"),
        ({"credential": None}, "invalid_input", "password"),
        ({"folder": "Enviados\r\n"}, "invalid_input", "folder"),
        ({"folder": "Enviados\udcff"}, "invalid_input", "folder"),
        ({"user": "ana\udcff@example.com"}, "invalid_input", "user"),
        ({"host": "mail\udcff.example"}, "invalid_input", "host"),
        ({"mail_from": "ana\udcff@example.com"}, "address_syntax", "sender"),
        ({"mail_from": "ana@example.com> SIZE=1 <x@example.com"}, "address_syntax", "sender"),
        ({"mail_from": "ana@example.com\r\nDATA"}, "address_syntax", "sender"),
        ({"rcpt_to": "Ana <ana@example.com>"}, "address_syntax", "recipient"),
        ({"rcpt_to": "b@x.es> NOTIFY=NEVER <c@x.es"}, "address_syntax", "recipient"),
    ],
)
def test_bad_input_is_a_step_and_nothing_is_connected(
    certificates: Certificates, change: dict[str, Any], key: str, field: str
) -> None:
    """The field is named, the server hears nothing, nothing is raised."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = replace(smtp_request(server.port, Security.STARTTLS), **change)
        answer = ask_smtp(request, loopback(certificates))

    assert answer.stages == ["input"]
    assert (answer.key, answer.last.field) == (key, field)
    assert server.connections == 0


def test_a_cleaned_host_is_offered() -> None:
    """One click puts right what was pasted wrongly."""
    answer = ask_smtp(smtp_request(587, Security.STARTTLS, host="https://mail.ejemplo.es/webmail"), ProbeEnvironment())

    assert answer.patch == {"host": "mail.ejemplo.es"}


def test_a_password_with_an_ampersand_may_be_probed(certificates: Certificates) -> None:
    """The suite's rule belongs to the page; the wire takes any character."""
    with smtp_server("friendly", certificates.trusted) as server:
        request = smtp_request(server.port, Security.STARTTLS, credential=Password(Secret("uno&dos")))
        answer = ask_smtp(request, loopback(certificates))

    assert answer.key == "bad_credentials"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "::1", "::ffff:127.0.0.1", "[::ffff:10.0.0.1]", "169.254.169.254"),
        *("10.0.0.1", "0.0.0.0", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "127.1", "64:ff9b::7f00:1", "2002:7f00:1::"),  # noqa: S104
    ],
)
def test_a_target_inside_is_refused_uniformly(host: str) -> None:
    """Every forbidden target looks the same, whether something listens there or not."""
    with smtp_server("friendly") as server:
        answer = ask_smtp(smtp_request(server.port, Security.NONE, host=host), ProbeEnvironment())
        closed = ask_smtp(smtp_request(1, Security.NONE, host=host), ProbeEnvironment())

    assert answer.key == closed.key == "forbidden_target"
    assert answer.last.details == closed.last.details == {}
    assert server.connections == 0


def test_a_name_that_leads_inside_is_refused_and_resolved_once() -> None:
    """A rebinding name gets no second answer: what was checked is what would be connected to."""
    asked: list[str] = []

    def rebinding(host: str, deadline: Deadline) -> list[str]:
        del deadline
        asked.append(host)
        return ["8.8.8.8"] if len(asked) > 1 else ["8.8.8.8", "127.0.0.1"]

    answer = ask_smtp(smtp_request(587, Security.STARTTLS, host="mal.ejemplo.es"), ProbeEnvironment(resolver=rebinding))

    assert answer.key == "forbidden_target"
    assert asked == ["mal.ejemplo.es"]


def test_a_public_server_is_not_reached_on_a_port_of_another_service() -> None:
    """Only mail ports."""
    env = ProbeEnvironment(resolver=lambda _host, _deadline: ["8.8.8.8"])
    answer = ask_smtp(smtp_request(443, Security.SSL, host="dns.ejemplo.es"), env)

    assert answer.key == "forbidden_target"
    assert "tcp" not in answer.stages


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "host_not_found"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), "dns_temporary"),
        (TimeoutError(), "dns_temporary"),
    ],
)
def test_a_name_that_does_not_resolve_says_why(error: OSError, key: str) -> None:
    """No such name is the user's, no answer is ours."""

    def failing(host: str, deadline: Deadline) -> list[str]:
        del host, deadline
        raise error

    answer = ask_smtp(smtp_request(587, Security.STARTTLS, host="no.ejemplo.es"), ProbeEnvironment(resolver=failing))

    assert (answer.stages[-1], answer.key) == ("dns", key)


def test_a_host_with_spanish_letters_is_looked_up_in_ascii() -> None:
    """The resolver gets the IDNA form."""
    asked: list[str] = []

    def resolver(host: str, deadline: Deadline) -> list[str]:
        del deadline
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    ask_smtp(smtp_request(587, Security.STARTTLS, host="correo.peña.es"), ProbeEnvironment(resolver=resolver))

    assert asked == ["correo.xn--pea-8ma.es"]


def test_a_dead_address_beside_a_live_one_is_a_note(certificates: Certificates) -> None:
    """IPv6 refused, IPv4 answers: the account works, and the step says which address is dead."""
    with smtp_server("friendly", certificates.trusted) as server:
        env = loopback(certificates, resolver=lambda _host, _deadline: ["::1", "127.0.0.1"])
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS, host="mail.test"), env)

    assert answer.key == "ok"
    assert answer.step("dns").details == {"a": ["127.0.0.1"], "aaaa": ["::1"]}
    assert answer.step("tcp").status is Status.OK
    assert answer.step("tcp").details["dead"] == ["::1"]
    assert answer.step("tcp").details["address"] == "127.0.0.1"


def test_ipv6_alone_is_as_good(certificates: Certificates) -> None:
    """The greeting name is then an IPv6 literal."""
    context = certificates.trusted.server_context()
    from tests.servers.scripted import SmtpScript

    with ScriptedServer(SmtpScript(), context=context, host="::1") as server:
        answer = ask_smtp(smtp_request(server.port, Security.STARTTLS, host="::1"), loopback(certificates))

    assert answer.key == "ok"
    assert server.heard("[IPv6:::1]")


def test_a_closed_port_is_told_from_a_silent_one(certificates: Certificates) -> None:
    """Refused is the user's port; no answer may be the network's."""
    answer = ask_smtp(smtp_request(1, Security.STARTTLS), loopback(certificates))

    assert (answer.last.stage, answer.key) == ("tcp", "port_closed")
    assert answer.last.details["addresses"][0]["result"] == "refused"


def test_a_port_that_does_not_answer_at_all_leaves_time_for_the_counter_proof(certificates: Certificates) -> None:
    """Every connection is dropped in silence, as a firewall does it; the neighbouring port is found and proven."""
    with smtp_server("friendly", certificates.trusted, implicit_tls=True) as server, silent_port() as port:
        env = loopback(certificates, neighbours={Leg.SMTP: (Choice(server.port, Security.SSL),)})
        answer = ask_smtp(smtp_request(port, Security.STARTTLS, timeout=3.0), env)

    assert (answer.last.stage, answer.key) == ("tcp", "port_filtered")
    assert answer.patch == {"port": server.port, "security": "ssl"}
    assert answer.last.details["working_ports"] == [server.port]


@contextmanager
def silent_port() -> Iterator[int]:
    """Give a port whose queue is full: the kernel drops every further attempt to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


def test_a_slip_in_a_known_host_is_found_and_offered_only_when_it_answers() -> None:
    """«smtp.gmial.com» does not exist; the right name is said, but nothing was proven here."""

    def resolver(host: str, deadline: Deadline) -> list[str]:
        del host, deadline
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    answer = ask_smtp(smtp_request(587, Security.STARTTLS, host="smtp.gmial.com"), ProbeEnvironment(resolver=resolver))

    assert answer.key == "host_not_found"
    assert answer.last.details["suggestion"] == "smtp.gmail.com"
    assert answer.patch == {}
