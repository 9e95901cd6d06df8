"""The one door to :mod:`imaplib`: commands over a channel that keeps the deadline, and what is answered to them."""

from __future__ import annotations

import base64
import imaplib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cgcore.mail.imap.folders import quote_string
from cgcore.mail.network.sockets import Channel, FloodError
from cgcore.mail.sign_in import Exchange, decode_challenge
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Step

__all__ = [
    "ImapClient",
    "ImapReply",
    "Outcome",
    "Pieces",
    "Row",
    "capability_names",
    "numbers",
    "response_code",
    "without_referral",
]

_TAGGED = re.compile(rb"[A-P]+\d+ ((?:OK|NO|BAD)\b.*)", re.DOTALL)
_STATUS_ROW = re.compile(rb"\* (?:NO|BAD|BYE)\b", re.IGNORECASE)
_MAX_LITERAL = 1024 * 1024
_OPENING = 8192  # of base64 in one line; Dovecot hangs up without a word on 12,500
_ROUNDS = 4  # challenges of one exchange: no mechanism of ours has more than two
_PARSING = (ValueError, LookupError, TypeError)  # what imaplib trips over in lines that no honest server sends
_REFERRAL = re.compile(rb"\[REFERRAL [^\]]*\]?", re.IGNORECASE)

#: One untagged row: a line, or a line and the literal it announces.
Row = bytes | tuple[bytes, bytes]


class Outcome(StrEnum):
    """How a command ended: the three tagged conditions of RFC 9051 §7.1, a BYE, no valid answer, or none."""

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

    @property
    def accepted(self) -> bool:
        """Whether it ends a sign-in well."""
        return self.ok

    @property
    def mechanism_refused(self) -> bool:
        """Whether the server did not understand the way of signing in: it has judged nothing (RFC 9051 §7.1.3)."""
        return self.outcome is Outcome.BAD

    @property
    def credential_refused(self) -> bool:
        """Whether it is the plain no to a credential."""
        return self.outcome is Outcome.NO

    def refusal(self, stage: OpenStage, **details: Any) -> Step:
        """Return the step of a command that was not carried out: by the words, or by what cut them short."""
        if self.outcome is Outcome.NONSENSE:
            return stage.fail("protocol_error", **details)
        if self.error is not None:
            return stage.broken(self.error, **details)
        return stage.refused(self.words, **details)

    def lines(self, name: str) -> Sequence[bytes]:
        """Return the untagged rows of that name which hold no literal."""
        return [row for row in self.rows.get(name, ()) if isinstance(row, bytes)]


class ImapClient:
    """One connection to an IMAP server, over imaplib. Nothing here raises for what a server does.

    ``capabilities`` are the last ones told, in capitals.
    """

    def __init__(self, channel: Channel) -> None:
        self.capabilities: frozenset[str] = frozenset()
        self.greeting = ImapReply(Outcome.LOST)
        self.preauthenticated = False
        try:
            self._wire = _Wire(channel)
        except imaplib.IMAP4.error as error:
            self.greeting = _refused_greeting(error)
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
        return reply

    @property
    def mechanisms(self) -> Sequence[str]:
        """The SASL mechanisms that the server announces, in capitals."""
        return [name.removeprefix("AUTH=") for name in sorted(self.capabilities) if name.startswith("AUTH=")]

    @property
    def login_command(self) -> bool:
        """Whether LOGIN may be sent: it needs no announcement, but can be forbidden (RFC 9051 §6.2.3)."""
        return "LOGINDISABLED" not in self.capabilities

    @property
    def sign_in_needs_tls(self) -> bool:
        """Whether the server takes no password in clear."""
        return not self.login_command

    def authenticate(self, exchange: Exchange) -> ImapReply:
        """Carry one SASL exchange out, LOGIN by the command of that name where it may be sent.

        The opening goes out with the command where the server takes it so (SASL-IR, RFC 4959) and it is no longer than
        what servers read in one line.
        """
        if exchange.mechanism == "LOGIN" and self.login_command:
            user, password = exchange.answer(b""), exchange.answer(b"")
            return self._signed_in(self.command("LOGIN", quote_string(user or b""), quote_string(password or b"")))
        arguments: list[Any] = [exchange.mechanism.encode()]
        opening = base64.b64encode(exchange.opening) if exchange.opening is not None else b""
        if opening and "SASL-IR" in self.capabilities and len(opening) <= _OPENING:
            exchange.opened()
            arguments.append(opening)
        self._wire.answer_with(exchange.answer)
        return self._signed_in(self._exchange(lambda: self._wire.xatom("AUTHENTICATE", *arguments), may_continue=True))

    def _signed_in(self, reply: ImapReply) -> ImapReply:
        if reply.ok:
            self._wire.state = "AUTH"
            self.capabilities = capability_names(reply.lines("CAPABILITY")) or self.capabilities
        return reply

    def append(self, folder: bytes, message: bytes | Pieces, *, when: datetime, at_once: bool) -> ImapReply:
        """Store a message as read; ``at_once`` sends it without waiting to be asked (LITERAL+, RFC 7888)."""
        date = imaplib.Time2Internaldate(when).encode()
        arguments: list[Any] = [quote_string(folder), b"(\\Seen)", date]
        if at_once:
            whole = b"".join(message) if isinstance(message, Pieces) else message
            arguments.append(b"{%d+}\r\n%s" % (len(whole), whole))
            return self._exchange(lambda: self._wire.xatom("APPEND", *arguments))
        self._wire.literal = message  # pyright: ignore[reportAttributeAccessIssue]
        return self._exchange(lambda: self._wire.xatom("APPEND", *arguments), may_continue=True)

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
                wire.tagged = b""  # not the tag of this command, or a BYE behind it
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


class Pieces:
    """A message that is sent piece by piece, never held as a whole; its line ends are CRLF already."""

    def __init__(self, size: int, pieces: Iterable[bytes]) -> None:
        self._size, self._pieces = size, pieces

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


class _Wire(imaplib.IMAP4):
    """imaplib on a channel of ours: one deadline, bounded lines and literals, the greeting alone, errors as they are.

    ``status_rows`` and ``tagged`` are what the server said about the running command: imaplib folds a BAD into the
    text of an exception. ``may_continue``: on a continuation request out of place imaplib would wait for more.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
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
        return self.channel.read_exactly(size)

    def readline(self) -> bytes:
        line = self.channel.read_line()
        if not line.endswith(b"\n"):  # half a line says nothing
            raise ConnectionResetError("the server closed the connection")
        if line.startswith(b"+") and not self.may_continue:
            raise self.abort("a continuation request out of place")
        if _STATUS_ROW.match(line):
            self.status_rows.append(line.rstrip())
        found = _TAGGED.match(line.rstrip(b"\r\n"))
        if found is not None:
            self.tagged = found[1]
        # GNU mailutils ends some of its lines with a bare LF; imaplib takes that for the end of the connection.
        return line[:-1].removesuffix(b"\r") + b"\r\n"

    def answer_with(self, answer: Callable[[bytes], bytes | None]) -> None:
        """Let ``answer`` reply to the challenges of the next command; ``None`` cancels it (RFC 9051 §6.2.2)."""

        self.literal = _Answers(answer).reply  # type: ignore[assignment]

    def send(self, data: bytes | Pieces) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send everything before the deadline."""
        for piece in data if isinstance(data, Pieces) else (data,):
            self.channel.sendall(piece)

    def shutdown(self) -> None:
        """Leave the channel to its owner."""


class _Answers:
    """What imaplib takes for an answer to continuation requests: only a bound method is asked again each time."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self._left = _ROUNDS

    def reply(self, challenge: bytes | None) -> bytes:
        self._left -= 1
        said = self._answer(decode_challenge((challenge or b"").strip())) if self._left >= 0 else None
        return b"*" if said is None else base64.b64encode(said)


def _refused_greeting(error: imaplib.IMAP4.error) -> ImapReply:
    """Return the reply for a greeting that is none: imaplib puts a BYE into its error as bytes."""
    words: object = error.args[0] if error.args else b""
    if isinstance(words, bytes) and _STATUS_ROW.match(words):
        return ImapReply(Outcome.BYE, without_referral(words))
    return ImapReply(Outcome.NONSENSE)
