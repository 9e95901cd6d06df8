"""The websockets that are open, by log-in, so that a log-out closes every tab at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

__all__ = ["LiveSockets", "Socket"]

_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


class Socket:
    """One open websocket. After :meth:`end` nothing that the app still sends goes out."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._accepted = False
        self._ended = False

    async def send(self, message: Any) -> None:
        """Pass a message of the app on to the browser."""
        if self._ended:
            return
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self._ended = message["type"] == "websocket.close"
        await self._send(message)

    async def end(self, farewell: bytes) -> None:
        """Say ``farewell`` to the page, when there is one and it is listening, and close."""
        if self._ended:
            return
        self._ended = True
        # The browser may be gone already, in whatever way its server finds out.
        with suppress(Exception):
            if self._accepted and farewell:
                await self._send({"type": "websocket.send", "bytes": farewell})
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})


class LiveSockets:
    """The open websockets of this process. Added and removed on the event loop, ended from any thread."""

    def __init__(self, farewell: bytes = b"") -> None:
        self._farewell = farewell
        self._sockets: defaultdict[str, set[Socket]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session_hash: str, socket: Socket) -> None:
        """Note an open socket of this log-in."""
        self._loop = asyncio.get_running_loop()
        self._sockets[session_hash].add(socket)

    def remove(self, session_hash: str, socket: Socket) -> None:
        """Forget a socket that has closed."""
        self._sockets[session_hash].discard(socket)
        if not self._sockets[session_hash]:
            del self._sockets[session_hash]

    def end(self, session_hashes: Iterable[str]) -> None:
        """End every open socket of these log-ins."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_ending, list(session_hashes))

    def _start_ending(self, session_hashes: list[str]) -> None:
        for session_hash in session_hashes:
            for socket in list(self._sockets.get(session_hash, ())):
                task = asyncio.ensure_future(socket.end(self._farewell))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
