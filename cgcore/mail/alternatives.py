"""The counter-proof: other ports and modes of the same server, tried live and without credentials."""

from __future__ import annotations

import selectors
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from cgcore.mail.account import Security, normal_pin
from cgcore.mail.addresses import address_literal
from cgcore.mail.network.greeting import Kind, ask_for_tls, first_line, first_words, kind_of
from cgcore.mail.network.policy import is_allowed, may_connect
from cgcore.mail.network.sockets import Channel, Deadline, connect
from cgcore.mail.network.tls import client_hello, fingerprint, looking_context, verifying_context
from cgcore.mail.request import Choice, ProbeEnvironment, ProbeRequest

__all__ = ["CounterProof", "Server", "reaches"]

_PATIENCE = 1.5  # seconds for one try: what is alive answers within that


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
        choices = [choice for choice in choices if self._may_try(choice)]
        if not choices or self._deadline.expired:
            return ()
        with ThreadPoolExecutor(len(choices), thread_name_prefix="counterproof") as pool:
            answers = {pool.submit(self.works, choice): choice for choice in choices}
            working = {answers[future] for future in as_completed(answers) if future.result()}
        return tuple(choice for choice in choices if choice in working)

    def works(self, choice: Choice) -> bool:
        """Whether a mail server of this leg answers at ``choice`` with TLS that can be trusted."""
        try:
            return self._try(choice)
        except (OSError, EOFError, ValueError):
            return False

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
            if request.security.upgrade and not ask_for_tls(channel, request.leg, self._ehlo_name(channel)):
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
        other = CounterProof(self._request, self._env, replace(self._server, name=name), self._deadline)
        return other.works(Choice(self._request.port, self._request.security))

    def _flavour(self, security: Security) -> Security:
        """Return the pinned form of a mode where the request is pinned."""
        if not self._request.security.pinned:
            return security
        return Security.SSL_PINNED if security.implicit else Security.STARTTLS_PINNED

    def _may_try(self, choice: Choice) -> bool:
        return is_allowed(self._server.address, self._request.host, choice.port, self._env)

    def _connect(self, port: int) -> Channel:
        deadline = self._deadline.shorter(_PATIENCE)
        return Channel(connect(self._server.address, port, deadline), deadline)

    def _ehlo_name(self, channel: Channel) -> str:
        return self._env.ehlo_name or address_literal(channel.own_address)

    def _try(self, choice: Choice) -> bool:
        leg, port = self._request.leg, choice.port
        channel = self._connect(port)
        try:
            if choice.security.upgrade and not ask_for_tls(channel, leg, self._ehlo_name(channel)):
                return False
            context = (
                looking_context()
                if choice.security.pinned
                else verifying_context(self._env.trust(self._request.host, port))
            )
            channel.start_tls(context, self._server.name)
            pin = normal_pin(self._request.pin)
            if pin and choice.security.pinned and fingerprint(channel.certificate()) != pin:
                return False
            return choice.security.upgrade or kind_of(first_line(channel)) == leg.value
        finally:
            channel.close()


def reaches(host: str, request: ProbeRequest, env: ProbeEnvironment, deadline: Deadline) -> bool:
    """Whether another host answers at the port and with the encryption of ``request``."""
    if not request.security.encrypted:
        return False
    try:
        addresses = env.resolver(host, deadline.shorter(_PATIENCE))
    except OSError:
        return False
    other = replace(request, host=host)
    if not may_connect(addresses, host, request.port, env):
        return False
    proof = CounterProof(other, env, Server(host, addresses[0]), deadline)
    return proof.works(Choice(request.port, request.security))


def _kind_said(channel: Channel) -> set[Kind]:
    try:
        return {kind_of(first_words(channel))}
    except OSError:
        return set()
