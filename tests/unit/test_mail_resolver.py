"""Names to addresses within a deadline: the system's resolver, and the one DNS server of the setting."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from cgcore.mail.network.dns import MailExchanger, Records, Service, dns_resolver, system_resolver
from cgcore.mail.network.sockets import Deadline, connect_any, few_addresses


@contextmanager
def dns_server(
    records: Mapping[tuple[str, str], str | tuple[str, ...] | None], *, mute: bool = False, mute_kind: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Answer on loopback from ``records`` (``None``: server failure), NXDOMAIN for the rest; give the questions too."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    data, peer = listener.recvfrom(4096)
                except TimeoutError:
                    continue
                query = dns.message.from_wire(data)
                question = query.question[0]
                name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
                asked.append(f"{name} {kind}")
                if mute or kind == mute_kind:
                    continue
                reply = dns.message.make_response(query)
                answer = records.get((name, kind), "")
                if answer is None:
                    reply.set_rcode(dns.rcode.SERVFAIL)
                elif answer:
                    reply.answer.append(
                        dns.rrset.from_text(
                            question.name, 60, "IN", kind, *([answer] if isinstance(answer, str) else answer)
                        )
                    )
                elif not any(known == name for known, _ in records):
                    reply.set_rcode(dns.rcode.NXDOMAIN)
                listener.sendto(reply.to_wire(), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            stop.set()
            thread.join(timeout=5)


def test_both_kinds_of_address_are_asked_of_the_server_that_is_set() -> None:
    """IPv4 first, then IPv6; the system's resolver is not involved."""
    records = {("mail.ejemplo.es", "A"): "192.0.2.7", ("mail.ejemplo.es", "AAAA"): "2001:db8::7"}
    with dns_server(records) as (server, asked):
        found = dns_resolver(server)("mail.ejemplo.es", Deadline.after(5))

    assert list(found) == ["192.0.2.7", "2001:db8::7"]
    assert sorted(asked) == ["mail.ejemplo.es A", "mail.ejemplo.es AAAA"]


def test_a_name_with_one_kind_only_resolves() -> None:
    """No IPv6 record is no failure."""
    with dns_server({("mail.ejemplo.es", "A"): "192.0.2.7"}) as (server, _):
        assert list(dns_resolver(server)("mail.ejemplo.es", Deadline.after(5))) == ["192.0.2.7"]


def test_an_unknown_name_is_told_from_a_failing_server() -> None:
    """The first is the user's, the second is not."""
    with dns_server({("kaputt.ejemplo.es", "A"): None, ("kaputt.ejemplo.es", "AAAA"): None}) as (server, _):
        resolve = dns_resolver(server)
        with pytest.raises(socket.gaierror) as unknown:
            resolve("no.ejemplo.es", Deadline.after(5))
        with pytest.raises(socket.gaierror) as failing:
            resolve("kaputt.ejemplo.es", Deadline.after(5))

    assert unknown.value.errno == socket.EAI_NONAME
    assert failing.value.errno == socket.EAI_AGAIN


def test_a_mute_server_ends_with_the_deadline() -> None:
    """Not with the library's own patience."""
    with dns_server({}, mute=True) as (server, _):
        deadline = Deadline.after(0.5)
        with pytest.raises((socket.gaierror, TimeoutError)):
            dns_resolver(server)("mail.ejemplo.es", deadline)

    assert deadline.expired


@pytest.mark.parametrize("literal", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_not_asked_for(literal: str) -> None:
    """There is nothing to look up."""
    with dns_server({}) as (server, asked):
        assert list(dns_resolver(server)(literal, Deadline.after(1))) == [literal]
        assert list(system_resolver(literal, Deadline.after(1))) == [literal]

    assert asked == []


def test_the_system_knows_localhost() -> None:
    """Each address once."""
    found = system_resolver("localhost", Deadline.after(5))

    assert "127.0.0.1" in found
    assert len(found) == len(set(found))


def test_a_deadline_in_the_past_asks_nobody() -> None:
    """No time left is a timeout at once."""
    with pytest.raises(TimeoutError):
        system_resolver("localhost", Deadline.after(-1))


@pytest.mark.parametrize("server", ["no.such.name.invalid:53", "127.0.0.1:x", "", "[::1"])
def test_a_server_that_cannot_be_asked_is_a_trouble_of_the_moment(server: str) -> None:
    """A slip in our own setting is no fault of the name, and no exception that a probe does not know."""
    with pytest.raises(socket.gaierror) as raised:
        dns_resolver(server)("mail.ejemplo.es", Deadline.after(1))

    assert raised.value.errno == socket.EAI_AGAIN


def test_localhost_is_asked_of_nobody() -> None:
    """RFC 6761 §6.3."""
    with dns_server({}) as (server, asked):
        found = dns_resolver(server)("localhost", Deadline.after(5))

    assert "127.0.0.1" in found
    assert asked == []


@pytest.mark.parametrize("silent", ["A", "AAAA"])
def test_a_server_that_drops_one_kind_of_question_holds_nobody_up(silent: str) -> None:
    """The addresses of the other kind are used after a short grace, not after the whole patience."""
    addresses = {"A": "192.0.2.7", "AAAA": "2001:db8::7"}
    records = {("mail.ejemplo.es", kind): address for kind, address in addresses.items()}
    deadline = Deadline.after(30)
    with dns_server(records, mute_kind=silent) as (server, _):
        found = dns_resolver(server)("mail.ejemplo.es", deadline)

    assert list(found) == [address for kind, address in addresses.items() if kind != silent]
    assert deadline.remaining > 27


def test_of_many_addresses_a_few_of_both_kinds_are_tried() -> None:
    """In their order, each once; a host with few keeps all."""
    many = [*(f"192.0.2.{number % 250}" for number in range(3000)), "2001:db8::1", "2001:db8::2"]

    assert few_addresses(many) == [*(f"192.0.2.{number}" for number in range(6)), "2001:db8::1", "2001:db8::2"]
    assert few_addresses(["192.0.2.1", "192.0.2.1", "2001:db8::1"]) == ["192.0.2.1", "2001:db8::1"]


def test_a_name_with_three_thousand_addresses_opens_eight() -> None:
    """Whoever owns the name decides how many there are, not how many descriptors they cost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    many = [f"127.{number >> 8}.{number & 255}.1" for number in range(3000)]

    connected, attempts = connect_any(many, port, Deadline.after(5))

    assert connected is None
    assert [attempt.to_json()["result"] for attempt in attempts] == ["refused"] * 8


def test_the_records_about_mail_are_asked_of_the_same_server() -> None:
    """MX and SRV best first, their names without the last dot; TXT joined; «.» is a decided no."""
    records = {
        ("ejemplo.es", "MX"): "10 mx.ejemplo.es.",
        ("ejemplo.es", "TXT"): '"v=spf1 " "include:ejemplo.es -all"',
        ("nada.ejemplo.es", "MX"): "0 .",
        ("_imaps._tcp.ejemplo.es", "SRV"): "5 1 993 IMAP.Ejemplo.es.",
        ("_imap._tcp.ejemplo.es", "SRV"): "0 0 0 .",
        ("autodiscover.ejemplo.es", "CNAME"): "autodiscover.outlook.com.",
    }
    with dns_server(records) as (server, asked):
        found, limit = Records(server), Deadline.after(5)
        mx, none = found.mx("ejemplo.es", limit), found.mx("nada.ejemplo.es", limit)
        srv, off = found.srv("_imaps._tcp.ejemplo.es", limit), found.srv("_imap._tcp.ejemplo.es", limit)
        txt, cname = found.txt("ejemplo.es", limit), found.cname("autodiscover.ejemplo.es", limit)
        missing = found.srv("ejemplo.es", limit)

    assert (mx, none) == ([MailExchanger(10, "mx.ejemplo.es")], [MailExchanger(0, "")])
    assert (srv, off) == ([Service(5, 1, "imap.ejemplo.es", 993)], [Service(0, 0, "", 0)])
    assert (txt, cname) == (["v=spf1 include:ejemplo.es -all"], "autodiscover.outlook.com")
    assert list(missing) == []
    assert "ejemplo.es MX" in asked


def test_a_domain_that_does_not_exist_is_told_from_a_server_that_does_not_answer() -> None:
    """The first is the user's, the second is not."""
    with dns_server({("kaputt.ejemplo.es", "MX"): None}) as (server, _):
        with pytest.raises(socket.gaierror) as unknown:
            Records(server).mx("no.ejemplo.es", Deadline.after(5))
        with pytest.raises(socket.gaierror) as failing:
            Records(server).mx("kaputt.ejemplo.es", Deadline.after(5))
    with dns_server({}, mute=True) as (mute, _), pytest.raises(TimeoutError):
        Records(mute).mx("ejemplo.es", Deadline.after(0.5))

    assert unknown.value.errno == socket.EAI_NONAME
    assert failing.value.errno == socket.EAI_AGAIN
