"""What an IMAP server answers to one command, and the door through which commands go out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from cgcore.mail.steps import Step
from cgcore.mail.trace import OpenStage

__all__ = [
    "ImapClient",
    "Outcome",
    "Reply",
    "Row",
    "capability_names",
    "numbers",
    "refused",
    "response_code",
    "without_referral",
]

_REFERRAL = re.compile(rb"\[REFERRAL [^\]]*\]?", re.IGNORECASE)

#: One untagged row: a line, or a line and the literal it announces.
Row = bytes | tuple[bytes, bytes]


class Outcome(StrEnum):
    """How a command ended: the three tagged conditions of RFC 9051 §7.1, a farewell, no valid answer, or none."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    NONSENSE = "NONSENSE"
    LOST = "LOST"


def _no_rows() -> Mapping[str, Sequence[Row]]:
    return {}


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one command.

    ``words`` are the untagged ``NO``, ``BAD`` and ``BYE`` rows and the tagged one without its tag, one a line. ``rows``
    are the untagged data by name (``LIST``, ``SEARCH``). ``error`` is what cut the answer short when it was lost.
    """

    outcome: Outcome
    words: bytes = b""
    rows: Mapping[str, Sequence[Row]] = field(default_factory=_no_rows)
    error: OSError | None = None

    @property
    def ok(self) -> bool:
        """Whether the command was carried out."""
        return self.outcome is Outcome.OK

    def lines(self, name: str) -> Sequence[bytes]:
        """Return the untagged rows of that name which hold no literal."""
        return [row for row in self.rows.get(name, ()) if isinstance(row, bytes)]


class ImapClient(Protocol):
    """One connection to an IMAP server. Nothing here raises for what a server does."""

    greeting: Reply
    preauthenticated: bool

    def command(self, name: str, *arguments: bytes) -> Reply:
        """Send one command and return its reply; a CR, LF or NUL in an argument is a ``ValueError``."""
        ...

    def authenticate(self, mechanism: str, message: bytes, *, at_once: bool) -> Reply:
        """Sign in with one SASL message; ``at_once`` sends it with the command (SASL-IR, RFC 4959)."""
        ...

    def append(self, folder: bytes, message: bytes, *, when: datetime, at_once: bool) -> Reply:
        """Store a message as read; ``at_once`` sends it without waiting to be asked (LITERAL+, RFC 7888)."""
        ...

    def restart(self) -> None:
        """Forget everything that was received: the connection has just been encrypted."""
        ...


def response_code(words: bytes, name: str) -> bytes | None:
    """Return the argument of a response code: ``1 7`` of ``OK [APPENDUID 1 7] done``; ``None`` when it is not there."""
    found = re.search(rb"^(?:\* )?[A-Z]+ \[" + re.escape(name.encode()) + rb"(?: ([^\]]*))?\]", words, re.I | re.M)
    return None if found is None else found[1] or b""


def capability_names(texts: Iterable[bytes]) -> frozenset[str]:
    """Return the capability names of CAPABILITY rows or response codes, in capitals."""
    return frozenset(name for text in texts for name in text.decode("ascii", "ignore").upper().split())


def numbers(text: bytes) -> Sequence[int]:
    """Return the whole numbers of a text separated by blanks; anything else is passed over."""
    return [int(word) for word in text.split() if word.isdigit() and len(word) <= 10]


def without_referral(words: bytes) -> bytes:
    """Return a server's words without the address of another server: it is neither followed nor shown (RFC 2221)."""
    return _REFERRAL.sub(b"[REFERRAL]", words)


def refused(stage: OpenStage, reply: Reply, **details: Any) -> Step:
    """Return the step of a command that was not carried out: by the server's words, or by what cut them short."""
    if reply.outcome is Outcome.NONSENSE:
        return stage.fail("protocol_error", **details)
    if reply.error is not None:
        return stage.broken(reply.error, **details)
    return stage.refused(reply.words, **details)
