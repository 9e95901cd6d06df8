"""Names to addresses and to the records about mail, within a deadline: the system's resolver, or one DNS server."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from cgcore.mail.network.sockets import Deadline

__all__ = ["MailExchanger", "Records", "Resolver", "Service", "closed_resolver", "dns_resolver", "system_resolver"]

#: Takes an ASCII host name and a deadline; returns its addresses, IPv4 and IPv6, in the order to try them.
#: Raises ``socket.gaierror`` (EAI_NONAME, EAI_NODATA: no such name; EAI_AGAIN: not now) or ``TimeoutError``.
Resolver = Callable[[str, Deadline], Sequence[str]]

_PATIENCE = 4.0  # seconds for all questions about one name
_GRACE = 0.5  # seconds that one kind of address is waited for when the other is there


def _literal(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return ""


def system_resolver(host: str, deadline: Deadline) -> Sequence[str]:
    """Resolve by ``getaddrinfo`` in a thread of its own, since it takes no timeout.

    ``localhost`` is known to the machine itself (RFC 6761 §6.3): nobody has to be waited for.
    """
    if literal := _literal(host):
        return (literal,)
    patience = deadline.timeout()
    if _is_localhost(host):
        return _system_addresses(host)
    answers: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_system_addresses(host))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        raise TimeoutError("the resolver does not answer") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _system_addresses(host: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def closed_resolver(host: str, deadline: Deadline) -> Sequence[str]:
    """Resolve addresses and ``localhost``, and ask nobody: there is no other name."""
    if _literal(host) or _is_localhost(host):
        return system_resolver(host, deadline)
    raise socket.gaierror(socket.EAI_NONAME, "no name is asked for")


def dns_resolver(server: str) -> Resolver:
    """Return a resolver that asks only ``server`` (``host:port`` or ``[v6]:port``; port 53 by default).

    ``localhost`` never leaves the machine (RFC 6761 §6.3). A server that cannot be asked is EAI_AGAIN.
    """

    def resolve(host: str, deadline: Deadline) -> Sequence[str]:
        if _literal(host) or _is_localhost(host):
            return system_resolver(host, deadline)
        return _ask(_questioner(server, deadline), host, deadline.shorter(_PATIENCE))

    return resolve


def _questioner(server: str | None, deadline: Deadline) -> Any:
    """Return dnspython's resolver for ``server``, or with ``None`` for those of the system."""
    import dns.resolver

    if server is None:
        try:
            return dns.resolver.Resolver()
        except (dns.resolver.NoResolverConfiguration, OSError) as error:
            raise _unanswered() from error
    name, _, port = server.rpartition(":") if server.count(":") == 1 or "]:" in server else (server, "", "53")
    resolver = dns.resolver.Resolver(configure=False)
    try:
        resolver.nameservers, resolver.port = list(system_resolver(name.strip("[]"), deadline)), int(port)
    except (OSError, ValueError) as error:
        raise _unanswered() from error
    return resolver


@dataclass(frozen=True, slots=True)
class MailExchanger:
    """One MX record (RFC 5321 §5). ``host`` is empty where the domain takes no mail (RFC 7505)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record (RFC 2782, RFC 6186). ``host`` is empty where the service is decidedly not offered."""

    priority: int
    weight: int
    host: str
    port: int


class Records:
    """The records of a domain about its mail, asked of ``server`` (see :func:`dns_resolver`) or of the system.

    Each method takes an ASCII name and a deadline, and returns what there is, nothing where the name has no such
    record. Raises ``socket.gaierror`` (EAI_NONAME: no such name; EAI_AGAIN: not now) or ``TimeoutError``. The answers
    are unsigned: what they name has to be proven.
    """

    def __init__(self, server: str = "") -> None:
        self._server = server

    @classmethod
    def closed(cls) -> Records:
        """Return such that ask nobody: no name has any."""
        return _NoRecords()

    def mx(self, domain: str, deadline: Deadline) -> Sequence[MailExchanger]:
        """Return the mail exchangers, best first."""
        found = [
            MailExchanger(int(row.preference), _target(row.exchange)) for row in self._rows(domain, "MX", deadline)
        ]
        return sorted(found, key=lambda record: record.preference)

    def srv(self, name: str, deadline: Deadline) -> Sequence[Service]:
        """Return the services under a name like ``_imaps._tcp.example.com``, best first."""
        found = [
            Service(int(row.priority), int(row.weight), _target(row.target), int(row.port))
            for row in self._rows(name, "SRV", deadline)
        ]
        return sorted(found, key=lambda record: (record.priority, -record.weight))

    def txt(self, name: str, deadline: Deadline) -> Sequence[str]:
        """Return the texts, each joined from its pieces."""
        rows = self._rows(name, "TXT", deadline)
        return [b"".join(row.strings).decode("utf-8", "replace") for row in rows]

    def cname(self, name: str, deadline: Deadline) -> str:
        """Return the name that this one stands for, ``""`` when it stands for itself."""
        return next((_target(row.target) for row in self._rows(name, "CNAME", deadline)), "")

    def _rows(self, name: str, kind: str, deadline: Deadline) -> Sequence[Any]:
        import dns.exception
        import dns.resolver

        limit = deadline.shorter(_PATIENCE)
        limit.timeout()
        try:
            resolver = _questioner(self._server or None, limit)
            return list(resolver.resolve(name + ".", kind, lifetime=limit.timeout(), search=False))
        except dns.resolver.NoAnswer:
            return ()
        except dns.resolver.NXDOMAIN:
            raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
        except dns.exception.Timeout:
            raise TimeoutError("the DNS server does not answer") from None
        except dns.exception.DNSException as error:
            raise _unanswered() from error


def _target(name: Any) -> str:
    return str(name).removesuffix(".").lower()


def _ask(resolver: Any, host: str, deadline: Deadline) -> Sequence[str]:
    """Ask for both kinds of address side by side; once one is there the other gets :data:`_GRACE` more."""
    answers: queue.SimpleQueue[tuple[str, Sequence[str] | None]] = queue.SimpleQueue()

    def ask(kind: str) -> None:
        answers.put((kind, _ask_kind(resolver, host, kind, deadline)))

    kinds = ("A", "AAAA")
    for kind in kinds:
        threading.Thread(target=ask, args=(kind,), name="resolve", daemon=True).start()
    known: dict[str, Sequence[str] | None] = {}
    with suppress(queue.Empty, TimeoutError):
        for _ in kinds:
            kind, found = answers.get(timeout=deadline.timeout(_GRACE if any(known.values()) else None))
            known[kind] = found
    if any(known.values()):
        return tuple(address for kind in kinds for address in known.get(kind) or ())
    if all(known.get(kind) is not None for kind in kinds):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    raise _unanswered()


def _ask_kind(resolver: Any, host: str, kind: str, deadline: Deadline) -> Sequence[str] | None:
    """Return the addresses of one kind, none when there are none, ``None`` when nobody answered."""
    import dns.exception
    import dns.resolver

    try:
        answer = resolver.resolve(host + ".", kind, lifetime=deadline.timeout(), search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except (dns.exception.DNSException, OSError):
        return None
    return [str(record) for record in answer]


def _unanswered() -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, "the DNS server does not answer")


class _NoRecords(Records):
    def _rows(self, name: str, kind: str, deadline: Deadline) -> Sequence[Any]:  # noqa: ARG002
        return ()
