"""A relay that cuts each connection at a byte of its own: inside what the client says, or inside what it is told."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["Cut", "CuttingRelay"]

_END = b"\r\n.\r\n"


@dataclass(frozen=True)
class Cut:
    """Where a connection ends: after so many ``bytes`` of one side, by a reset or as one that hangs up."""

    at: int
    of_client: bool
    resets: bool


class CuttingRelay:
    """Forwards to ``port``, cutting by the next of ``cuts``, ``None``: this one not; behind the last it cuts nothing.

    ``whole`` are the bytes of both sides, the client's first, of the last connection that was not cut.
    ``dots`` counts for each Message-ID how often its final dot has come in whole from a client; ``made`` is how many
    connections were cut.
    """

    def __init__(self, port: int, cuts: Iterator[Cut | None]) -> None:
        self._target, self._cuts = port, cuts
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.dots: Counter[bytes] = Counter()
        self.made = 0
        self.whole = (0, 0)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    cut = next(self._cuts, None)
                threading.Thread(target=self._play, args=(client, server, cut), daemon=True).start()

    def _play(self, client: socket.socket, server: socket.socket, cut: Cut | None) -> None:
        # One thread for both ways: nobody else is inside a call of a socket that is closed, so a reset is one at once.
        heard, passed, told = b"", 0, {True: 0, False: 0}
        with suppress(OSError):
            while True:
                for source in select.select([client, server], [], [])[0]:
                    of_client, sink = source is client, server if source is client else client
                    data = source.recv(65536)
                    told[of_client] += len(data)
                    heard = self._count(heard + data) if of_client else heard
                    if cut is not None and cut.of_client is of_client:
                        if passed + len(data) >= cut.at:
                            sink.sendall(data[: cut.at - passed])
                            self._end(client, server, cut)
                            return
                        passed += len(data)
                    if not data:
                        raise ConnectionResetError
                    sink.sendall(data)
        self.whole = (told[True], told[False])
        client.close()
        server.close()

    def _count(self, heard: bytes) -> bytes:
        while _END in heard:
            message, _, heard = heard.partition(_END)
            name = message.lower().partition(b"message-id:")[2].split(b"\r\n")[0].strip()
            with self._lock:
                self.dots[name] += 1
        return heard

    def _end(self, source: socket.socket, sink: socket.socket, cut: Cut) -> None:
        with self._lock:
            self.made += 1
        for end in (source, sink):
            with suppress(OSError):
                if cut.resets:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
