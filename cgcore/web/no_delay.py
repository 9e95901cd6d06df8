"""Answers leave at once: TCP_NODELAY on each connection."""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["NoDelay"]

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class NoDelay:
    """ASGI application around ``app``: switches Nagle's algorithm (RFC 896) off on the connection of each request.

    Head and body of an answer, and the messages of a websocket, are written one by one. With the algorithm each waits
    until the browser has acknowledged the one before, up to 40 ms on Linux. asyncio switches it off only on sockets
    that were opened with the protocol number of TCP, and Streamlit opens its own without one.

    The connection is taken from the server's ``send``; a server that does not have it there is left alone.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        _send_at_once(getattr(getattr(send, "__self__", None), "transport", None))
        await self._app(scope, receive, send)


def _send_at_once(transport: Any) -> None:
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in _FAMILIES:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
