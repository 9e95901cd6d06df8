"""A sent folder of a scripted server that finds by its Message-ID what lies in it."""

from __future__ import annotations

import re
from collections import Counter

from tests.servers.scripted_imap import ImapScript
from tests.servers.wire import Wire

__all__ = ["SentFolder", "find_message_id"]


def find_message_id(raw: bytes) -> str:
    """Return the Message-ID of a message, also where something stands before its first line."""
    found = re.search(rb"(?im)^message-id: *(<[^>]+>)", raw)
    assert found is not None
    return found[1].decode()


class SentFolder:
    """The conversation; ``filed`` counts how often each message was filed."""

    def __init__(self) -> None:
        self.filed: Counter[str] = Counter()
        self._played = ImapScript(untagged={"UID SEARCH": b"* SEARCH\r\n"})

    def __call__(self, wire: Wire) -> None:
        """Play it to one client."""
        say, read, keep, asked = wire.send, wire.read_line, wire.keep, list[bytes]()

        def read_line() -> bytes:
            asked.append(read())
            return asked[-1]

        def send(data: bytes) -> None:
            known = bool(asked) and any(name.encode() in asked[-1] for name in self.filed)
            say(data.replace(b"* SEARCH\r\n", b"* SEARCH 9\r\n") if known else data)

        def kept(message: bytes) -> None:
            self.filed[find_message_id(message)] += 1
            keep(message)

        wire.send, wire.read_line, wire.keep = send, read_line, kept
        self._played(wire)
