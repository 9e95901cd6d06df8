"""The one door to smtplib: commands and replies over a channel that keeps the deadline.

Apart from :mod:`cgcore.mail.smtp.session`: no other module may touch smtplib.
"""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cgcore.mail.message import with_crlf
from cgcore.mail.network.sockets import Channel
from cgcore.mail.sign_in import Exchange, decode_challenge
from cgcore.runs import Step

if TYPE_CHECKING:
    from cgcore.mail.transcript import OpenStage

__all__ = ["SMTP_ERRORS", "SmtpClient", "SmtpReply", "queue_id", "wire_body"]

#: What a method of :class:`SmtpClient` may raise for what a server does; none of it holds what was sent.
SMTP_ERRORS = (smtplib.SMTPException, OSError, EOFError, UnicodeError, ValueError)


_LINE = 512  # octets of a command line, RFC 5321 §4.5.3.1.4
_ROUNDS = 4  # challenges of one exchange: no mechanism of ours has more than two


class SmtpReply:
    """One reply of a server: its code, -1 when it has none, and its lines as they came, codes included."""

    __slots__ = ("code", "text")

    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self.text = text

    @property
    def codes(self) -> str:
        """Only the numbers: the code and the enhanced code of RFC 3463, no word of the other side."""
        match = re.match(rb"\d{3}(?:[ -]+[245]\.\d{1,3}\.\d{1,3}(?![\d.]))?", self.text)
        return match[0].decode().replace("-", " ") if match else ""

    @property
    def words(self) -> bytes:
        """The whole reply, as it may be shown once the connection is encrypted."""
        return self.text

    @property
    def accepted(self) -> bool:
        """Whether it ends a sign-in well (RFC 4954 §4)."""
        return self.code == 235

    @property
    def mechanism_refused(self) -> bool:
        """Whether it is about the mechanism and not about the credential (RFC 4954 §6, RFC 5248)."""
        return self.code == 504

    @property
    def credential_refused(self) -> bool:
        """Whether it is the plain no to a credential."""
        return self.code == 535

    def refusal(self, stage: OpenStage, **details: Any) -> Step:
        """Return the step of a reply that says no: by its words, or that it is no reply at all (RFC 5321 §4.2)."""
        if self.code in (-1, 334):
            return stage.fail("protocol_error", self.text, **details)
        return stage.refused(self.text, **details)

    def __repr__(self) -> str:
        return f"SmtpReply({self.code})"


class SmtpClient(smtplib.SMTP):
    """smtplib over a connected :class:`Channel`. Its replies keep their codes; its errors keep their class.

    smtplib turns every ``OSError`` into "server disconnected" and loses whether it was a timeout, a reset or the end.
    """

    def __init__(self, channel: Channel, ehlo_name: str) -> None:
        super().__init__(local_hostname=ehlo_name)
        self._channel = channel
        self._lines: list[bytes] = []
        self.last_code = 0  # of the last reply that was complete
        self.sock = channel  # pyright: ignore[reportAttributeAccessIssue]

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply; raise ``EOFError``, ``TimeoutError``, ``FloodError`` or another ``OSError``."""
        self._lines = []
        while True:
            line = self._channel.read_line()
            if not line.endswith(b"\n"):  # half a line says nothing: «250» may be all that came of «250-» or of more
                raise EOFError("the server closed the connection")
            self._lines.append(line.rstrip(b"\r\n"))
            if not line[:3].isdigit():
                return -1, line.strip()
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(part[4:].strip(b" \t") for part in self._lines)

    def send(self, s: bytes | str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send one command; the encoding is ASCII, or UTF-8 after a MAIL with SMTPUTF8."""
        self._channel.sendall(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def read_reply(self) -> SmtpReply:
        """Read a reply that no command of ours is waiting for: the greeting, the verdict after the dot."""
        return self._reply(self.getreply()[0])

    def hello(self, name: str) -> SmtpReply:
        """Send EHLO, and HELO where EHLO is unknown (RFC 5321 §3.2); capabilities are then in ``esmtp_features``."""
        code = self.ehlo(name)[0]
        if code in (500, 502):
            code = self.helo(name)[0]
        return self._reply(code)

    def plain_hello(self, name: str) -> SmtpReply:
        """Send HELO: no capabilities, so neither TLS nor sign-in."""
        return self._reply(self.helo(name)[0])

    def command(self, verb: str, argument: str = "") -> SmtpReply:
        """Send one command and read its reply; CR or LF in it is a ``ValueError``."""
        return self._reply(self.docmd(verb, argument)[0])

    def mail_from(self, sender: str, *, utf8: bool = False, size: int = 0, notice_id: str = "") -> SmtpReply:
        """Send MAIL FROM with a checked address, and with what the server has announced to take.

        SMTPUTF8 when an address needs it (RFC 6531); the size, so that a refusal comes before the upload (RFC 1870);
        ``notice_id``, which notices about the message will name (RFC 3461 §4.4), with headers only.
        """
        options = ["SMTPUTF8", "BODY=8BITMIME"] if utf8 else []
        if size and self.has_extn("size"):
            options.append(f"SIZE={size}")
        if notice_id and self.has_extn("dsn"):
            options += ["RET=HDRS", f"ENVID={_xtext(notice_id)}"]
        return self._reply(self.mail(sender, options)[0])

    def rcpt_to(self, recipient: str, *, notices: bool = False) -> SmtpReply:
        """Send RCPT TO with a checked address; ``notices`` asks for those of failure and delay (RFC 3461 §4.1)."""
        options = ["NOTIFY=FAILURE,DELAY"] if notices and self.has_extn("dsn") else []
        if options and recipient.isascii():
            options.append(f"ORCPT=rfc822;{_xtext(recipient)}")
        return self._reply(self.rcpt(recipient, options)[0])

    def forget_code(self) -> None:
        """Forget the last code, so that :attr:`last_code` tells whether the next command gets a reply."""
        self.last_code = 0

    def after_tls(self) -> None:
        """Forget what was said in clear: capabilities and replies (RFC 3207 §4.2)."""
        self.ehlo_resp = None
        self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self._lines = []

    def authenticate(self, exchange: Exchange) -> SmtpReply:
        """Carry one SASL exchange out (RFC 4954).

        The opening goes out with the command where the line has room for it (§4: 512 octets), and never a token: what
        is cut from the line reads to the server like a bad one.
        """
        line = exchange.mechanism
        opening = _base64(exchange.opening) if exchange.opening is not None else ""
        if opening and not exchange.bearer and len(opening) + len(line) <= _LINE - len("AUTH  \r\n"):
            exchange.opened()
            line += f" {opening}"
        reply = self.command("AUTH", line)
        rounds = 0
        while reply.code == 334 and rounds < _ROUNDS:
            answer = exchange.answer(decode_challenge(reply.text[4:].strip()))
            reply = self.command("*" if answer is None else _base64(answer))
            rounds += 1
        return reply

    def send_piece(self, piece: bytes) -> None:
        """Send a piece of :func:`wire_body`."""
        self._channel.sendall(piece)

    def send_dot(self) -> None:
        """Send what ends a message. Where this raises, the last byte of it has not left."""
        self._channel.sendall(b".\r\n")

    @property
    def in_step(self) -> bool:
        """Whether the server has said nothing that it was not asked for: then its next words answer our next ones."""
        return self._channel.quiet

    def send_quit(self) -> None:
        """Say QUIT without waiting for an answer; nothing is raised."""
        try:
            self._channel.sendall(b"QUIT\r\n")
        except (OSError, ValueError):
            return

    @property
    def mechanisms(self) -> Sequence[str]:
        """The SASL mechanisms that the server offers, in capitals."""
        return str(self.esmtp_features.get("auth", "")).upper().split()

    @property
    def login_command(self) -> bool:
        """SMTP has none beside AUTH."""
        return False

    @property
    def sign_in_needs_tls(self) -> bool:
        """Whether signing in is offered only after STARTTLS."""
        return not self.mechanisms and self.has_extn("starttls")

    @property
    def size_limit(self) -> int:
        """The largest message in bytes that the server takes (RFC 1870); 0 when it does not say."""
        size = str(self.esmtp_features.get("size", "")).strip()
        return int(size) if size.isdigit() and len(size) < 16 else 0

    @property
    def capabilities(self) -> Sequence[str]:
        """The capabilities with their arguments, in capitals, as the last EHLO listed them."""
        return [" ".join(f"{name} {argument}".upper().split()) for name, argument in self.esmtp_features.items()]

    def _reply(self, code: int) -> SmtpReply:
        self.last_code = code
        return SmtpReply(code, b"\n".join(self._lines))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _xtext(text: str) -> str:
    """Return text as the parameters of RFC 3461 §4 take it."""
    return "".join(sign if "!" <= sign <= "~" and sign not in "+=" else f"+{ord(sign):02X}" for sign in text)


def wire_body(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a message as it travels after DATA: line ends CRLF, dots doubled, a line end at the end.

    RFC 5321 §2.3.8 and §4.5.2. A line may begin in one piece and end in another, and so may a line end.
    """
    begins, held = True, b""
    for piece in pieces:
        data = held + piece
        held = b"\r" if data.endswith(b"\r") else b""
        lines = with_crlf(data.removesuffix(b"\r") if held else data)
        if not lines:
            continue
        stuffed = lines.replace(b"\n.", b"\n..") if b"\n." in lines else lines
        yield b"." + stuffed if begins and lines.startswith(b".") else stuffed
        begins = lines.endswith(b"\n")
    if held or not begins:
        yield b"\r\n"


# Wire samples: Postfix «queued as 4XyZ», Exim «OK id=1rX2ab-0007Qk-2A», Gmail «OK 1700000000 ab12 - gsmtp»,
# Exchange «<id@host> [InternalId=42, Hostname=…] Queued mail for delivery», Sendmail «4AB… Message accepted».
_QUEUE_IDS = (
    re.compile(r"queued (?:as|with id):? *<?([\w.@+/=-]{4,100})", re.IGNORECASE),
    re.compile(r"\bid[=: ] *<?([\w.@+/=-]{4,100})", re.IGNORECASE),
    re.compile(r"InternalId=(\d{4,40})", re.IGNORECASE),
    re.compile(r"\bOK +(\d{6,} +[\w.-]+) +- +gsmtp", re.IGNORECASE),
    re.compile(r"250 (?:2\.\d\.\d )?(\w{8,40}) Message accepted", re.IGNORECASE),
    re.compile(r"\bOk:? +(?=[\w.-]*\d)([0-9a-zA-Z][\w.-]{7,100})\s*$", re.IGNORECASE | re.MULTILINE),
)


def queue_id(reply: bytes) -> str:
    """Return the name under which the server took a message, read from its last reply; ``""`` when it tells none."""
    text = reply.decode("utf-8", "replace")
    return next((match[1].rstrip(".") for match in _matches(text)), "")


def _matches(text: str) -> Iterator[re.Match[str]]:
    for pattern in _QUEUE_IDS:
        match = pattern.search(text)
        if match:
            yield match
