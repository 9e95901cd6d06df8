"""How the server was started, as a value that assembly and checks hand on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PLACE_HEADER", "ServerFacts"]

PLACE_HEADER = "x-cg-place"
"""What the gate tells pages: the socket that the browser came in by, ``host:port``, whoever started the server."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How the server was started: the address it listens on, its guards, its own TLS, its number of processes."""

    address: str
    cors: bool = True
    xsrf: bool = True
    tls: bool = False
    workers: int = 1
