"""The one door to :mod:`imaplib`: commands over a channel that keeps the deadline, and what is answered to them."""

from __future__ import annotations

import base64
import imaplib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cgcore.mail.imap.folders import quote_string
from cgcore.mail.network.sockets import MAX_LINE, Channel, FloodError
from cgcore.mail.steps import Step
from cgcore.mail.transcript import OpenStage

__all__ = [
    "ImapClient",
    "ImapReply",
    "Outcome",
    "Row",
    "capability_names",
    "numbers",
    "refused",
    "response_code",
    "without_referral",
]

_TAGGED = re.compile(rb"[A-P]+\d+ ((?:OK|NO|BAD)\b.*)", re.DOTALL)
_STATUS_ROW = re.compile(rb"\* (?:NO|BAD|BYE)\b", re.IGNORECASE)
_MAX_LITERAL = 1024 * 1024
_PARSING = (ValueError, LookupError, TypeError)  # what imaplib trips over in lines that no honest server sends
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
class ImapReply:
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


class ImapClient:
    """One connection to an IMAP server, over imaplib. Nothing here raises for what a server does."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.greeting = ImapReply(Outcome.LOST)
        self.preauthenticated = False
        try:
            self._wire = _Wire(channel)
        except imaplib.IMAP4.error as error:
            self.greeting = _farewell(error)
        except OSError as error:
            self.greeting = ImapReply(Outcome.LOST, error=error)
        except _PARSING:
            self.greeting = ImapReply(Outcome.NONSENSE)
        else:
            self.preauthenticated = self._wire.state == "AUTH"
            self.greeting = ImapReply(Outcome.OK, without_referral(self._wire.welcome))

    def command(self, name: str, *arguments: bytes) -> ImapReply:
        """Send one command and return its reply; a CR, LF or NUL in an argument is a ``ValueError``."""
        if any(byte in argument for argument in arguments for byte in b"\r\n\0"):
            raise ValueError("a line end in an argument would be a second command")
        reply = self._exchange(lambda: self._wire.xatom(name, *arguments))  # pyright: ignore[reportArgumentType]
        if reply.ok and name in ("SELECT", "EXAMINE"):
            self._wire.state = "SELECTED"
        elif reply.ok and name in ("AUTHENTICATE", "LOGIN"):
            self._wire.state = "AUTH"
        return reply

    def authenticate(self, mechanism: str, message: bytes, *, at_once: bool) -> ImapReply:
        """Sign in with one SASL message; ``at_once`` sends it with the command (SASL-IR, RFC 4959)."""
        if at_once:
            return self.command("AUTHENTICATE", mechanism.encode(), base64.b64encode(message))
        answers = iter([message])
        # A second challenge is answered by «*»: the password goes out once (RFC 9051 §6.2.2).
        return self._exchange(
            lambda: self._wire.authenticate(mechanism, lambda _: next(answers, None)), may_continue=True
        )

    def append(self, folder: bytes, message: bytes, *, when: datetime, at_once: bool) -> ImapReply:
        """Store a message as read; ``at_once`` sends it without waiting to be asked (LITERAL+, RFC 7888)."""
        date = imaplib.Time2Internaldate(when).encode()
        arguments: list[Any] = [quote_string(folder), b"(\\Seen)", date]
        if at_once:
            arguments.append(b"{%d+}\r\n%s" % (len(message), message))
            return self._exchange(lambda: self._wire.xatom("APPEND", *arguments))
        self._wire.literal = message  # pyright: ignore[reportAttributeAccessIssue]
        return self._exchange(lambda: self._wire.xatom("APPEND", *arguments), may_continue=True)

    def restart(self) -> None:
        """Forget everything that was received: the connection has just been encrypted."""
        self._wire.reader = self._channel.makefile()

    def _exchange(self, run: Callable[[], object], *, may_continue: bool = False) -> ImapReply:
        wire = self._wire
        wire.may_continue = may_continue
        # imaplib keeps untagged data and hands it out later as if it were true, even what came in before TLS.
        wire.untagged_responses.clear()
        wire.status_rows, wire.tagged = [], b""
        try:
            run()
        except imaplib.IMAP4.error as error:
            # imaplib turns what the socket raised while sending into an error of its own.
            if isinstance(error.__context__, OSError):
                return ImapReply(Outcome.LOST, error=error.__context__)
            if isinstance(error, imaplib.IMAP4.abort):
                wire.tagged = b""  # not the tag of this command, or a farewell behind it
        except OSError as error:
            words = b"\n".join(wire.status_rows)
            return ImapReply(Outcome.BYE, words) if words else ImapReply(Outcome.LOST, error=error)
        except _PARSING:
            return ImapReply(Outcome.NONSENSE)
        return self._reply()

    def _reply(self) -> ImapReply:
        wire = self._wire
        words = without_referral(b"\n".join([*wire.status_rows, *([wire.tagged] if wire.tagged else [])]))
        rows = {name: tuple(row for row in found if row) for name, found in wire.untagged_responses.items()}
        if wire.tagged:
            return ImapReply(Outcome(wire.tagged.split(b" ")[0].decode("ascii")), words, rows)
        return ImapReply(Outcome.BYE if words else Outcome.NONSENSE, words, rows)


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


def refused(stage: OpenStage, reply: ImapReply, **details: Any) -> Step:
    """Return the step of a command that was not carried out: by the server's words, or by what cut them short."""
    if reply.outcome is Outcome.NONSENSE:
        return stage.fail("protocol_error", **details)
    if reply.error is not None:
        return stage.broken(reply.error, **details)
    return stage.refused(reply.words, **details)


class _Wire(imaplib.IMAP4):
    """imaplib on a channel of ours: one deadline, bounded lines and literals, the greeting alone, errors as they are.

    ``status_rows`` and ``tagged`` are what the server said about the running command: imaplib folds a BAD into the
    text of an exception. ``may_continue``: on a continuation request out of place imaplib would wait for more.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.reader = channel.makefile()
        self.status_rows: list[bytes] = []
        self.tagged = b""
        self.may_continue = False
        super().__init__()

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Take the channel as it is: it is connected already."""

    def _get_capabilities(self) -> None:
        # imaplib asks within its constructor; the probe asks in a stage of its own, or not at all.
        self.capabilities = ("IMAP4REV1",)

    def read(self, size: int) -> bytes:
        if size > _MAX_LITERAL:
            raise FloodError("a literal without end")
        return self.reader.read(size)

    def readline(self) -> bytes:
        line = self.reader.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise FloodError("a line without end")
        if not line.endswith(b"\n"):  # half a line says nothing
            raise ConnectionResetError("the server closed the connection")
        if line.startswith(b"+") and not self.may_continue:
            raise self.abort("a continuation request out of place")
        if _STATUS_ROW.match(line):
            self.status_rows.append(line.rstrip())
        found = _TAGGED.match(line.rstrip(b"\r\n"))
        if found is not None:
            self.tagged = found[1]
        return line

    def send(self, data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send everything before the deadline."""
        self.channel.sendall(data)

    def shutdown(self) -> None:
        """Leave the channel to its owner."""


def _farewell(error: imaplib.IMAP4.error) -> ImapReply:
    """Return the reply for a greeting that is none: imaplib puts a BYE into its error as bytes."""
    words: object = error.args[0] if error.args else b""
    if isinstance(words, bytes) and _STATUS_ROW.match(words):
        return ImapReply(Outcome.BYE, without_referral(words))
    return ImapReply(Outcome.NONSENSE)
