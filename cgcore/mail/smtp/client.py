"""The one door to smtplib: commands and replies over a channel that keeps the deadline."""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Iterator, Sequence

from cgcore.mail.network.sockets import MAX_LINE, Channel, FloodError

__all__ = ["SMTP_ERRORS", "SmtpClient", "SmtpReply", "queue_id"]

#: What a method of :class:`SmtpClient` may raise for what a server does; none of it holds what was sent.
SMTP_ERRORS = (smtplib.SMTPException, OSError, EOFError, UnicodeError, ValueError)


class SmtpReply:
    """One reply of a server: its code, -1 when it has none, and its lines as they came, codes included."""

    __slots__ = ("code", "text")

    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self.text = text

    @property
    def codes(self) -> str:
        """Only the numbers: the code and the enhanced code of RFC 3463, nothing that a stranger could have written."""
        match = re.match(rb"\d{3}(?:[ -]+[245]\.\d{1,3}\.\d{1,3}(?![\d.]))?", self.text)
        return match[0].decode().replace("-", " ") if match else ""

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
        self.sock = channel  # pyright: ignore[reportAttributeAccessIssue]
        self.file = None

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply; raise ``EOFError``, ``TimeoutError``, :class:`FloodError` or another ``OSError``."""
        if self.file is None:
            self.file = self._channel.makefile()
        self._lines = []
        while True:
            line: bytes = self.file.readline(MAX_LINE + 1)
            if len(line) > MAX_LINE:
                raise FloodError("a line without end")
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

    def greeting(self) -> SmtpReply:
        """Read the greeting."""
        return self._reply(self.getreply()[0])

    def hello(self, name: str) -> SmtpReply:
        """Send EHLO, and HELO where EHLO is unknown (RFC 5321 §3.2); capabilities are then in ``esmtp_features``."""
        code = self.ehlo(name)[0]
        if code in (500, 502):
            code = self.helo(name)[0]
        return self._reply(code)

    def command(self, verb: str, argument: str = "") -> SmtpReply:
        """Send one command and read its reply; CR or LF in it is a ``ValueError``."""
        return self._reply(self.docmd(verb, argument)[0])

    def mail_from(self, sender: str, *, utf8: bool = False) -> SmtpReply:
        """Send MAIL FROM with a checked address, with SMTPUTF8 when it is needed (RFC 6531)."""
        options = ("SMTPUTF8", "BODY=8BITMIME") if utf8 else ()
        return self._reply(self.mail(sender, options)[0])

    def rcpt_to(self, recipient: str) -> SmtpReply:
        """Send RCPT TO with a checked address."""
        return self._reply(self.rcpt(recipient)[0])

    def after_tls(self) -> None:
        """Forget all that was said in clear: capabilities, replies, and bytes read ahead (RFC 3207 §4.2)."""
        self.file = None
        self.ehlo_resp = None
        self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self._lines = []

    def sign_in_plain(self, user: str, password: str) -> SmtpReply:
        """AUTH PLAIN in UTF-8 with the initial response (RFC 4616, RFC 4954)."""
        first = _base64(f"\0{user}\0{password}".encode())
        reply = self.command("AUTH", f"PLAIN {first}")
        return self.command(first) if reply.code == 334 else reply

    def sign_in_login(self, user: str, password: str) -> SmtpReply:
        """AUTH LOGIN in UTF-8, the user name as initial response, as smtplib does it."""
        reply = self.command("AUTH", f"LOGIN {_base64(user.encode())}")
        return self.command(_base64(password.encode())) if reply.code == 334 else reply

    def send_body(self, message: bytes) -> None:
        """Send the lines of a message after DATA, dots doubled, all line ends CRLF (RFC 5321 §2.3.8, §4.5.2)."""
        self._channel.sendall(re.sub(rb"(?m)^\.", b"..", _crlf(message)))

    def end_of_body(self) -> SmtpReply:
        """Send the final dot and read what became of the message."""
        self._channel.sendall(b".\r\n")
        return self._reply(self.getreply()[0])

    def farewell(self) -> None:
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
    def size_limit(self) -> int:
        """The largest message in bytes that the server takes (RFC 1870); 0 when it does not say."""
        size = str(self.esmtp_features.get("size", "")).strip()
        return int(size) if size.isdigit() and len(size) < 16 else 0

    @property
    def capabilities(self) -> Sequence[str]:
        """The capabilities with their arguments, in capitals, as the last EHLO listed them."""
        return [" ".join(f"{name} {argument}".upper().split()) for name, argument in self.esmtp_features.items()]

    def _reply(self, code: int) -> SmtpReply:
        return SmtpReply(code, b"\n".join(self._lines))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _crlf(message: bytes) -> bytes:
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


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
