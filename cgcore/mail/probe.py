"""The entry points: prove one leg of a mail account, or send a message, as a generator of steps."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

from cgcore.mail.addresses import is_address
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.network.policy import TrustedTarget
from cgcore.mail.request import Choice, ProbeEnvironment, ProbeRequest, environment_from
from cgcore.mail.smtp.session import Delivery, Envelope, Fate, SmtpSession
from cgcore.mail.steps import Leg, Stage
from cgcore.mail.transcript import Trace
from cgcore.runs import Step

__all__ = [
    "Choice",
    "ProbeEnvironment",
    "ProbeRequest",
    "Timeouts",
    "TrustedTarget",
    "environment_from",
    "follow_up",
    "probe",
    "probe_imap",
    "probe_smtp",
    "send_message",
]


def probe(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Yield the steps of the leg that ``request`` names, each as it happens.

    Never raises for what a server does or for bad input: those are steps. Closing the generator closes the socket.
    The last error, or nothing but good steps, decides: see :func:`cgcore.mail.diagnosis.texts.build_verdict`.
    """
    return (probe_smtp if request.leg is Leg.SMTP else probe_imap)(request, env)


def probe_smtp(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Yield the steps of the SMTP leg up to RCPT TO, then RSET and QUIT: no mail is sent."""
    with Connection(request, env) as connection:
        session = SmtpSession(connection)
        yield from session.connect()
        yield from session.sign_in()
        yield from session.try_envelope()
        yield from session.close()


def probe_imap(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Prove the incoming server, step by step, and the folder for copies when one is named.

    Yields the stages of docs/facts/mail.md, 1, up to the first error, and always logs out and closes. A remote
    failure is a step.
    In the folder one small message is stored and removed again by its own UID (RFC 4315); nothing else is touched.
    The ``list`` step offers the folders in its ``details`` (``folders``, ``recommended``, ``reason``, ``prefix``).
    """
    from cgcore.mail.imap.mailbox import MailboxTrial
    from cgcore.mail.imap.session import ImapSession

    with Connection(request, env) as connection:
        session = ImapSession(connection)
        yield from session.connect()
        yield from session.sign_in()
        if session.signed_in:
            yield from MailboxTrial(session).run()
        yield from session.close()


def send_message(
    message: EmailMessage | bytes,
    request: ProbeRequest,
    env: ProbeEnvironment,
    *,
    recipients: Sequence[str] = (),
    timeouts: Timeouts | None = None,
) -> Generator[Step, None, Delivery | None]:
    """Send one message through the account of ``request`` and yield the steps, the last ones data, final and quit.

    It has left when a ``final`` step is ok; its details then hold ``queue_id``. ``recipients`` defaults to
    ``request.rcpt_to``, else the sender; when one of them is refused nobody gets it. A connection that is lost after
    the final dot is ``delivery_unknown``: never repeat that by itself. Each stage has a time of its own, ``timeouts``:
    the ``timeout`` of the request, which is for a probe, does not count. Returns what became of the message, ``None``
    when it did not come to that.
    """
    raw = message if isinstance(message, bytes) else message.as_bytes()
    if not request.sender:
        yield Trace(request.leg).begin(Stage.INPUT).fail("invalid_input", field="sender", problem="empty")
        return None
    addresses: tuple[str, ...] = tuple(recipients) or (request.recipient,)
    # The input stage looks at one recipient: hand it the first that is wrong.
    shown = next((address for address in addresses if not is_address(address)), addresses[0])
    with Connection(replace(request, rcpt_to=shown), env, timeouts or Timeouts()) as connection:
        session = SmtpSession(connection)
        yield from session.connect()
        yield from session.sign_in()
        delivery = None
        if session.usable:
            envelope = Envelope(request.sender, addresses, size=len(raw))
            delivery = yield from session.deliver(envelope, [raw])
            session.usable = session.usable and delivery.fate is Fate.ACCEPTED
        yield from session.close()
    return delivery


def follow_up(
    request: ProbeRequest,
    env: ProbeEnvironment,
    raw_message: bytes,
    folder: str,
    *,
    when: datetime | None = None,
    find: str = "",
    since: float | None = None,
) -> Iterator[Step]:
    """Store the copy of a sent message in ``folder``, marked as read and dated ``when`` it was accepted (now).

    With an empty ``folder`` there is no copy. ``find`` is the Message-ID of a mail to oneself, which is looked for
    where mail comes in, ``since`` when it was accepted on the clock of ``env``. Yields the stages up to ``append`` and
    ``arrival``; see :meth:`ImapSession.append` and :func:`cgcore.mail.imap.inbox.look_for_mail` for their ``details``.
    """
    from cgcore.mail.imap.folders import unlisted
    from cgcore.mail.imap.inbox import look_for_mail
    from cgcore.mail.imap.session import ImapSession

    with Connection(replace(request, folder=folder), env, Timeouts()) as connection:
        session = ImapSession(connection)
        yield from session.connect()
        yield from session.sign_in()
        if session.signed_in and folder:
            yield session.append(raw_message, unlisted(folder), when or datetime.now(UTC))
        if session.signed_in and find:
            yield look_for_mail(session, find, since=since)
        yield from session.close()
