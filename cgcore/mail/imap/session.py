"""From the socket to a signed-in IMAP session: greeting, capability, STARTTLS, authentication."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cgcore.mail.connection import Connection
from cgcore.mail.imap.client import ImapClient, ImapReply, Outcome, capability_names, refused, response_code
from cgcore.mail.imap.login import ImapLogin
from cgcore.mail.steps import Stage, Status, Step
from cgcore.mail.transcript import OpenStage

__all__ = ["ImapSession"]

_USEFUL_LATER = frozenset({"UIDPLUS", "SPECIAL-USE", "NAMESPACE", "LITERAL+"})


class ImapSession:
    """One session of one probe. After :meth:`sign_in`, ``signed_in`` tells whether there is anything more to do.

    ``capabilities`` are the last ones told, in capitals; never those from before the encryption.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.request = connection.request
        self.trace = connection.trace
        self.capabilities: frozenset[str] = frozenset()
        self.signed_in = False
        self._client: ImapClient | None = None

    @property
    def client(self) -> ImapClient:
        """The connected client."""
        if self._client is None:
            raise RuntimeError("not connected")
        return self._client

    def sign_in(self) -> Iterator[Step]:
        """Yield the steps from input to auth, up to the first error."""
        yield from self.connection.open()
        if self.connection.channel is None:
            return
        for stage in self._stages():
            step = stage()
            if step is not None:
                yield step
                if step.status is Status.ERROR:
                    return
        self.signed_in = bool(self.request.user) or self.client.preauthenticated

    def log_out(self) -> Iterator[Step]:
        """Yield the logout step where there is somebody to say good-bye to. It never decides anything."""
        if self._client is None or self.connection.channel is None:
            return
        stage = self.trace.begin(Stage.LOGOUT)
        self.connection.channel.hurry()
        reply = self._client.command("LOGOUT")
        yield stage.ok(self._shown(reply)) if reply.outcome is not Outcome.LOST else stage.skipped()

    def _stages(self) -> Iterator[Callable[[], Step | None]]:
        yield self._greet
        yield self._ask_capability
        if self.request.security.upgrade:
            yield self._start_tls
            yield self.connection.secure
            yield self._ask_capability_again
        if self.request.user:
            yield self._authenticate
            yield self._settle_capability

    @property
    def _in_clear(self) -> bool:
        """Whether what comes in now may have been said by anybody, although the session is to be encrypted."""
        channel = self.connection.channel
        return self.request.security.encrypted and (channel is None or not channel.encrypted)

    def _shown(self, reply: ImapReply) -> bytes:
        return b"" if self._in_clear else reply.words

    def _greet(self) -> Step:
        stage = self.trace.begin(Stage.GREETING)
        problem = self.connection.greeting_problem(stage)
        if problem is not None or self.connection.channel is None:
            return problem or stage.fail("connection_dropped")
        client = ImapClient(self.connection.channel)
        greeting = client.greeting
        if not greeting.ok:
            return self._hidden(refused(stage, greeting))
        self._client = client
        if client.preauthenticated and not self.connection.channel.encrypted:
            # Signed in by nobody, and past the point where STARTTLS is allowed (RFC 9051 §6.2.1).
            return self._without_starttls(stage) if self._in_clear else refused(stage, greeting)
        announced = response_code(greeting.words, "CAPABILITY")
        self.capabilities = capability_names([announced] if announced else [])
        return stage.ok(self._shown(greeting))

    def _hidden(self, step: Step) -> Step:
        """Return a step without words that came in before the encryption: they may be an attacker's."""
        return replace(step, reply="") if self._in_clear else step

    def _ask_capability(self) -> Step:
        return self._capability(Stage.CAPABILITY, known=bool(self.capabilities))

    def _ask_capability_again(self) -> Step:
        # What was said before TLS counts for nothing (RFC 9051 §6.2.1).
        self.client.restart()
        return self._capability(Stage.CAPABILITY_TLS, known=False)

    def _capability(self, name: Stage, *, known: bool) -> Step:
        stage = self.trace.begin(name)
        words = b""
        if not known:
            reply = self.client.command("CAPABILITY")
            if not reply.ok and self._in_clear and reply.outcome is not Outcome.LOST:
                return self._without_starttls(stage)
            if not reply.ok:
                return self._hidden(refused(stage, reply))
            self.capabilities = capability_names(reply.lines("CAPABILITY"))
            words = self._shown(reply)
        if self._in_clear:
            return stage.ok(starttls="STARTTLS" in self.capabilities)
        return stage.ok(words, capabilities=sorted(self.capabilities))

    def _start_tls(self) -> Step:
        stage = self.trace.begin(Stage.STARTTLS)
        if "STARTTLS" not in self.capabilities:
            return self._without_starttls(stage)
        reply = self.client.command("STARTTLS")
        if reply.ok:
            return stage.ok()
        if reply.outcome is Outcome.LOST:
            return self._hidden(refused(stage, reply))
        return self._without_starttls(stage)

    def _without_starttls(self, stage: OpenStage) -> Step:
        """Return the step that ends a session which cannot be encrypted; the connection is closed without a word."""
        proven = self.connection.proof.proven()
        ssl_port = next((choice.port for choice in proven if choice.security.implicit), "")
        patch = self.connection.proof.patch_of(proven)
        self.connection.close()
        return stage.fail("starttls_not_offered", patch=patch, ssl_port=ssl_port)

    def _authenticate(self) -> Step | None:
        if self._in_clear:
            raise AssertionError("no credential leaves before the encryption")
        login = ImapLogin(self.connection, self.client, self.capabilities)
        step = login.run()
        self.capabilities = login.capabilities
        return step

    def _settle_capability(self) -> Step | None:
        """Ask once more, without a step, when the server told nothing useful so far; many tell more after log-in."""
        if not self.capabilities & _USEFUL_LATER:
            reply = self.client.command("CAPABILITY")
            if reply.ok:
                self.capabilities = capability_names(reply.lines("CAPABILITY"))
        return None
