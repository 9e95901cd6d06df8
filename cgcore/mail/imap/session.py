"""The IMAP conversation: connect, sign in, store message after message, close; for the probe and for the copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from cgcore.mail.connection import Connection
from cgcore.mail.imap.client import ImapClient, ImapReply, Outcome, Pieces, capability_names, numbers, response_code
from cgcore.mail.imap.folders import Folder, quote_string
from cgcore.mail.message import size_values, with_crlf
from cgcore.mail.sign_in import SignIn
from cgcore.mail.steps import Stage
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Status, Step

__all__ = ["ImapSession"]

_Act = Callable[[], Step]

_SMALL = 4096  # what LITERAL- lets go out unasked (RFC 7888 §5); more is sent only once the server has said yes
_USEFUL_LATER = frozenset({"UIDPLUS", "SPECIAL-USE", "NAMESPACE", "LITERAL+"})


class ImapSession:
    """One IMAP conversation on one connection: :meth:`connect`, :meth:`sign_in`, :meth:`append` …, :meth:`close`.

    The first two yield their steps up to the first error, and nothing once the session is no longer :attr:`usable`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.request = connection.request
        self.usable = False
        self.signed_in = False
        self.token_ended = False  # whether the server has ended the session because its token has run out
        self._client: ImapClient | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """The last capabilities told, in capitals; never those from before the encryption."""
        return self.client.capabilities

    @property
    def client(self) -> ImapClient:
        """The connected client."""
        if self._client is None:
            raise RuntimeError("not connected")
        return self._client

    def connect(self) -> Iterator[Step]:
        """Yield the steps from input to the capabilities that count, encryption included, up to the first error."""
        yield from self.connection.open()
        if self.connection.channel is None:
            return
        self.usable = True
        stages: list[_Act] = [self._greet, self._ask_capability]
        if self.request.security.upgrade:
            stages += [self._start_tls, self.connection.secure, self._ask_capability_again]
        yield from self._pass(stages)

    def sign_in(self) -> Iterator[Step]:
        """Yield the auth step, where the request has a user; then :attr:`signed_in` tells whether one may go on."""
        if self.usable and self.request.user:
            yield from self._pass([self._authenticate])
        self.signed_in = self.usable and (bool(self.request.user) or self.client.preauthenticated)
        if self.signed_in and self.request.user:
            self._complete_capability()

    def list_folders(self) -> tuple[str, ImapReply]:
        """Ask for every folder, with special uses where they are told; return the name of the rows, and the reply."""
        everything = (b'""', b'"*"')
        if "SPECIAL-USE" in self.capabilities:
            reply = self.client.command("LIST", *everything, b"RETURN (SPECIAL-USE)")
            return "LIST", self.client.command("LIST", *everything) if reply.outcome is Outcome.BAD else reply
        command = "XLIST" if "XLIST" in self.capabilities else "LIST"
        return command, self.client.command(command, *everything)

    def append(self, message: bytes | Pieces, folder: Folder, when: datetime) -> Step:
        """Store a message in a folder, marked as read, and return the append step.

        ``when`` becomes its date there. ``details`` hold ``folder``, and where the server tells them (RFC 4315)
        ``uid`` and ``uidvalidity``. Line ends become CRLF; the bytes are otherwise stored as they are.
        """
        stage = self.connection.begin(Stage.APPEND)
        message = message if isinstance(message, Pieces) else with_crlf(message)
        limit = self._append_limit()
        if limit and len(message) > limit:
            return stage.fail("message_too_big", folder=folder.name, **size_values(limit))
        self.connection.allow_final()
        small = len(message) <= _SMALL
        at_once = small and bool(self.capabilities & {"LITERAL+", "LITERAL-"})
        reply = self.client.append(folder.wire, message, when=when, at_once=at_once)
        if not reply.ok:
            self._note_end(reply, stage)
            missing = response_code(reply.words, "TRYCREATE") is not None
            return reply.refusal(stage, folder=folder.name, **({"can_create": folder.name} if missing else {}))
        place = numbers(response_code(reply.words, "APPENDUID") or b"")
        known = {"uidvalidity": place[0], "uid": place[1]} if len(place) == 2 else {}
        return stage.ok(reply.words, folder=folder.name, **known)

    def find_message(self, message_id: str) -> int:
        """Return the UID of the message with this Message-ID in the selected folder, 0 unless there is exactly one."""
        wanted = quote_string(message_id.encode())
        reply = self.client.command("UID", b"SEARCH", b"HEADER", b"Message-ID", wanted)
        found = [uid for line in reply.lines("SEARCH") for uid in numbers(line)]
        return found[0] if len(found) == 1 else 0

    def search(self, folder: Folder, *ids: tuple[str, str]) -> Sequence[int] | None:
        """Return the UIDs of the messages of a folder that have one of ``ids`` (header and value).

        ``None`` where the server does not say: the folder cannot be opened, or the search is refused.
        """
        stage = self.connection.begin(Stage.SELECT)
        opened = self.client.command("SELECT", quote_string(folder.wire))
        if not opened.ok:
            self._note_end(opened, stage)
            return None
        found: list[int] = []
        for header, value in ids:
            wanted = (header.encode(), quote_string(value.encode()))
            reply = self.client.command("UID", b"SEARCH", b"HEADER", *wanted)
            if not reply.ok:
                self._note_end(reply, stage)
                return None
            found += [uid for line in reply.lines("SEARCH") for uid in numbers(line)]
        return tuple(dict.fromkeys(found))

    def close(self) -> Iterator[Step]:
        """Yield the logout step where there is somebody to say good-bye to. It never decides anything."""
        if self._client is not None and self.connection.channel is not None:
            stage = self.connection.begin(Stage.LOGOUT)
            self.connection.channel.hurry()
            reply = self._client.command("LOGOUT")
            yield stage.ok(self._shown(reply)) if reply.outcome is not Outcome.LOST else stage.skipped()
        self.usable = self.signed_in = False
        self.connection.close()

    def _pass(self, stages: Iterable[_Act]) -> Iterator[Step]:
        for act in stages:
            step = act()
            self.usable = self.usable and step.status is not Status.ERROR
            yield step
            if not self.usable:
                return

    def _note_end(self, reply: ImapReply, stage: OpenStage) -> None:
        """Note that a session has ended, or answers out of turn: what comes then may be the answer to another question.

        Exchange ends one in the middle when its token has run out: to sign in again is the cure.
        """
        self.usable = self.usable and reply.outcome in (Outcome.OK, Outcome.NO, Outcome.BAD)
        by_token = self.request.tokens is not None and reply.outcome is Outcome.BYE
        self.token_ended = self.token_ended or (by_token and reply.refusal(stage).key == "token_rejected")

    def _append_limit(self) -> int:
        """Return what one message may weigh in bytes (RFC 7889), 0 when the server does not say."""
        told = [name.removeprefix("APPENDLIMIT=") for name in self.capabilities if name.startswith("APPENDLIMIT=")]
        return next(iter(numbers(told[0].encode())), 0) if told else 0

    @property
    def _in_clear(self) -> bool:
        """Whether what comes in now may have been said by anybody, although the session is to be encrypted."""
        channel = self.connection.channel
        return self.request.security.encrypted and (channel is None or not channel.encrypted)

    def _shown(self, reply: ImapReply) -> bytes:
        return b"" if self._in_clear else reply.words

    def _greet(self) -> Step:
        stage = self.connection.begin(Stage.GREETING)
        problem = self.connection.greeting_problem(stage)
        if problem is not None or self.connection.channel is None:
            return problem or stage.fail("connection_dropped")
        client = ImapClient(self.connection.channel)
        greeting = client.greeting
        if not greeting.ok:
            return self._hidden(greeting.refusal(stage))
        self._client = client
        if client.preauthenticated and not self.connection.channel.encrypted:
            # Signed in by nobody, and past the point where STARTTLS is allowed (RFC 9051 §6.2.1).
            return self._without_starttls(stage) if self._in_clear else greeting.refusal(stage)
        announced = response_code(greeting.words, "CAPABILITY")
        self.client.capabilities = capability_names([announced] if announced else [])
        return stage.ok(self._shown(greeting))

    def _hidden(self, step: Step) -> Step:
        """Return a step without words that came in before the encryption: they may be an attacker's."""
        return replace(step, reply="") if self._in_clear else step

    def _ask_capability(self) -> Step:
        return self._capability(Stage.CAPABILITY, known=bool(self.capabilities))

    def _ask_capability_again(self) -> Step:
        # What was said before TLS counts for nothing (RFC 9051 §6.2.1).
        return self._capability(Stage.CAPABILITY_TLS, known=False)

    def _capability(self, name: Stage, *, known: bool) -> Step:
        stage = self.connection.begin(name)
        words = b""
        if not known:
            reply = self.client.command("CAPABILITY")
            if not reply.ok and self._in_clear and reply.outcome is not Outcome.LOST:
                return self._without_starttls(stage)
            if not reply.ok:
                return self._hidden(reply.refusal(stage))
            self.client.capabilities = capability_names(reply.lines("CAPABILITY"))
            words = self._shown(reply)
        if self._in_clear:
            return stage.ok(starttls="STARTTLS" in self.capabilities)
        return stage.ok(words, capabilities=sorted(self.capabilities))

    def _start_tls(self) -> Step:
        stage = self.connection.begin(Stage.STARTTLS)
        if "STARTTLS" not in self.capabilities:
            return self._without_starttls(stage)
        reply = self.client.command("STARTTLS")
        if reply.ok:
            return stage.ok()
        if reply.outcome is Outcome.LOST:
            return self._hidden(reply.refusal(stage))
        return self._without_starttls(stage)

    def _without_starttls(self, stage: OpenStage) -> Step:
        """Return the step that ends a session which cannot be encrypted; the connection is closed without a word."""
        proven = self.connection.proof.proven()
        ssl_port = next((choice.port for choice in proven if choice.security.implicit), "")
        patch = self.connection.proof.patch_of(proven)
        self.connection.close()
        return stage.fail("starttls_not_offered", patch=patch, ssl_port=ssl_port)

    def _authenticate(self) -> Step:
        stage = self.connection.begin(Stage.AUTH)
        if self.client.preauthenticated:
            return stage.skipped(preauthenticated=True)
        return SignIn(self.connection, self.client).run(stage)

    def _complete_capability(self) -> None:
        """Ask once more, without a step, when the server told nothing useful so far; many tell more after log-in."""
        if not self.capabilities & _USEFUL_LATER:
            reply = self.client.command("CAPABILITY")
            if reply.ok:
                self.client.capabilities = capability_names(reply.lines("CAPABILITY"))
