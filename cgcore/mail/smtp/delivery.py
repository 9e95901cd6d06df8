"""What is handed over and what became of it, as data; and what has been said of one message on its way.

Apart from :mod:`cgcore.mail.smtp.session`, which holds the conversation: whoever sends reads this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cgcore.mail.steps import Stage
from cgcore.runs import Status, Step

__all__ = ["Delivery", "Envelope", "Fate", "Parcel", "RecipientResult"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who gets a message, and what the server is told about it beforehand; the addresses have been checked.

    All ``recipients`` must be taken, or nothing is sent at all; one of the ``copies`` (Cc, Bcc) may be refused alone.
    Where a server takes no more recipients at once (RFC 5321 §4.5.3.1.10) the message goes to those that it has taken,
    and the others stay pending.
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


class Parcel:
    """One message on its way: what has been said about it so far."""

    def __init__(
        self, envelope: Envelope, before_dot: Callable[[Sequence[str]], bool], meanwhile: Callable[[], None]
    ) -> None:
        self.envelope, self.before_dot, self.meanwhile = envelope, before_dot, meanwhile
        self.results = {address: RecipientResult(address) for address in envelope.everybody}
        self.fate, self.dot_sent = Fate.REFUSED, False
        self.cut = False  # whether the connection ended, or was ended, before the dot
        self.is_full = False  # whether the server takes no more recipients with this message
        self.queue_id = ""

    @property
    def taken(self) -> Sequence[str]:
        """The addresses that the server has taken so far."""
        return tuple(address for address, result in self.results.items() if result.fate is Fate.ACCEPTED)

    def goes_on(self, step: Step, address: str, code: int) -> bool:
        """Note what was said and return whether the next stage may come."""
        taken = step.status is Status.OK
        if step.stage != Stage.RCPT_TO:
            return taken
        if step.key == "too_many_recipients" and self.taken and not self.cut:
            self.is_full = True
            self.results[address] = RecipientResult(address, Fate.PENDING, code, step.key, step.reply)
            return True
        if code:
            fate = Fate.ACCEPTED if taken else Fate.REFUSED
            self.results[address] = RecipientResult(address, fate, code, step.key, step.reply)
        if not taken and (self.cut or address in self.envelope.recipients):
            return False
        last = address == self.envelope.everybody[-1]
        return not last or bool(self.taken)

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
