"""A threaded server on a real loopback socket that plays a script and writes down every line it hears."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["Closed", "Script", "ScriptedServer", "Wire"]

_SERVING = "scripted-server-client"

Script = Callable[["Wire"], None]


class Closed(Exception):
    """The client has gone, or the server is being stopped."""


class Wire:
    """One connection as the script sees it."""

    def __init__(self, server: ScriptedServer, connection: socket.socket) -> None:
        self._server = server
        self._socket = connection
        self._buffer = b""
        self.encrypted = isinstance(connection, ssl.SSLSocket)
        self.segments = 0

    def send(self, data: bytes) -> None:
        """Send ``data`` in one piece."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Closed from error

    def drip(self, data: bytes, seconds: float = 1.0) -> None:
        """Send ``data`` one byte every ``seconds``."""
        for byte in data:
            self.send(bytes([byte]))
            self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        if self._server.stopping.wait(seconds):
            raise Closed

    def hold(self) -> None:
        """Say nothing until the client leaves or the server stops."""
        while self._receive():
            pass

    def read_line(self) -> bytes:
        """Return the next line without its end; it is recorded."""
        while b"\n" not in self._buffer:
            if not self._receive():
                raise Closed
        line, self._buffer = self._buffer.split(b"\n", 1)
        line = line.removesuffix(b"\r")
        self._server.note(line, encrypted=self.encrypted)
        return line

    def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes (a literal); they are recorded as one entry."""
        while len(self._buffer) < size:
            if not self._receive():
                raise Closed
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self._server.note(data, encrypted=self.encrypted)
        return data

    def keep(self, message: bytes) -> None:
        """Keep a message that the client handed over."""
        self._server.messages.append(message)

    def start_tls(self) -> None:
        """Do the server's half of the handshake on this connection."""
        assert self._server.context is not None, "this server has no certificate"
        self._buffer = b""
        try:
            self._socket = self._server.context.wrap_socket(self._socket, server_side=True)
        except OSError as error:
            raise Closed from error
        self._server.adopt(self._socket)
        self.encrypted = True

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except OSError as error:
            raise Closed from error
        self._buffer += data
        self.segments += bool(data)
        self._server.segments += bool(data)
        return bool(data)


class ScriptedServer:
    """A server that plays ``script`` to each client, in a thread of its own, on 127.0.0.1 and a free port.

    ``lines`` are all lines heard, ``plain_lines`` those heard outside TLS, ``connections`` counts clients,
    ``messages`` are those handed over, ``segments`` the pieces received (the client's half of the round trips).
    """

    def __init__(
        self,
        script: Script,
        *,
        context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        self._script = script
        self._implicit_tls = implicit_tls
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.context = context
        self.stopping = threading.Event()
        self.lines: list[bytes] = []
        self.plain_lines: list[bytes] = []
        self.messages: list[bytes] = []
        self.connections = 0
        self.segments = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.host: str = host
        self.port: int = self._listener.getsockname()[1]

    def heard(self, text: str | bytes) -> bool:
        """Return whether ``text`` was in anything the clients sent."""
        needle = text.encode() if isinstance(text, str) else text
        return any(needle in line for line in self.lines)

    def wait_for_goodbye(self, seconds: float = 5.0) -> bool:
        """Return whether every client has left, once they have or the time is over."""
        with self._lock:
            serving = [thread for thread in self._threads if thread.name == _SERVING]
        for thread in serving:
            thread.join(seconds)
        return not any(thread.is_alive() for thread in serving)

    def note(self, line: bytes, *, encrypted: bool) -> None:
        """Write down a line that a client sent."""
        with self._lock:
            self.lines.append(line)
            if not encrypted:
                self.plain_lines.append(line)

    def adopt(self, connection: socket.socket) -> None:
        """Close ``connection`` too when the server stops."""
        with self._lock:
            self._sockets.append(connection)

    def __enter__(self) -> Self:
        self._start("scripted-server", self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in list(self._threads):
            thread.join(timeout=5)

    def _start(self, name: str, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True, name=name)
        with self._lock:
            self._threads.append(thread)
            thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.adopt(connection)
            self._start(_SERVING, self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(self, connection)
        with suppress(Closed):
            if self._implicit_tls:
                wire.start_tls()
            self._script(wire)
        wire.close()
