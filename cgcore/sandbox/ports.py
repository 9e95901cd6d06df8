"""The listening sockets of the sandbox: the ports of the last run where they are free."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress

from cgcore.sandbox.account import HOST, SandboxPorts

__all__ = ["listen"]

# Below the ports that systems hand out to outgoing connections, so that they are still free after a restart.
_PORT_RANGE = range(20_000, 32_000)
_PORT_TRIES = 50


def listen(wanted: SandboxPorts | None) -> list[socket.socket]:
    """Return four listening sockets, in the order of the ports."""
    return [_bind(port) for port in wanted or (0, 0, 0, 0)]


def _bind(wanted: int) -> socket.socket:
    tries = [secrets.choice(_PORT_RANGE) for _ in range(_PORT_TRIES)]
    for port in (wanted, *tries) if wanted else tries:
        with suppress(OSError):
            return _listen_on(port)
    return _listen_on(0)


def _listen_on(port: int) -> socket.socket:
    # The protocol is named because asyncio sends without delay (TCP_NODELAY) only on sockets that name it: without,
    # each answer in two pieces waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
