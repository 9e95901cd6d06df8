"""The entry points: prove one leg of a mail account, or send a message, as a generator of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.message import EmailMessage

from cgcore.mail.addresses import is_address
from cgcore.mail.connection import Connection
from cgcore.mail.request import Choice, ProbeEnvironment, ProbeRequest, TrustedTarget, environment_from
from cgcore.mail.smtp.session import SmtpSession
from cgcore.mail.steps import Leg, Stage, Step
from cgcore.mail.transcript import Trace

__all__ = [
    "Choice",
    "ProbeEnvironment",
    "ProbeRequest",
    "TrustedTarget",
    "append_copy",
    "environment_from",
    "list_folders",
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
        yield from SmtpSession(connection).run()


def probe_imap(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Prove the incoming server, step by step, and the folder for copies when one is named.

    Yields the stages of facts §a up to the first error, and always logs out and closes. A remote failure is a step.
    In the folder one small message is stored and removed again by its own UID (RFC 4315); nothing else is touched.
    The ``list`` step offers the folders in its ``details`` (``folders``, ``recommended``, ``reason``, ``prefix``).
    """
    from cgcore.mail.imap.mailbox import MailboxTrial
    from cgcore.mail.imap.session import ImapSession

    with Connection(request, env) as connection:
        session = ImapSession(connection)
        yield from session.sign_in()
        if session.signed_in:
            yield from MailboxTrial(session).run()
        yield from session.log_out()


def list_folders(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Yield the steps up to ``list``, whose ``details`` hold the folders; no folder is opened."""
    return probe_imap(replace(request, folder="", create_folder=False), env)


def send_message(
    message: EmailMessage | bytes, request: ProbeRequest, env: ProbeEnvironment, *, recipients: Sequence[str] = ()
) -> Iterator[Step]:
    """Send one message through the account of ``request`` and yield the steps, the last ones data, final and quit.

    It has left when a ``final`` step is ok; its details then hold ``queue_id``. ``recipients`` defaults to
    ``request.rcpt_to``, else the sender; when one of them is refused nobody gets it. A connection that is lost after
    the final dot is ``delivery_unknown``: never repeat that by itself. ``request.timeout`` covers the upload and the
    server's checks, so give it minutes. Bare CR and LF become CRLF.
    """
    raw = message if isinstance(message, bytes) else message.as_bytes()
    sender = request.mail_from or (request.user if is_address(request.user) else "")
    if not sender:
        yield Trace(request.leg).begin(Stage.INPUT).fail("invalid_input", field="sender", problem="empty")
        return
    addresses: tuple[str, ...] = tuple(recipients) or (request.rcpt_to or sender,)
    # The input stage looks at one recipient: hand it the first that is wrong.
    shown = next((address for address in addresses if not is_address(address)), addresses[0])
    with Connection(replace(request, rcpt_to=shown), env) as connection:
        yield from SmtpSession(connection, message=raw, recipients=addresses).run()


def append_copy(request: ProbeRequest, env: ProbeEnvironment, raw_message: bytes, folder: str) -> Iterator[Step]:
    """Store the copy of a sent message in ``folder``, marked as read.

    Yields the stages up to ``append``; its ``details`` hold ``folder``, and where the server tells them (RFC 4315)
    ``uid`` and ``uidvalidity``. Line ends become CRLF; bytes are otherwise stored as they are.
    """
    from cgcore.mail.imap.mailbox import store_copy
    from cgcore.mail.imap.session import ImapSession

    with Connection(replace(request, folder=folder), env) as connection:
        session = ImapSession(connection)
        yield from session.sign_in()
        if session.signed_in:
            yield store_copy(session, raw_message)
        yield from session.log_out()
