"""TCP to every address of a host at once; the first that answers is used, each result is kept."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from cgcore.mail.deadline import Deadline

__all__ = ["Attempt", "connect", "connect_any"]

_GRACE = 0.25  # seconds that the other addresses get once one has answered
_CAP = 5.0  # seconds for one connection: what is left goes to the counter-proof

_KINDS = {
    0: "ok",
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.ETIMEDOUT: "timeout",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one address: ``ok``, ``refused``, ``timeout``, ``unreachable`` or ``wrong_peer``, and its time."""

    ip: str
    result: str
    ms: int

    def to_json(self) -> dict[str, Any]:
        """Return the attempt as plain JSON values."""
        return {"ip": self.ip, "result": self.result, "ms": self.ms}


class _Race:
    """Non-blocking connections to all addresses; used once."""

    def __init__(self, addresses: Sequence[str], port: int) -> None:
        # poll costs no descriptor of its own, and a host has few addresses.
        self._selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)()
        self._started = time.monotonic()
        self._results: dict[str, Attempt] = {}
        self._order = list(addresses)
        self.winner: socket.socket | None = None
        for ip in addresses:
            self._start(ip, port)

    def _start(self, ip: str, port: int) -> None:
        family = socket.AF_INET6 if ip_address(ip).version == 6 else socket.AF_INET
        try:
            candidate = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # a kernel without IPv6
            self._finish(ip, error.errno or errno.EAFNOSUPPORT)
            return
        candidate.setblocking(False)
        code = candidate.connect_ex((ip, port))
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._selector.register(candidate, selectors.EVENT_WRITE, ip)
        else:
            self._settle(candidate, ip, code)

    def _settle(self, candidate: socket.socket, ip: str, code: int) -> None:
        if code == 0 and ip_address(candidate.getpeername()[0]) != ip_address(ip):
            self._finish(ip, errno.EPROTO)
            candidate.close()
            return
        self._finish(ip, code)
        if code == 0 and self.winner is None:
            self.winner = candidate
        else:
            candidate.close()

    def _finish(self, ip: str, code: int) -> None:
        kind = "wrong_peer" if code == errno.EPROTO else _KINDS.get(code, "unreachable")
        self._results[ip] = Attempt(ip, kind, round((time.monotonic() - self._started) * 1000))

    def run(self, deadline: Deadline) -> list[Attempt]:
        while self._selector.get_map():
            wait = min(deadline.remaining, _GRACE) if self.winner else deadline.remaining
            events = self._selector.select(wait) if wait > 0 else []
            if not events:
                break
            for key, _ in events:
                candidate: Any = key.fileobj
                self._selector.unregister(candidate)
                self._settle(candidate, key.data, candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if self.winner and not self._selector.get_map():
                break
        for key in list(self._selector.get_map().values()):
            self._finish(key.data, errno.ETIMEDOUT)
            pending: Any = key.fileobj
            pending.close()
        self._selector.close()
        return [self._results[ip] for ip in self._order]


def connect_any(
    addresses: Sequence[str], port: int, deadline: Deadline
) -> tuple[socket.socket | None, Sequence[Attempt]]:
    """Connect to every address side by side; return the first that answered, and what became of each.

    The socket is non-blocking until a timeout is set, has Nagle's algorithm off, and its peer is the address that was
    asked for. ``None`` when no address answered before the deadline (at most 5 s).
    """
    race = _Race(list(dict.fromkeys(addresses)), port)
    attempts = race.run(deadline.shorter(_CAP))
    if race.winner is not None:
        race.winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return race.winner, attempts


def connect(address: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to one address; raise ``OSError``."""
    winner, attempts = connect_any([address], port, deadline)
    if winner is None:
        code = errno.ECONNREFUSED if attempts[0].result == "refused" else errno.ETIMEDOUT
        raise OSError(code, os.strerror(code))
    return winner
