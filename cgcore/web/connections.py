"""Connections are bounded: by the descriptors of the process, by source, and by how long one may be silent.

uvicorn waits without end for the first request of a connection, for the rest of a head and for the rest of a body, and
when the descriptors are used up asyncio says so two thousand times a second. Nothing of this can be set under
``streamlit run``, which builds its own server. So :class:`Connections` looks at each connection as the event loop
makes it, and at each request as it begins and ends.

Apart from :mod:`cgcore.web.assembly`: it stands around the whole application, below HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from cgcore.logs import limit_repeats
from cgcore.settings import Network

__all__ = ["ConnectionLimits", "Connections", "raise_descriptor_limit"]

_WANTED_DESCRIPTORS = 16_384
# For files, databases, mail servers and what a library opens for a moment.
_RESERVED = 256
# What the kernel may hand over at once: more could use up the descriptors before one of them has been looked at.
_BACKLOG = 128
_LOOK_EVERY_S = 1.0
# How long a server that is told to stop waits for answers under way: whoever stops it kills it ten seconds later.
_STOP_S = 4
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
_MANY = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may (RLIMIT_NOFILE), up to a sane number; return the limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit on sockets
        return _WANTED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, _WANTED_DESCRIPTORS)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be in all and from one source, and the seconds that one may take or be silent."""

    in_all: int = 4096
    per_source: int = 256
    silent_s: float = 15.0
    body_pause_s: float = 30.0
    body_bytes_per_s: int = 500

    @classmethod
    def within(cls, descriptors: int) -> ConnectionLimits:
        """Return the limits for a process that may open so many files."""
        usual = cls()
        in_all = min(usual.in_all, max(descriptors - _RESERVED, descriptors // 2))
        return cls(in_all=in_all, per_source=min(usual.per_source, in_all // 2))


@dataclass(eq=False, slots=True)
class _Connection:
    transport: Any
    source: str
    since: float
    requests: int = 0


@dataclass
class Connections:
    """ASGI application around ``app``, the outermost of all.

    ``proxies`` are sources that speak for many people, as does this machine itself: only the limit of all counts there.
    """

    app: Any
    proxies: Collection[Network] = ()
    limits: ConnectionLimits = ConnectionLimits()
    clock: Callable[[], float] = time.monotonic
    _open: dict[Any, _Connection] = field(default_factory=dict[Any, _Connection])
    _looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on; at start, begin to look at connections."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        connection = self._open.get(getattr(getattr(send, "__self__", None), "transport", None))
        if connection is None:
            await self.app(scope, receive, send)
            return
        connection.requests += 1
        try:
            if scope["type"] == "http" and any(name in _BODY_HEADERS for name, _ in scope["headers"]):
                receive = self._hurrying(receive, connection)
            await self.app(scope, receive, send)
        finally:
            connection.requests -= 1
            connection.since = self.clock()

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        limit_repeats()
        self._watch(asyncio.get_running_loop())
        self._looking = asyncio.create_task(self._look(), name="connections")
        try:
            await self.app(scope, receive, send)
        finally:
            self._looking.cancel()

    def _watch(self, loop: Any) -> None:
        """See the connections of the server that this loop is about to open, and of no other."""
        create = loop.create_server

        async def create_server(factory: Any, *arguments: Any, **options: Any) -> Any:
            with suppress(AttributeError):
                del loop.create_server
            options["backlog"] = min(options.get("backlog", _BACKLOG), _BACKLOG)
            return await create(lambda: self._seen(factory()), *arguments, **options)

        # A loop that is no Python object keeps its own: then nothing is bounded here, and all works.
        with suppress(AttributeError):
            loop.create_server = create_server

    def _seen(self, protocol: Any) -> Any:
        made = protocol.connection_made

        def connection_made(transport: Any) -> None:
            if self.admit(transport):
                made(transport)
            else:
                transport.set_protocol(asyncio.Protocol())
                transport.abort()

        protocol.connection_made = connection_made
        config = getattr(protocol, "config", None)
        if config is not None and getattr(config, "timeout_graceful_shutdown", 0) is None:
            # The server reads it when it stops. As it is, it waits without end, and tells the workbench only then.
            config.timeout_graceful_shutdown = _STOP_S
        return protocol

    def admit(self, transport: Any) -> bool:
        """Note a new connection. Where there are too many, the one that has waited longest gives way, or else it."""
        connection = _Connection(transport, _find_source(transport), self.clock())
        if not self._make_room(connection.source):
            return False
        self._open[transport] = connection
        return True

    def _make_room(self, source: str) -> bool:
        if len(self._open) >= min(self.limits.in_all, self.limits.per_source):
            self._forget_closed()
        sources = Counter(each.source for each in self._open.values()) if self._open else Counter[str]()
        if sources[source] >= self.limits.per_source and not self._speaks_for_many(source):
            return self._close_oldest(source)
        if len(self._open) >= self.limits.in_all:
            # Whoever has most of them gives one.
            return any(self._close_oldest(each) for each, _ in sources.most_common())
        return True

    def _close_oldest(self, source: str) -> bool:
        waiting = [each for each in self._open.values() if each.source == source and not each.requests]
        if not waiting:
            return False
        self._close(min(waiting, key=lambda each: each.since))
        return True

    def _close(self, connection: _Connection) -> None:
        connection.transport.abort()
        self._open.pop(connection.transport, None)

    def _forget_closed(self) -> None:
        for transport in [each for each in self._open if each.is_closing()]:
            del self._open[transport]

    def _speaks_for_many(self, source: str) -> bool:
        try:
            address = ip_address(source)
        except ValueError:
            return not source
        return any(address in network for network in (*self.proxies, *_MANY))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.close_silent()

    def close_silent(self) -> None:
        """Close what has had no request under way for too long, however many bytes of one have come."""
        self._forget_closed()
        oldest = self.clock() - self.limits.silent_s
        for connection in list(self._open.values()):
            if not connection.requests and connection.since < oldest:
                self._close(connection)

    def _hurrying(self, receive: Any, connection: _Connection) -> Any:
        """Return a channel that gives up on a body that does not come."""
        began, received, whole = self.clock(), 0, False

        async def hurry() -> Any:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.limits.body_pause_s)
            except TimeoutError:
                message = {"type": "http.disconnect"}
            received += len(message.get("body", b""))
            whole = message["type"] == "http.disconnect" or not message.get("more_body", False)
            allowed = self.limits.body_pause_s + received / self.limits.body_bytes_per_s
            if message["type"] == "http.disconnect" or (not whole and self.clock() - began > allowed):
                self._close(connection)
                return {"type": "http.disconnect"}
            return message

        return hurry


def _find_source(transport: Any) -> str:
    peer = transport.get_extra_info("peername")
    # A Unix socket has a path, or nothing.
    return "" if not peer or isinstance(peer, str | bytes) else str(peer[0])
