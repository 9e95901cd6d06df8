"""A scripted IMAP server: a small well-behaved one, each command of which may answer something else."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.servers.scripted_smtp import CLOSE, HOLD
from tests.servers.wire import Closed, Wire

__all__ = ["CLOSE", "HOLD", "ImapScript"]

_PLAIN_OK = {"CREATE", "SUBSCRIBE", "UID STORE", "UID EXPUNGE", "EXPUNGE", "CLOSE", "UNSELECT", "NOOP"}
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}$")


def _nothing() -> Mapping[str, bytes]:
    return {}


def _no_tokens() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class ImapScript:
    """The conversation of one server; call it with a wire to play it.

    ``replies`` maps a command (``CAPABILITY, STARTTLS, AUTHENTICATE, LOGIN, NAMESPACE, LIST, SELECT, CREATE,
    APPEND, UID STORE, UID EXPUNGE, UID SEARCH, LOGOUT`` …) to the tagged reply behind the tag, or to :data:`CLOSE` or
    :data:`HOLD`; a reply that starts with ``+`` or ``*`` goes out without a tag. ``untagged`` maps a command to whole
    lines sent before its tagged reply. ``injected`` travels in the same segment behind the OK of STARTTLS;
    ``{tag}`` in it is the tag of that command, ``{next}`` the one that imaplib will use next.
    """

    greeting: bytes = b"* OK mail.test ready"
    capabilities: tuple[str, ...] = (
        "IMAP4rev1",
        "SASL-IR",
        "AUTH=PLAIN",
        "UIDPLUS",
        "NAMESPACE",
        "SPECIAL-USE",
        "LITERAL+",
    )
    capabilities_tls: tuple[str, ...] | None = None
    starttls: bool = True
    injected: bytes = b""
    replies: Mapping[str, bytes] = field(default_factory=_nothing)
    untagged: Mapping[str, bytes] = field(default_factory=_nothing)
    users: Mapping[str, str] = field(default_factory=lambda: {"ana@example.com": "correcto-Caballo.9"})
    tokens: Mapping[str, str] = field(default_factory=_no_tokens)
    any_token: bool = False
    token_refusal: bytes = b'{"status":"401","schemes":"bearer","scope":"mail"}'
    namespace: bytes = b'(("" "/")) NIL NIL'
    listing: tuple[bytes, ...] = (
        rb'(\HasNoChildren) "/" INBOX',
        rb'(\HasNoChildren \Sent) "/" Sent',
        rb'(\HasNoChildren) "/" Borradores',
    )

    def __call__(self, wire: Wire) -> None:
        """Play the script to one client."""
        _Session(self, wire).run()


class _Session:
    def __init__(self, script: ImapScript, wire: Wire) -> None:
        self._script, self._wire = script, wire
        self._tag = self._rest = b""
        self._next_uid = 7

    def run(self) -> None:
        if self._script.greeting in (CLOSE, HOLD):
            self._tagged(self._script.greeting)
        self._wire.send(self._script.greeting + b"\r\n")
        while True:
            line = self._command()
            self._tag, _, self._rest = line.partition(b" ")
            words = self._rest.split(b" ")
            name = words[0].upper().decode("latin-1")
            if name == "UID" and len(words) > 1:
                name = f"UID {words[1].upper().decode('latin-1')}"
            if name in _PLAIN_OK:
                self._reply(name, b"OK done")
            else:
                getattr(self, "_on_" + name.lower().replace(" ", "_"), self._on_unknown)()

    def _command(self) -> bytes:
        line = self._wire.read_line()
        while found := _LITERAL.search(line):
            if not found[2]:
                self._wire.send(b"+ go on\r\n")
            line = line[: found.start()] + self._wire.read_exactly(int(found[1])) + self._wire.read_line()
        return line

    def _reply(self, command: str, friendly: bytes) -> bool:
        """Send the untagged lines and the reply of a command; return whether it was OK."""
        if command in self._script.untagged:
            self._wire.send(self._script.untagged[command])
        return self._tagged(self._script.replies.get(command, friendly))

    def _tagged(self, reply: bytes) -> bool:
        if reply == CLOSE:
            raise Closed
        if reply == HOLD:
            self._wire.hold()
            raise Closed
        self._wire.send(reply + b"\r\n" if reply[:1] in b"+*" else self._tag + b" " + reply + b"\r\n")
        return reply.startswith(b"OK")

    def _names(self) -> str:
        script = self._script
        inside = self._wire.encrypted
        names = script.capabilities_tls if inside and script.capabilities_tls is not None else script.capabilities
        return " ".join([*names, *(["STARTTLS"] if script.starttls and not inside else [])])

    def _on_unknown(self) -> None:
        self._tagged(b"BAD Unknown command")

    def _on_capability(self) -> None:
        if "CAPABILITY" not in self._script.replies:
            self._wire.send(f"* CAPABILITY {self._names()}\r\n".encode())
        self._reply("CAPABILITY", b"OK done")

    def _on_starttls(self) -> None:
        friendly = b"OK begin" if self._script.starttls else b"BAD Unknown command"
        reply = self._script.replies.get("STARTTLS", friendly)
        if self._script.injected and reply.startswith(b"OK"):
            number = int(re.sub(rb"\D", b"", self._tag) or b"0") + 1
            following = re.sub(rb"\d+$", str(number).encode(), self._tag)
            behind = self._script.injected.replace(b"{tag}", self._tag).replace(b"{next}", following)
            self._wire.send(self._tag + b" " + reply + b"\r\n" + behind)
            self._wire.start_tls()
        elif self._reply("STARTTLS", friendly):
            self._wire.start_tls()

    def _on_authenticate(self) -> None:
        words = self._rest.split(b" ")
        mechanism = words[1].upper().decode("latin-1")
        if f"AUTH={mechanism}" not in self._names().split():
            self._reply("AUTHENTICATE", b"NO [CANNOT] Unsupported mechanism")
        elif mechanism in ("XOAUTH2", "OAUTHBEARER"):
            self._judge_token(base64.b64decode(self._first(words) + b"==").decode())
        elif mechanism == "PLAIN":
            parts = base64.b64decode(self._first(words) + b"==").split(b"\0")
            self._judge("AUTHENTICATE", tuple(part.decode("utf-8", "replace") for part in parts[1:3]))
        elif mechanism == "LOGIN":
            asked = [base64.b64decode(self._ask(prompt)).decode() for prompt in (b"Username:", b"Password:")]
            self._judge("AUTHENTICATE", tuple(asked))
        else:
            challenge = b"<1896.697170952@mail.test>"
            name, _, digest = base64.b64decode(self._ask(challenge)).decode().rpartition(" ")
            secret = self._script.users.get(name, "")
            right = hmac.new(secret.encode(), challenge, "md5").hexdigest()
            self._judge("AUTHENTICATE", (name, secret if digest == right else ""))

    def _first(self, words: list[bytes]) -> bytes:
        return words[2] if len(words) > 2 else self._ask(b"")

    def _ask(self, challenge: bytes) -> bytes:
        self._wire.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
        return self._wire.read_line()

    def _judge_token(self, said: str) -> None:
        user = re.search(r"(?:user|a)=([^\x01,]*)", said)
        token = re.search(r"auth=Bearer ([^\x01]*)", said)
        known = ((user[1] if user else ""), (token[1] if token else "")) in self._script.tokens.items()
        if known or (self._script.any_token and token):
            self._reply("AUTHENTICATE", b"OK Logged in")
        elif self._ask(self._script.token_refusal) == b"*":
            self._tagged(b"BAD Authentication aborted by client.")
        else:
            self._reply("AUTHENTICATE", b"NO [AUTHENTICATIONFAILED] Authentication failed.")

    def _on_login(self) -> None:
        given = [_unquoted(word) for word in re.findall(rb'"(?:[^"\\]|\\.)*"|\S+', self._rest)[1:3]]
        self._judge("LOGIN", tuple(given))

    def _judge(self, command: str, given: tuple[str, ...]) -> None:
        right = not self._script.users or given in list(self._script.users.items())
        self._reply(command, b"OK Logged in" if right else b"NO [AUTHENTICATIONFAILED] Authentication failed.")

    def _on_namespace(self) -> None:
        self._wire.send(b"* NAMESPACE " + self._script.namespace + b"\r\n")
        self._reply("NAMESPACE", b"OK done")

    def _on_list(self) -> None:
        for row in self._script.listing:
            self._wire.send(b"* LIST " + row + b"\r\n")
        self._reply("LIST", b"OK done")

    def _on_select(self) -> None:
        if "SELECT" not in self._script.replies:
            self._wire.send(b"* FLAGS (\\Seen \\Deleted)\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] ok\r\n")
        self._reply("SELECT", b"OK [READ-WRITE] Selected")

    _on_examine = _on_select

    def _on_append(self) -> None:
        self._wire.keep(self._rest)
        uidplus = "UIDPLUS" in self._names()
        friendly = f"OK [APPENDUID 1 {self._next_uid}] stored".encode() if uidplus else b"OK stored"
        self._next_uid += 1
        self._reply("APPEND", friendly)

    def _on_uid_search(self) -> None:
        if "UID SEARCH" not in self._script.untagged:
            self._wire.send(f"* SEARCH {self._next_uid - 1}\r\n".encode())
        self._reply("UID SEARCH", b"OK found")

    def _on_logout(self) -> None:
        self._wire.send(b"* BYE until next time\r\n")
        self._reply("LOGOUT", b"OK bye")
        raise Closed


def _unquoted(word: bytes) -> str:
    if word.startswith(b'"'):
        word = re.sub(rb"\\(.)", rb"\1", word[1:-1])
    return word.decode("utf-8", "replace")
