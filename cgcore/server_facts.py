"""How the server was started, as a value that assembly and checks hand on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerFacts"]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How the server was started: the address it listens on, its guards, its own TLS, its number of processes."""

    address: str
    cors: bool = True
    xsrf: bool = True
    tls: bool = False
    workers: int = 1
