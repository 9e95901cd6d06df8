"""A scripted SMTP server: a well-behaved one, each stage of which may answer something else."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.wire import Closed, Wire

__all__ = ["CLOSE", "HOLD", "SmtpScript"]

CLOSE = b"\0close"
"""In place of a reply: close the connection."""
HOLD = b"\0hold"
"""In place of a reply: say nothing more."""


def _nothing() -> Mapping[str, bytes]:
    return {}


def _nothing_yet() -> Mapping[str, str]:
    return {}


def _no_words() -> Mapping[bytes, bytes]:
    return {}


@dataclass(frozen=True)
class SmtpScript:
    """The conversation of one server; call it with a wire to play it.

    ``replies`` maps a stage (``ehlo, ehlo_tls, starttls, auth, mail_from, rcpt_to, data, final, rset, quit``) to the
    whole reply in place of the friendly one, without line end, or to :data:`CLOSE` or :data:`HOLD`.
    ``injected`` travels in the same segment behind the reply to STARTTLS. ``extensions_tls`` are those inside TLS
    (``None``: the same). ``users`` may sign in with PLAIN, LOGIN or CRAM-MD5; an empty map takes anybody. ``tokens``
    are the access tokens of users; another one is told by ``token_refusal``. ``auth PLAIN`` and
    the like in ``replies`` are the verdict after one mechanism. ``refused`` are the replies to single recipients,
    ``unless`` those to a MAIL that holds certain words.
    """

    greeting: bytes = b"220 mail.test ESMTP ready"
    greeting_after: float = 0.0
    extensions: tuple[str, ...] = ("SIZE 10485760", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN")
    extensions_tls: tuple[str, ...] | None = None
    starttls: bool = True
    injected: bytes = b""
    replies: Mapping[str, bytes] = field(default_factory=_nothing)
    users: Mapping[str, str] = field(default_factory=lambda: {"ana@example.com": "correcto-Caballo.9"})
    tokens: Mapping[str, str] = field(default_factory=_nothing_yet)
    refused: Mapping[str, bytes] = field(default_factory=_nothing)
    unless: Mapping[bytes, bytes] = field(default_factory=_no_words)
    token_refusal: bytes = b'{"status":"401","schemes":"Bearer","scope":"https://mail.test/"}'

    def __call__(self, wire: Wire) -> None:
        """Play the script to one client."""
        _Session(self, wire).run()


class _Session:
    def __init__(self, script: SmtpScript, wire: Wire) -> None:
        self._script, self._wire = script, wire
        self._line = b""

    def run(self) -> None:
        self._wire.pause(self._script.greeting_after)
        if not self._answer(self._script.replies.get("greeting", self._script.greeting)):
            return
        while True:
            line = self._line = self._wire.read_line()
            verb = line.split(b" ")[0].split(b":")[0].upper().decode("latin-1")
            handler = getattr(self, f"_on_{verb.lower()}", None)
            if handler is None:
                self._answer(b"502 5.5.2 Command not recognised")
            else:
                handler()

    def _answer(self, reply: bytes) -> bool:
        """Send a reply or do what stands in its place; return whether it was a positive one."""
        if reply == CLOSE:
            raise Closed
        if reply == HOLD:
            self._wire.hold()
            raise Closed
        self._wire.send(reply + b"\r\n")
        return reply[:1] in b"23"

    def _stage(self, stage: str, friendly: bytes) -> bool:
        return self._answer(self._script.replies.get(stage, friendly))

    def _on_ehlo(self) -> None:
        script = self._script
        inside = self._wire.encrypted
        names = script.extensions_tls if inside and script.extensions_tls is not None else script.extensions
        lines = ["mail.test", *names, *(["STARTTLS"] if script.starttls and not inside else [])]
        rows = [f"250{' ' if row is lines[-1] else '-'}{row}" for row in lines]
        self._stage("ehlo_tls" if inside else "ehlo", "\r\n".join(rows).encode())

    def _on_helo(self) -> None:
        self._stage("helo", b"250 mail.test")

    def _on_starttls(self) -> None:
        if not self._script.starttls and "starttls" not in self._script.replies:
            self._answer(b"502 5.5.1 Not implemented")
            return
        reply = self._script.replies.get("starttls", b"220 2.0.0 Ready to start TLS")
        behind = b"\r\n" + self._script.injected.removesuffix(b"\r\n") if self._script.injected else b""
        if self._answer(reply + behind) and reply.startswith(b"220"):
            self._wire.start_tls()

    def _on_auth(self) -> None:
        words = self._line.split(b" ")
        mechanism = words[1].upper().decode("latin-1") if len(words) > 1 else ""
        play = {"PLAIN": self._plain, "LOGIN": self._login, "CRAM-MD5": self._cram_md5}.get(mechanism)
        if mechanism in ("XOAUTH2", "OAUTHBEARER"):
            self._judge(mechanism, self._token(words))
        elif play is None:
            self._stage("auth", b"504 5.5.4 Unrecognised mechanism")
        else:
            self._judge(mechanism, play(words))

    def _judge(self, mechanism: str, given: tuple[str, str] | None) -> None:
        script = self._script
        known = script.tokens if mechanism in ("XOAUTH2", "OAUTHBEARER") else script.users
        right = given is not None and (not known or given in known.items())
        friendly = b"235 2.7.0 Authentication successful" if right else b"535 5.7.8 Authentication credentials invalid"
        self._stage(f"auth {mechanism}" if f"auth {mechanism}" in script.replies else "auth", friendly)

    def _token(self, words: list[bytes]) -> tuple[str, str] | None:
        """Return user and token; a token that is not known is told by a challenge, which wants an answer."""
        said = base64.b64decode((words[2] if len(words) > 2 else self._ask(b"334 ")) + b"==").decode()
        user = re.search(r"(?:user|a)=([^\x01,]*)", said)
        token = re.search(r"auth=Bearer ([^\x01]*)", said)
        given = (user[1] if user else "", token[1] if token else "")
        if given in self._script.tokens.items():
            return given
        answer = self._ask(b"334 " + base64.b64encode(self._script.token_refusal))
        if answer == b"*":
            self._answer(b"501 5.7.0 Authentication aborted")
            raise Closed
        return None

    def _cram_md5(self, words: list[bytes]) -> tuple[str, str] | None:
        del words
        challenge = b"<1896.697170952@mail.test>"
        name, _, digest = base64.b64decode(self._ask(b"334 " + base64.b64encode(challenge))).decode().rpartition(" ")
        right = hmac.new(self._script.users.get(name, "").encode(), challenge, "md5").hexdigest()
        return (name, self._script.users.get(name, "")) if digest == right else None

    def _plain(self, words: list[bytes]) -> tuple[str, str]:
        token = words[2] if len(words) > 2 else self._ask(b"334 ")
        parts = base64.b64decode(token + b"==").split(b"\0")
        return parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace")

    def _login(self, words: list[bytes]) -> tuple[str, str]:
        user = words[2] if len(words) > 2 else self._ask(b"334 VXNlcm5hbWU6")
        return _opened(user), _opened(self._ask(b"334 UGFzc3dvcmQ6"))

    def _ask(self, challenge: bytes) -> bytes:
        self._answer(challenge)
        return self._wire.read_line()

    def _on_mail(self) -> None:
        refusal = next((reply for words, reply in self._script.unless.items() if words in self._line), b"")
        self._stage("mail_from", refusal or b"250 2.1.0 Ok")

    def _on_rcpt(self) -> None:
        found = re.search(rb"<(.*?)>", self._line)
        address = found[1].decode() if found else ""
        self._stage("rcpt_to", self._script.refused.get(address, b"250 2.1.5 Ok"))

    def _on_data(self) -> None:
        if not self._stage("data", b"354 End data with <CR><LF>.<CR><LF>"):
            return
        lines: list[bytes] = []
        while (row := self._wire.read_line()) != b".":
            lines.append(row.removeprefix(b".") if row.startswith(b"..") else row)
        self._wire.keep(b"\r\n".join(lines) + b"\r\n")
        self._stage("final", b"250 2.0.0 Ok: queued as 4F1A2B3C4D")

    def _on_rset(self) -> None:
        self._stage("rset", b"250 2.0.0 Ok")

    def _on_noop(self) -> None:
        self._stage("noop", b"250 2.0.0 Ok")

    def _on_quit(self) -> None:
        self._stage("quit", b"221 2.0.0 Bye")
        raise Closed


def _opened(token: bytes) -> str:
    return base64.b64decode(token + b"==").decode("utf-8", "replace")
