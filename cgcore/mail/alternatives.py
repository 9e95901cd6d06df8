"""Alternatives: servers, ports and modes that may work instead, tried live side by side and without credentials.

:func:`prove` tries any candidates under one deadline; :class:`CounterProof` finds those that cure a failed probe.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cgcore.mail.account import Security, normal_pin
from cgcore.mail.addresses import address_literal, encode_host
from cgcore.mail.network.greeting import Kind, ask_for_tls, first_line, first_words, kind_of, lacks
from cgcore.mail.network.policy import may_connect
from cgcore.mail.network.sockets import Channel, Deadline, connect, connect_any
from cgcore.mail.network.tls import (
    bears_name,
    chain_context,
    client_hello,
    fingerprint,
    handshake_key,
    looking_context,
)
from cgcore.mail.request import Choice, ProbeEnvironment, ProbeRequest
from cgcore.mail.steps import Leg

__all__ = ["Candidate", "CounterProof", "Depth", "Proof", "Server", "prove", "prove_one"]

_PATIENCE = 1.5  # seconds for one try: what is alive answers within that
_SIDE_BY_SIDE = 16  # candidates tried at once


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server to try. ``host`` is the name that its certificate must bear; ``pin`` counts for the pinned modes.

    ``addresses`` are those that the name is already known to lead to; empty, it is resolved.
    """

    leg: Leg
    host: str
    port: int
    security: Security
    pin: str = ""
    addresses: tuple[str, ...] = ()


class Depth(StrEnum):
    """How far a try goes: to a greeting inside TLS, or on to the capabilities, which cost one more exchange."""

    GREETING = "greeting"
    CAPABILITIES = "capabilities"


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of a candidate.

    ``key`` is empty when it works: a server of this leg answers with TLS that can be trusted. Else it is the diagnosis
    key of what stood in the way; ``names`` are those of a certificate that bears other names than the one asked for.
    """

    candidate: Candidate
    key: str = ""
    address: str = ""
    names: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it may be proposed."""
        return not self.key


def prove(
    candidates: Iterable[Candidate], env: ProbeEnvironment, deadline: Deadline, *, patience: float = _PATIENCE
) -> Sequence[Proof]:
    """Try candidates side by side and return what became of each, in their order; nothing is raised.

    One try takes at most ``patience`` seconds, all of them end with ``deadline``: what was not tried by then is
    ``server_silent``. Only permitted targets are connected to; no credential, and no name of a person, is sent.
    """
    wanted = list(dict.fromkeys(candidates))
    if not wanted:
        return ()
    with ThreadPoolExecutor(min(len(wanted), _SIDE_BY_SIDE), thread_name_prefix="alternatives") as pool:
        running = [pool.submit(prove_one, candidate, env, deadline, patience=patience) for candidate in wanted]
        return tuple(proving.result() for proving in running)


def prove_one(
    candidate: Candidate,
    env: ProbeEnvironment,
    deadline: Deadline,
    *,
    patience: float = _PATIENCE,
    depth: Depth = Depth.GREETING,
) -> Proof:
    """Try one candidate, as :func:`prove` does with many."""
    if deadline.expired:
        return Proof(candidate, "server_silent")
    try:
        name = encode_host(candidate.host)
        addresses = candidate.addresses or tuple(env.resolver(name, deadline.shorter(patience)))
    except UnicodeError:
        return Proof(candidate, "invalid_input")
    except socket.gaierror as error:
        return Proof(candidate, "dns_temporary" if error.errno == socket.EAI_AGAIN else "host_not_found")
    except OSError:
        return Proof(candidate, "dns_temporary")
    if not may_connect(addresses, candidate.host, candidate.port, env):
        return Proof(candidate, "forbidden_target" if addresses else "host_not_found")
    limit = deadline.shorter(patience)
    connected, attempts = connect_any(addresses, candidate.port, limit)
    if connected is None:
        refused = any(attempt.result == "refused" for attempt in attempts)
        return Proof(candidate, "port_closed" if refused else "port_filtered")
    address = str(connected.getpeername()[0])
    return replace(_talk(candidate, name, env, Channel(connected, limit), depth), address=address)


def _talk(candidate: Candidate, name: str, env: ProbeEnvironment, channel: Channel, depth: Depth) -> Proof:
    """Return the proof of a candidate that has answered: its encryption, and that it speaks the leg's protocol."""
    security = candidate.security
    try:
        if security.upgrade and not ask_for_tls(channel, candidate.leg, env.ehlo_name or _own_name(channel)):
            return Proof(candidate, "starttls_not_offered")
        if security.encrypted and (refused := _encrypt(candidate, name, env, channel)):
            return refused
        if depth is Depth.CAPABILITIES:
            own = env.ehlo_name or _own_name(channel)
            return Proof(candidate, lacks(channel, candidate.leg, own, greeted=security.upgrade))
        spoken = security.upgrade or kind_of(first_line(channel)) == candidate.leg.value
        return Proof(candidate, "" if spoken else "wrong_protocol")
    except ssl.SSLCertVerificationError as error:
        return Proof(candidate, handshake_key(error))
    except ssl.SSLError as error:
        return Proof(candidate, handshake_key(error) or "connection_dropped")
    except TimeoutError:
        return Proof(candidate, "server_silent")
    except (OSError, EOFError, ValueError):
        return Proof(candidate, "connection_dropped")
    finally:
        channel.close()


def _encrypt(candidate: Candidate, name: str, env: ProbeEnvironment, channel: Channel) -> Proof | None:
    """Shake hands; return why the certificate will not do, with the names that it bears, ``None`` when it will."""
    if candidate.security.pinned:
        channel.start_tls(looking_context(), name)
        changed = candidate.pin and fingerprint(channel.certificate()) != normal_pin(candidate.pin)
        return Proof(candidate, "cert_pin_changed") if changed else None
    channel.start_tls(chain_context(env.trust(candidate.host, candidate.port)), name)
    names = channel.certificate_names()
    return None if bears_name(names, name) else Proof(candidate, "cert_wrong_name", names=names)


def _own_name(channel: Channel) -> str:
    return address_literal(channel.own_address)


@dataclass(frozen=True, slots=True)
class Server:
    """The machine behind a request: its name as it is asked for in TLS, and the address that was checked."""

    name: str
    address: str


class CounterProof:
    """Tries choices of one server. Nothing here raises for what a server does."""

    def __init__(self, request: ProbeRequest, env: ProbeEnvironment, server: Server, deadline: Deadline) -> None:
        self._request = request
        self._env = env
        self._server = server
        self._deadline = deadline

    def patch_for(self, *, same_port: Iterable[Security] = (), neighbours: bool = True) -> Mapping[str, Any]:
        """Return the fields to change so that the connection works, proven just now; ``{}`` when nothing did.

        First the other modes on the port that was asked for, then the usual ports of the leg.
        """
        return self.patch_of(self.proven(same_port=same_port, neighbours=neighbours))

    def starttls_patch(self) -> Mapping[str, Any]:
        """Return the patch of a connection that is not encrypted: STARTTLS on its port, else the usual ports."""
        return self.patch_for(same_port=[Security.STARTTLS])

    def patch_of(self, proven: Sequence[Choice]) -> Mapping[str, Any]:
        """Return the fields that the best of the proven choices changes; ``{}`` when there is none."""
        if not proven:
            return {}
        best = proven[0]
        changed = {"security": best.security.value}
        return changed if best.port == self._request.port else {"port": best.port, **changed}

    def proven(self, *, same_port: Iterable[Security] = (), neighbours: bool = True) -> Sequence[Choice]:
        """Return the choices that work, best first. All are tried at once, so this takes the time of the slowest."""
        choices = [Choice(self._request.port, self._flavour(security)) for security in same_port]
        if neighbours:
            choices += [
                Choice(choice.port, self._flavour(choice.security))
                for choice in self._env.neighbours.get(self._request.leg, ())
                if choice.port != self._request.port
            ]
        candidates = {choice: self._candidate(choice) for choice in choices}
        proofs = prove(candidates.values(), self._env, self._deadline)
        working = {proof.candidate for proof in proofs if proof.works}
        return tuple(choice for choice, candidate in candidates.items() if candidate in working)

    def _candidate(self, choice: Choice) -> Candidate:
        request = self._request
        return Candidate(request.leg, request.host, choice.port, choice.security, request.pin, (self._server.address,))

    def kinds(self) -> Container[Kind]:
        """Return who the asked port turns out to be on three fresh connections side by side.

        One says nothing, one a ClientHello, one an empty command, which a web server refuses in its own words. The
        first answer that decides ends it: TLS, the right protocol, or the web.
        """
        decisive = {Kind.TLS, Kind.WEB, Kind(self._request.leg.value)}
        found: set[Kind] = set()
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for said in (b"", client_hello(self._server.name), b"HELP\r\n\r\n"):
                self._begin(said, selector, stack)
            deadline = self._deadline.shorter(_PATIENCE)
            while selector.get_map() and not decisive & found and not deadline.expired:
                for key, _ in selector.select(deadline.remaining):
                    selector.unregister(key.fileobj)
                    found |= _kind_said(key.data)
        return found

    def _begin(self, said: bytes, selector: selectors.BaseSelector, stack: ExitStack) -> None:
        try:
            channel = self._connect(self._request.port)
            stack.callback(channel.close)
            if said:
                channel.sendall(said)
        except OSError:
            return
        selector.register(channel, selectors.EVENT_READ, channel)

    def certificate(self) -> bytes:
        """Return the certificate shown at the asked port and mode, read without trusting it; ``b""`` if unreadable."""
        request = self._request
        try:
            channel = self._connect(request.port)
        except OSError:
            return b""
        try:
            if request.security.upgrade and not ask_for_tls(
                channel, request.leg, self._env.ehlo_name or _own_name(channel)
            ):
                return b""
            channel.start_tls(looking_context(), self._server.name)
            return channel.certificate()
        except (OSError, EOFError, ValueError):
            return b""
        finally:
            channel.close()

    def name_of(self, names: Sequence[str]) -> str:
        """Return the first of a certificate's names that leads to this very server and is shown by it; else ``""``."""
        for name in [name for name in names if "*" not in name and "." in name][:3]:
            if self._is_server(name):
                return name
        return ""

    def _is_server(self, name: str) -> bool:
        try:
            if self._server.address not in self._env.resolver(name, self._deadline.shorter(_PATIENCE)):
                return False
        except OSError:
            return False
        same = replace(self._candidate(Choice(self._request.port, self._request.security)), host=name)
        return all(proof.works for proof in prove([same], self._env, self._deadline))

    def _flavour(self, security: Security) -> Security:
        """Return the pinned form of a mode where the request is pinned."""
        if not self._request.security.pinned:
            return security
        return Security.SSL_PINNED if security.implicit else Security.STARTTLS_PINNED

    def _connect(self, port: int) -> Channel:
        deadline = self._deadline.shorter(_PATIENCE)
        return Channel(connect(self._server.address, port, deadline), deadline)


def _kind_said(channel: Channel) -> set[Kind]:
    try:
        return {kind_of(first_words(channel))}
    except OSError:
        return set()
