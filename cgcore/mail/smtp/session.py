"""The SMTP conversation: connect, sign in, deliver message after message, close; for the probe and for the sender.

Apart from :mod:`cgcore.mail.probe`: a probe and a sending walk the same stages.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from cgcore.mail.addresses import domain_of, needs_smtputf8, wire_address
from cgcore.mail.connection import Connection
from cgcore.mail.message import size_values
from cgcore.mail.sign_in import SignIn
from cgcore.mail.smtp.client import SMTP_ERRORS, SmtpClient, SmtpReply, queue_id, wire_body
from cgcore.mail.smtp.delivery import Delivery, Envelope, Fate, Parcel, RecipientResult
from cgcore.mail.steps import Stage
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Status, Step

__all__ = ["Delivery", "Envelope", "Fate", "RecipientResult", "SmtpSession"]

_Act = Callable[[OpenStage], Step]


class SmtpSession:
    """One SMTP conversation on one connection: :meth:`connect`, :meth:`sign_in`, :meth:`deliver` …, :meth:`close`.

    Each yields its steps up to the first error, and nothing once the session is no longer :attr:`usable`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._request = connection.request
        self._client: SmtpClient
        self._ehlo_name = ""
        self._stale = False  # whether an envelope has to be forgotten before the next one
        self._probing = False
        self._notices = True
        self.usable = False

    def connect(self) -> Iterator[Step]:
        """Yield the steps from input to the EHLO that counts, encryption included."""
        yield from self._connection.open()
        if self._connection.channel is None:
            return
        self._ehlo_name = self._connection.ehlo_name
        self._client = SmtpClient(self._connection.channel, self._ehlo_name)
        self.usable = True
        stages: list[tuple[Stage, _Act]] = [(Stage.GREETING, self._greeting), (Stage.EHLO, self._ehlo)]
        if self._request.security.upgrade:
            stages += [(Stage.STARTTLS, self._starttls), (Stage.TLS, self._tls), (Stage.EHLO_TLS, self._ehlo)]
        yield from self._pass(stages)

    def sign_in(self) -> Iterator[Step]:
        """Yield the auth step, where the request has a user."""
        if self.usable and self._request.user:
            yield from self._pass([(Stage.AUTH, SignIn(self._connection, self._client).run)])

    def try_envelope(self) -> Iterator[Step]:
        """Yield MAIL and RCPT of the request's addresses and go no further: nothing is sent."""
        if not self.usable:
            return
        self._probing = True
        sender, recipient = self._request.sender, self._request.recipient
        envelope = Envelope(sender, (recipient,) if recipient else ())
        yield from self._pass([(Stage.MAIL_FROM, lambda stage: self._mail_from(stage, envelope))])
        if self.usable:
            yield from self._pass([(Stage.RCPT_TO, lambda stage: self._rcpt_to(stage, envelope, recipient))])

    def deliver(
        self,
        envelope: Envelope,
        body: Iterable[bytes],
        *,
        before_dot: Callable[[Sequence[str]], bool] = lambda _taken: True,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Generator[Step, None, Delivery]:
        """Hand one message over; yield its steps and return what became of it. The session must be :attr:`usable`.

        ``body`` are the bytes of the message in pieces of any length; line ends become CRLF. ``before_dot`` is asked
        when all but the final dot has been written, with the addresses that the server has taken: ``False`` takes the
        message back, by closing the connection.
        ``meanwhile`` is called while the server thinks about the dot; it is short, and raises nothing.
        A connection that was cut while it lay idle ends with the first step: then nothing has been handed over, and
        another connection may take the message at once.
        """
        parcel = Parcel(envelope, before_dot, meanwhile)
        step = None
        for stage, address, act in self._plan(parcel, body):
            self._client.forget_code()
            step = self._perform(stage, act, parcel)
            code = self._client.last_code
            self.usable = self.usable and code != 421 and not (parcel.dot_sent and parcel.fate is Fate.UNKNOWN)
            yield step
            if not parcel.goes_on(step, address, code):
                break
        if step is None:
            raise ValueError("a message needs an envelope")
        return parcel.delivery(step, self._client.last_code, reusable=self.usable)

    def _plan(self, parcel: Parcel, body: Iterable[bytes]) -> Iterator[tuple[Stage, str, _Act]]:
        envelope = parcel.envelope
        yield Stage.MAIL_FROM, "", lambda stage: self._mail_from(stage, envelope)
        for address in envelope.everybody:
            if parcel.is_full:
                break
            yield Stage.RCPT_TO, address, lambda stage, address=address: self._rcpt_to(stage, envelope, address)
        yield Stage.DATA, "", lambda stage: self._data(stage, body)
        yield Stage.FINAL, "", lambda stage: self._final(stage, parcel)

    def close(self) -> Iterator[Step]:
        """Say goodbye. A step tells of it where all went well; else QUIT goes out and nobody waits."""
        if self._connection.channel is None:
            return
        if self.usable:
            yield self._perform(Stage.QUIT, self._quit)
        elif hasattr(self, "_client"):
            self._client.send_quit()
        self.usable = False
        self._connection.close()

    def _pass(self, stages: Iterable[tuple[Stage, _Act]]) -> Iterator[Step]:
        for stage, act in stages:
            step = self._perform(stage, act)
            self.usable = self.usable and step.status is not Status.ERROR
            yield step
            if not self.usable:
                return

    def _perform(self, stage: Stage, act: _Act, parcel: Parcel | None = None) -> Step:
        begun = self._connection.begin(stage)
        try:
            return act(begun)
        except SMTP_ERRORS as error:
            self.usable = False
            if parcel is not None and parcel.dot_sent:
                parcel.fate = Fate.UNKNOWN
                return begun.fail("delivery_unknown")
            if parcel is not None:
                parcel.cut = True
            return begun.broken(error)

    def _said(self, reply: SmtpReply) -> bytes | str:
        """Return what may be shown of a reply: of words in clear before STARTTLS only the numbers."""
        channel = self._connection.channel
        in_clear = self._request.security.upgrade and not (channel is not None and channel.encrypted)
        return reply.codes if in_clear else reply.text

    def _refused(self, stage: OpenStage, reply: SmtpReply, **details: object) -> Step:
        step = self._connection.with_cure(reply.refusal(stage, **details))
        if self._said(reply) is reply.text:
            return step
        return stage.fail(step.key, reply.codes)

    def _greeting(self, stage: OpenStage) -> Step:
        problem = self._connection.greeting_problem(stage)
        if problem is not None:
            return problem
        reply = self._client.read_reply()
        return stage.ok(self._said(reply)) if reply.code == 220 else self._refused(stage, reply)

    def _ehlo(self, stage: OpenStage) -> Step:
        reply = self._client.hello(self._ehlo_name)
        if reply.code == 250:
            return self._welcomed(stage, reply)
        step = self._refused(stage, reply)
        if step.key == "helo_rejected" and (name := self._other_name()):
            self._ehlo_name = name
            reply = self._client.hello(name)
            if reply.code == 250:
                return self._welcomed(stage, reply)
            step = self._refused(stage, reply, name=name)
        if reply.code < 500 or self._request.security.upgrade or self._request.user:
            return step
        # Whatever it has against EHLO: where neither TLS nor sign-in is wanted, HELO does as well.
        reply = self._client.plain_hello(self._ehlo_name)
        return self._welcomed(stage, reply) if reply.code == 250 else step

    def _welcomed(self, stage: OpenStage, reply: SmtpReply) -> Step:
        if stage.stage is Stage.EHLO and self._request.security.upgrade:
            return stage.ok(self._said(reply))
        return stage.ok(reply.text, capabilities=list(self._client.capabilities), size_limit=self._client.size_limit)

    def _other_name(self) -> str:
        name = domain_of(self._request.sender) or domain_of(self._request.user) or "localhost.localdomain"
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

    def _mail_from(self, stage: OpenStage, envelope: Envelope) -> Step:
        if not envelope.sender:
            return stage.skipped()
        addresses = [address for address in (envelope.sender, *envelope.everybody) if needs_smtputf8(address)]
        if addresses and not self._client.has_extn("smtputf8"):
            field = "sender" if addresses[0] == envelope.sender else "recipient"
            return stage.fail("smtputf8_required", field=field, address=addresses[0])
        limit = self._client.size_limit
        if limit and envelope.size > limit:
            return stage.fail("message_too_big", size_limit=limit, **size_values(limit))
        reply, step = self._mail(stage, envelope, utf8=bool(addresses))
        if step is not None and step.key == "option_not_supported" and envelope.notice_id and self._notices:
            self._notices = False  # announced, and then not taken: the message goes without them
            reply, step = self._mail(stage, envelope, utf8=bool(addresses))
        self._stale = self._stale or step is None
        return step or stage.ok(reply.text, sender=envelope.sender)

    def _mail(self, stage: OpenStage, envelope: Envelope, *, utf8: bool) -> tuple[SmtpReply, Step | None]:
        if self._stale:
            self._stale = False
            reply = self._client.command("RSET")
            if reply.code != 250:
                return reply, self._refused(stage, reply)
        notice = envelope.notice_id if self._notices else ""
        reply = self._client.mail_from(wire_address(envelope.sender), utf8=utf8, size=envelope.size, notice_id=notice)
        if reply.code == 250:
            return reply, None
        return reply, self._refused(stage, reply, sender=envelope.sender, **self._limits())

    def _rcpt_to(self, stage: OpenStage, envelope: Envelope, recipient: str) -> Step:
        if not envelope.sender or not recipient:
            return stage.skipped()
        reply = self._client.rcpt_to(wire_address(recipient), notices=self._notices and bool(envelope.notice_id))
        if reply.code in (250, 251, 252):
            return stage.ok(reply.text, recipient=recipient)
        return self._refused(stage, reply, sender=envelope.sender, recipient=recipient)

    def _data(self, stage: OpenStage, body: Iterable[bytes]) -> Step:
        reply = self._client.command("DATA")
        if reply.code != 354:
            self.usable = self.usable and reply.code >= 400
            return self._refused(stage, reply)
        sent = 0
        for piece in wire_body(body):
            self._connection.allow_block()
            self._client.send_piece(piece)
            sent += len(piece)
        return stage.ok(reply.text, bytes=sent)

    def _final(self, stage: OpenStage, parcel: Parcel) -> Step:
        if not parcel.before_dot(parcel.taken):
            parcel.cut, self.usable = True, False
            return stage.skipped()
        if not self._client.in_step:
            # Words out of turn, a 421 as a rule: the message is not accepted, and no later answer could be told apart.
            parcel.cut, self.usable = True, False
            return self._refused(stage, self._client.read_reply())
        self._client.send_dot()
        parcel.dot_sent = True
        self._connection.allow_final()
        parcel.meanwhile()
        reply = self._client.read_reply()
        self._stale = False
        self.usable = self.usable and self._client.in_step
        if 200 <= reply.code < 300:
            parcel.fate, parcel.queue_id = Fate.ACCEPTED, queue_id(reply.text)
            return stage.ok(reply.text, queue_id=parcel.queue_id)
        if not 400 <= reply.code < 600:
            parcel.fate, self.usable = Fate.UNKNOWN, False
            return stage.fail("delivery_unknown", reply.text)
        recipient = parcel.envelope.everybody[0]
        return self._refused(stage, reply, sender=parcel.envelope.sender, recipient=recipient, **self._limits())

    def _limits(self) -> dict[str, Any]:
        limit = self._client.size_limit
        return size_values(limit) if limit else {}

    def _quit(self, stage: OpenStage) -> Step:
        """Say goodbye; a server that hangs up or says nothing more has done all that was asked of it."""
        if self._connection.channel is not None:
            self._connection.channel.hurry()
        try:
            if self._probing:
                self._client.command("RSET")
            reply = self._client.command("QUIT")
        except SMTP_ERRORS:
            return stage.ok()
        return stage.ok(reply.text)
