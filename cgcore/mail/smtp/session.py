"""The SMTP leg: its stages one after another, for the probe and for a message that is really sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cgcore.mail.addresses import domain_of, is_address, needs_smtputf8, wire_address
from cgcore.mail.connection import Connection, with_cure
from cgcore.mail.smtp.auth import sign_in
from cgcore.mail.smtp.client import SMTP_ERRORS, SmtpClient, SmtpReply, queue_id
from cgcore.mail.steps import Stage, Status, Step
from cgcore.mail.transcript import OpenStage

__all__ = ["SmtpSession"]

_Act = Callable[[OpenStage], Step]


class SmtpSession:
    """One SMTP conversation. Without a message it ends after RCPT with RSET and QUIT: nothing is sent.

    ``recipients`` are those of the message; every one of them must be taken, or nothing is sent at all.
    """

    def __init__(self, connection: Connection, *, message: bytes = b"", recipients: Sequence[str] = ()) -> None:
        request = connection.request
        self._connection = connection
        self._request = request
        self._message = message
        self._sender = request.mail_from or (request.user if is_address(request.user) else "")
        first = request.rcpt_to or self._sender
        self._recipients: tuple[str, ...] = tuple(recipients) or ((first,) if first else ())
        self._client: SmtpClient
        self._ehlo_name = ""
        self._dot_sent = False

    def run(self) -> Iterator[Step]:
        """Yield the steps; stop after the first error, or after a warning that a message cannot be sent with."""
        yield from self._connection.open()
        if self._connection.channel is None:
            return
        self._ehlo_name = self._connection.ehlo_name
        self._client = SmtpClient(self._connection.channel, self._ehlo_name)
        for stage, act in self._plan():
            step = self._perform(stage, act)
            yield step
            if step.status is Status.ERROR or (self._message and step.status is Status.WARNING and step.key):
                self._leave()
                return

    def _leave(self) -> None:
        if self._connection.channel is not None and not self._dot_sent:
            self._client.farewell()

    def _plan(self) -> Iterator[tuple[Stage, _Act]]:
        yield Stage.GREETING, self._greeting
        yield Stage.EHLO, self._ehlo
        if self._request.security.upgrade:
            yield Stage.STARTTLS, self._starttls
            yield Stage.TLS, self._tls
            yield Stage.EHLO_TLS, self._ehlo
        if self._request.user:
            yield Stage.AUTH, lambda stage: sign_in(self._connection, self._client, stage)
        yield Stage.MAIL_FROM, self._mail_from
        for recipient in self._recipients or ("",):
            yield Stage.RCPT_TO, lambda stage, recipient=recipient: self._rcpt_to(stage, recipient)
        if self._message:
            yield Stage.DATA, self._data
            yield Stage.FINAL, self._final
        yield Stage.QUIT, self._quit

    def _perform(self, stage: Stage, act: _Act) -> Step:
        begun = self._connection.trace.begin(stage)
        try:
            return act(begun)
        except SMTP_ERRORS as error:
            if self._dot_sent and stage is Stage.FINAL:
                return begun.fail("delivery_unknown")
            return begun.broken(error)

    def _said(self, reply: SmtpReply) -> bytes | str:
        """Return what may be shown of a reply: of words in clear before STARTTLS only the numbers (facts §f)."""
        channel = self._connection.channel
        in_clear = self._request.security.upgrade and not (channel is not None and channel.encrypted)
        return reply.codes if in_clear else reply.text

    def _refused(self, stage: OpenStage, reply: SmtpReply, **details: object) -> Step:
        if reply.code == -1:  # no reply in the sense of RFC 5321 §4.2
            return stage.fail("protocol_error", self._said(reply))
        step = with_cure(stage.refused(reply.text, **details), self._connection)
        if self._said(reply) is reply.text:
            return step
        return stage.fail(step.key, reply.codes)

    def _greeting(self, stage: OpenStage) -> Step:
        problem = self._connection.greeting_problem(stage)
        if problem is not None:
            return problem
        reply = self._client.greeting()
        return stage.ok(self._said(reply)) if reply.code == 220 else self._refused(stage, reply)

    def _ehlo(self, stage: OpenStage) -> Step:
        reply = self._client.hello(self._ehlo_name)
        if reply.code == 250:
            return self._welcomed(stage, reply)
        step = self._refused(stage, reply)
        if step.key == "helo_rejected" and (name := self._other_name()):
            self._ehlo_name = name
            reply = self._client.hello(name)
            return self._welcomed(stage, reply) if reply.code == 250 else self._refused(stage, reply, name=name)
        return step

    def _welcomed(self, stage: OpenStage, reply: SmtpReply) -> Step:
        if stage.stage is Stage.EHLO and self._request.security.upgrade:
            return stage.ok(self._said(reply))
        return stage.ok(reply.text, capabilities=list(self._client.capabilities), size_limit=self._client.size_limit)

    def _other_name(self) -> str:
        name = domain_of(self._sender) or domain_of(self._request.user) or "localhost.localdomain"
        return name if name.isascii() and name != self._ehlo_name else ""

    def _starttls(self, stage: OpenStage) -> Step:
        if not self._client.has_extn("starttls"):
            return stage.fail("starttls_not_offered", patch=self._connection.proof.patch_for())
        reply = self._client.command("STARTTLS")
        if reply.code == 220:
            return stage.ok(self._said(reply))
        step = self._refused(stage, reply)
        if reply.code == 421 or step.key in ("too_many_connections", "starttls_on_ssl_port"):
            return step  # 421: it takes nobody just now, encrypted or not
        return stage.fail("starttls_not_offered", reply.codes, patch=self._connection.proof.patch_for())

    def _tls(self, stage: OpenStage) -> Step:
        del stage  # the connection keeps the time of the handshake itself
        self._client.after_tls()
        return self._connection.secure()

    def _mail_from(self, stage: OpenStage) -> Step:
        if not self._sender:
            return stage.skipped()
        addresses = [address for address in (self._sender, *self._recipients) if needs_smtputf8(address)]
        if addresses and not self._client.has_extn("smtputf8"):
            field = "sender" if addresses[0] == self._sender else "recipient"
            return stage.fail("smtputf8_required", field=field, address=addresses[0])
        limit = self._client.size_limit
        if self._message and limit and len(self._message) > limit:
            return stage.fail("message_too_big", limit_mb=_megabytes(limit))
        reply = self._client.mail_from(wire_address(self._sender), utf8=bool(addresses))
        if reply.code == 250:
            return stage.ok(reply.text, sender=self._sender)
        return self._refused(stage, reply, sender=self._sender, **self._limits())

    def _rcpt_to(self, stage: OpenStage, recipient: str) -> Step:
        if not self._sender or not recipient:
            return stage.skipped()
        reply = self._client.rcpt_to(wire_address(recipient))
        if reply.code in (250, 251, 252):
            return stage.ok(reply.text, recipient=recipient)
        return self._refused(stage, reply, sender=self._sender, recipient=recipient)

    def _data(self, stage: OpenStage) -> Step:
        reply = self._client.command("DATA")
        if reply.code != 354:
            return self._refused(stage, reply)
        self._client.send_body(self._message)
        return stage.ok(reply.text, bytes=len(self._message))

    def _final(self, stage: OpenStage) -> Step:
        self._dot_sent = True
        reply = self._client.end_of_body()
        if reply.code == 250:
            return stage.ok(reply.text, queue_id=queue_id(reply.text))
        if reply.code == -1:
            return stage.fail("delivery_unknown", reply.text)
        self._dot_sent = False
        return self._refused(stage, reply, sender=self._sender, recipient=self._recipients[0], **self._limits())

    def _limits(self) -> dict[str, object]:
        limit = self._client.size_limit
        return {"limit_mb": _megabytes(limit)} if limit else {}

    def _quit(self, stage: OpenStage) -> Step:
        """Say goodbye; a server that hangs up or says nothing more has done all that was asked of it."""
        if self._connection.channel is not None:
            self._connection.channel.hurry()
        try:
            if not self._message:
                self._client.command("RSET")
            reply = self._client.command("QUIT")
        except SMTP_ERRORS:
            return stage.ok()
        return stage.ok(reply.text)


def _megabytes(size: int) -> int:
    return max(1, size // 1_000_000)
