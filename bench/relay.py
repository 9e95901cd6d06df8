"""A relay on loopback that counts round trips, and can make each one wait."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

__all__ = ["Relay"]


class Relay:
    """Forwards connections to ``port``; a round trip is counted whenever the client speaks after the server has.

    ``delay`` (seconds) is waited once in each round trip, before the client's words are passed on.
    """

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self._target, self._delay = port, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.round_trips = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            turn = _Turn()
            threading.Thread(target=self._pump, args=(client, server, turn, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, turn, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, turn: _Turn, from_client: bool) -> None:
        try:
            while data := source.recv(65536):
                # Whoever sends small pieces by Nagle's rule waits for this: 40 ms that no line would add.
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                if from_client and turn.server_spoke:
                    self.round_trips += 1
                    time.sleep(self._delay)
                turn.server_spoke = not from_client
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Turn:
    server_spoke = True
