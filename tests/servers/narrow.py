"""A mail server that takes few recipients with one message, and notes who got which bytes."""

from __future__ import annotations

from collections import Counter

from tests.servers.scripted import SmtpScript
from tests.servers.wire import Closed, Wire

__all__ = ["NarrowServer"]


class NarrowServer:
    """Takes ``most`` recipients at once; the next one is told ``reply``, or the whole is, where it ``tells_late``.

    ``handed`` are the bytes and the recipients of each message that it has taken. ``cut`` names the one, counted from
    1, whose dot it answers by hanging up. ``refused`` are addresses that it does not know. The first ``delayed`` dots
    are told to come again.
    """

    def __init__(
        self,
        most: int,
        reply: bytes = b"452 4.5.3 Too many recipients",
        *,
        tells_late: bool = False,
        cut: int = 0,
        refused: dict[str, bytes] | None = None,
        delayed: int = 0,
    ) -> None:
        self._most, self._reply, self._late, self._cut = most, reply + b"\r\n", tells_late, cut
        self._delayed = delayed
        # The very dictionary: what a test takes out of it is known from then on.
        self._played = SmtpScript(users={}, refused={} if refused is None else refused)
        self.handed: list[tuple[bytes, tuple[str, ...]]] = []
        self.told = 0

    @property
    def times(self) -> Counter[str]:
        """How often each recipient got something."""
        return Counter(address for _, addresses in self.handed for address in addresses)

    def __call__(self, wire: Wire) -> None:
        """Play to one client."""
        read, say, taken, line = wire.read_line, wire.send, list[str](), [b""]

        def read_line() -> bytes:
            line[0] = read()
            if line[0][:4].upper() in (b"MAIL", b"RSET"):
                taken.clear()
            return line[0]

        def send(data: bytes) -> None:
            is_recipient = line[0][:4].upper() == b"RCPT" and data.startswith(b"250")
            if (is_recipient and not self._late and len(taken) == self._most) or (
                line[0] == b"." and self._late and len(taken) > self._most
            ):
                self.told += 1
                data = self._reply
            elif line[0] == b"." and self._delayed:
                self._delayed -= 1
                data = b"451 4.3.0 Try again later\r\n"
            elif is_recipient:
                taken.append(line[0].split(b"<")[1].split(b">")[0].decode())
            say(data)

        def keep(message: bytes) -> None:
            if self._delayed or (self._late and len(taken) > self._most):
                return
            self.handed.append((message, tuple(taken)))
            if len(self.handed) == self._cut:
                raise Closed

        wire.read_line, wire.send, wire.keep = read_line, send, keep
        self._played(wire)
