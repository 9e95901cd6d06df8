"""The SMTP conversation: connect, sign in, deliver message after message, close; for the probe and for the sender.

Apart from :mod:`cgcore.mail.probe`: a probe and a sending walk the same stages.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from cgcore.mail.addresses import domain_of, needs_smtputf8, wire_address
from cgcore.mail.connection import Connection
from cgcore.mail.message import size_values
from cgcore.mail.sign_in import SignIn
from cgcore.mail.smtp.client import SMTP_ERRORS, SmtpClient, SmtpReply, queue_id, wire_body
from cgcore.mail.steps import Stage
from cgcore.mail.transcript import OpenStage
from cgcore.runs import Status, Step

__all__ = ["Delivery", "Envelope", "Fate", "RecipientResult", "SmtpSession"]

_Act = Callable[[OpenStage], Step]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who gets a message, and what the server is told about it beforehand; the addresses have been checked.

    All ``recipients`` must be taken, or nothing is sent at all; one of the ``copies`` (Cc, Bcc) may be refused alone.
    ``size`` is what the message weighs on the way, 0 when unknown. ``notice_id`` asks for notices of failure and delay
    that name it (RFC 3461), where the server has them.
    """

    sender: str
    recipients: Sequence[str]
    copies: Sequence[str] = ()
    size: int = 0
    notice_id: str = ""

    @property
    def everybody(self) -> Sequence[str]:
        """All who are to get it, each once."""
        return tuple(dict.fromkeys((*self.recipients, *self.copies)))


class Fate(StrEnum):
    """What became of a message, or of one of its recipients.

    ``pending``: nothing was handed over, so it may be sent again. ``unknown``: it was handed over and the answer is
    missing, so only a person, or a proof, may decide (RFC 5321 §4.2.5, RFC 1047).
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """What became of one recipient; ``code`` is 0 and ``reply`` empty where nothing was said about them."""

    address: str
    fate: Fate = Fate.PENDING
    code: int = 0
    key: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message, as data; ``step`` is the last step of it.

    ``dot_sent`` is the one uncertain moment: from the last byte of the final dot until a complete reply.
    ``retry_helps`` is about the same message at a later time. ``reusable`` says whether the session takes another one.
    """

    fate: Fate
    step: Step
    recipients: Sequence[RecipientResult]
    code: int = 0
    queue_id: str = ""
    dot_sent: bool = False
    retry_helps: bool = False
    reusable: bool = False


class _Parcel:
    """One message on its way: what has been said about it so far."""

    def __init__(self, envelope: Envelope, before_dot: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        self.envelope, self.before_dot, self.meanwhile = envelope, before_dot, meanwhile
        self.results = {address: RecipientResult(address) for address in envelope.everybody}
        self.fate, self.dot_sent = Fate.REFUSED, False
        self.cut = False  # whether the connection ended, or was ended, before the dot
        self.queue_id = ""

    def goes_on(self, step: Step, address: str, code: int) -> bool:
        """Note what was said and return whether the next stage may come."""
        taken = step.status is Status.OK
        if step.stage != Stage.RCPT_TO:
            return taken
        if code:
            fate = Fate.ACCEPTED if taken else Fate.REFUSED
            self.results[address] = RecipientResult(address, fate, code, step.key, step.reply)
        if not taken and (self.cut or address in self.envelope.recipients):
            return False
        last = address == self.envelope.everybody[-1]
        return not last or any(result.fate is Fate.ACCEPTED for result in self.results.values())

    def delivery(self, step: Step, code: int, *, reusable: bool) -> Delivery:
        """Return what became of it, ``step`` being the last one."""
        fate = Fate.PENDING if self.cut else self.fate
        later = 400 <= code < 500 or step.retry in ("later", "now")
        return Delivery(
            fate=fate,
            step=step,
            recipients=tuple(self._settled(result, fate, step, code) for result in self.results.values()),
            code=code,
            queue_id=self.queue_id,
            dot_sent=self.dot_sent,
            retry_helps=fate is Fate.PENDING or (fate is Fate.REFUSED and later),
            reusable=reusable,
        )

    def _settled(self, result: RecipientResult, fate: Fate, step: Step, code: int) -> RecipientResult:
        """Return what the end of the message means for a recipient who was taken."""
        if result.fate is not Fate.ACCEPTED or fate is Fate.ACCEPTED:
            return result
        if fate is Fate.REFUSED and step.stage in (Stage.DATA, Stage.FINAL):
            return replace(result, fate=fate, code=code, key=step.key, reply=step.reply)
        return replace(result, fate=Fate.UNKNOWN if fate is Fate.UNKNOWN else Fate.PENDING)


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
        before_dot: Callable[[], bool] = lambda: True,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Generator[Step, None, Delivery]:
        """Hand one message over; yield its steps and return what became of it. The session must be :attr:`usable`.

        ``body`` are the bytes of the message in pieces of any length; line ends become CRLF. ``before_dot`` is asked
        when all but the final dot has been written: ``False`` takes the message back, by closing the connection.
        ``meanwhile`` is called while the server thinks about the dot; it is short, and raises nothing.
        A connection that was cut while it lay idle ends with the first step: then nothing has been handed over, and
        another connection may take the message at once.
        """
        parcel = _Parcel(envelope, before_dot, meanwhile)
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

    def _plan(self, parcel: _Parcel, body: Iterable[bytes]) -> Iterator[tuple[Stage, str, _Act]]:
        envelope = parcel.envelope
        yield Stage.MAIL_FROM, "", lambda stage: self._mail_from(stage, envelope)
        for address in envelope.everybody:
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

    def _perform(self, stage: Stage, act: _Act, parcel: _Parcel | None = None) -> Step:
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

    def _final(self, stage: OpenStage, parcel: _Parcel) -> Step:
        if not parcel.before_dot():
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
