"""Sockets that keep to one deadline: the race to the addresses of a host, and the channel over the winner."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import zip_longest
from typing import Any

__all__ = [
    "MAX_BYTES",
    "MAX_LINE",
    "Attempt",
    "Channel",
    "Deadline",
    "FloodError",
    "SocketLike",
    "connect",
    "connect_any",
    "few_addresses",
]

#: The longest line that is read: far above RFC 5321 §4.5.3.1.5 (512) and RFC 9051's advice, far below a flood.
MAX_LINE = 65_536
#: All that a server may send over one connection unless the caller allows more.
MAX_BYTES = 8 * 1024 * 1024

_GOODBYE = 2.0  # seconds
_TOLERANCE = 0.05  # seconds by which one operation may outlast the deadline
_PIECE = 16_384  # one TLS record
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux

SocketLike = socket.socket


class FloodError(ConnectionError):
    """The server sent more than any mail server has to say: a line without end, or too many of them."""


class Channel:
    """A connected socket, read by lines and counted bytes.

    A timeout of a socket counts per operation, so a server that drips one byte a second holds it for ever; here each
    operation gets what is left of ``deadline``, which may be exchanged for a shorter one while waiting for a greeting.
    ``allowance`` is the number of bytes that may still come in.
    """

    def __init__(self, connected: SocketLike, deadline: Deadline, *, allowance: int = MAX_BYTES) -> None:
        self._socket: socket.socket = connected
        self._unread = b""
        self._just_encrypted = False
        self._wait = -1.0  # the timeout that the socket has now
        self.deadline = deadline
        self.allowance = allowance

    @property
    def encrypted(self) -> bool:
        """Whether what is sent now travels inside TLS."""
        return isinstance(self._socket, ssl.SSLSocket)

    @property
    def own_address(self) -> str:
        """The IP address of our end."""
        return str(self._socket.getsockname()[0])

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, ``b""`` at the end; raise ``TimeoutError`` or :class:`FloodError`."""
        if self._unread:
            self.deadline.timeout()  # time that has passed has passed, whatever came in meanwhile
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        if self.allowance <= 0:
            raise FloodError("the server does not stop talking")
        self._limit_wait()
        if self._just_encrypted:
            self._acknowledge_at_once()
            self._just_encrypted = False
        data = self._socket.recv(min(size, self.allowance))
        self.allowance -= len(data)
        return data

    def _limit_wait(self) -> None:
        """Give the next operation what is left of the time; a difference nobody notices saves a system call."""
        left = self.deadline.timeout()
        if not self._wait - _TOLERANCE < left <= self._wait:
            self._socket.settimeout(left)
            self._wait = left

    def _acknowledge_at_once(self) -> None:
        # Postfix holds its reply to EHLO until its TLS tickets are acknowledged (Nagle), which the kernel would delay
        # by 40 ms. The option lasts until something is sent, so it is set while waiting for the first reply.
        if _QUICK_ACK is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def unread(self, data: bytes) -> None:
        """Put back what was looked at; the next read starts with it."""
        self._unread = data + self._unread

    def read_line(self) -> bytes:
        """Return the next line with its end; only what there was of it when the connection ended before that.

        Raises :class:`FloodError` for a line longer than :data:`MAX_LINE`, and what :meth:`recv` raises.
        """
        pieces = [self.recv(_PIECE)]
        length = len(pieces[0])
        while pieces[-1] and b"\n" not in pieces[-1]:
            if length > MAX_LINE:
                raise FloodError("a line without end")
            pieces.append(self.recv(_PIECE))
            length += len(pieces[-1])
        line, end, rest = b"".join(pieces).partition(b"\n")
        self.unread(rest)
        if len(line) > MAX_LINE:
            raise FloodError("a line without end")
        return line + end

    def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer when the connection ended before that."""
        pieces: list[bytes] = []
        while size > 0 and (piece := self.recv(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    @property
    def quiet(self) -> bool:
        """Whether nothing has come in that nobody has read: neither words out of turn nor the end of the connection."""
        if self._unread:
            return False
        self._socket.settimeout(0)
        self._wait = -1.0
        try:
            # Read, not asked by select: what makes a TLS socket readable may be a session ticket.
            self._unread = self._socket.recv(_PIECE)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, piece by piece, so that a peer that hardly reads cannot stretch the deadline."""
        rest = memoryview(data)
        while rest:
            self._limit_wait()
            rest = rest[self._socket.send(rest) :]

    def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands; raise ``ssl.SSLError``, ``TimeoutError`` or another ``OSError``.

        What has come in and was not read is dropped: nothing that came in clear may be read after the upgrade
        (NO STARTTLS, response injection).
        """
        self._unread = b""
        self._limit_wait()
        wrapped = context.wrap_socket(self._socket, server_hostname=server_hostname, do_handshake_on_connect=False)
        self._socket = wrapped
        wrapped.do_handshake()
        self._just_encrypted = True

    def hurry(self) -> None:
        """Leave little time for what is left, the goodbye: it decides nothing."""
        self.deadline = self.deadline.shorter(_GOODBYE)

    def certificate(self) -> bytes:
        """Return the certificate that the server showed, in DER form; ``b""`` without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return b""
        return self._socket.getpeercert(binary_form=True) or b""

    def certificate_names(self) -> tuple[str, ...]:
        """Return the names and addresses of the verified certificate; its common name where it bears no other."""
        found: Any = self._socket.getpeercert() if isinstance(self._socket, ssl.SSLSocket) else None
        if not found:
            return ()
        names = tuple(str(value) for _, value in found.get("subjectAltName", ()))
        return names or tuple(
            str(value) for row in found.get("subject", ()) for name, value in row if name == "commonName"
        )

    def tls_facts(self) -> dict[str, str]:
        """Return ``version`` and ``cipher`` of the TLS connection; ``{}`` without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return {}
        cipher = self._socket.cipher()
        return {"version": self._socket.version() or "", "cipher": cipher[0] if cipher else ""}

    def settimeout(self, value: float | None) -> None:
        """Do nothing: the deadline rules (smtplib and imaplib call this)."""

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close at once, without waiting for anybody."""
        with suppress(OSError):
            self._socket.close()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock. Socket timeouts are per operation: ask :meth:`timeout` before each one."""

    ends: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Return the deadline ``seconds`` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.ends - self.clock())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def timeout(self, cap: float | None = None) -> float:
        """Return the seconds that the next operation may take, at most ``cap``; raise ``TimeoutError`` when none are.

        Never zero, which would make a socket non-blocking.
        """
        left = self.remaining
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left if cap is None else min(left, cap)

    def shorter(self, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now, or this one if it is sooner."""
        return Deadline(min(self.ends, self.clock() + seconds), self.clock)


_MOST_ADDRESSES = 8
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


def few_addresses(addresses: Sequence[str]) -> list[str]:
    """Return the addresses of a host that are tried: each once, of both kinds, and never more than a few.

    Each costs a descriptor while it is tried, and whoever owns the name says how many there are (RFC 8305, section 9.2
    leaves the number open).
    """
    known = list(dict.fromkeys(addresses))
    if len(known) <= _MOST_ADDRESSES:
        return known
    kinds = ([each for each in known if ":" in each], [each for each in known if ":" not in each])
    taken = [each for pair in zip_longest(*kinds) for each in pair if each][:_MOST_ADDRESSES]
    return [each for each in known if each in taken]


def connect_any(
    addresses: Sequence[str], port: int, deadline: Deadline
) -> tuple[socket.socket | None, Sequence[Attempt]]:
    """Connect to a few addresses of a host side by side; return the first that answered, and what became of each.

    The socket is non-blocking until a timeout is set, has Nagle's algorithm off, and its peer is the address that was
    asked for. ``None`` when no address answered before the deadline (at most 5 s).
    """
    race = _Race(few_addresses(addresses), port)
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
