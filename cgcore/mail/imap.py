"""IMAP: the only door to :mod:`imaplib`, the probe of the incoming server, and the copy of a sent message."""

from __future__ import annotations

import base64
import imaplib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from cgcore.mail.appending import store_copy
from cgcore.mail.channel import MAX_LINE, Channel, FloodError
from cgcore.mail.connection import Connection
from cgcore.mail.imap_mailbox import MailboxTrial
from cgcore.mail.imap_reply import Outcome, Reply, without_referral
from cgcore.mail.imap_session import ImapSession
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.mail.steps import Step
from cgcore.mail.utf7 import quote_string

__all__ = ["append_copy", "list_folders", "probe_imap"]

_TAGGED = re.compile(rb"[A-P]+\d+ ((?:OK|NO|BAD)\b.*)", re.DOTALL)
_STATUS_ROW = re.compile(rb"\* (?:NO|BAD|BYE)\b", re.IGNORECASE)
_MAX_LITERAL = 1024 * 1024
_PARSING = (ValueError, LookupError, TypeError)  # what imaplib trips over in lines that no honest server sends


def probe_imap(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Prove the incoming server, step by step, and the folder for copies when one is named.

    Yields the stages of facts §a up to the first error, and always logs out and closes. A remote failure is a step.
    In the folder one small message is stored and removed again by its own UID (RFC 4315); nothing else is touched.
    The ``list`` step offers the folders in its ``details`` (``folders``, ``recommended``, ``reason``, ``prefix``).
    """
    with Connection(request, env) as connection:
        session = ImapSession(connection, _Client)
        yield from session.sign_in()
        if session.signed_in:
            yield from MailboxTrial(session).run()
        yield from session.log_out()


def list_folders(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
    """Yield the steps up to ``list``, whose ``details`` hold the folders; no folder is opened."""
    return probe_imap(replace(request, folder="", create_folder=False), env)


def append_copy(request: ProbeRequest, env: ProbeEnvironment, raw_message: bytes, folder: str) -> Iterator[Step]:
    """Store the copy of a sent message in ``folder``, marked as read.

    Yields the stages up to ``append``; its ``details`` hold ``folder``, and where the server tells them (RFC 4315)
    ``uid`` and ``uidvalidity``. Line ends become CRLF; bytes are otherwise stored as they are.
    """
    with Connection(replace(request, folder=folder), env) as connection:
        session = ImapSession(connection, _Client)
        yield from session.sign_in()
        if session.signed_in:
            yield store_copy(session, raw_message)
        yield from session.log_out()


class _Wire(imaplib.IMAP4):
    """imaplib on a channel of ours: one deadline, bounded lines and literals, the greeting alone, errors as they are.

    ``status_rows`` and ``tagged`` are what the server said about the running command: imaplib folds a BAD into the
    text of an exception. ``may_continue``: on a continuation request out of place imaplib would wait for more.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.reader = channel.makefile()
        self.status_rows: list[bytes] = []
        self.tagged = b""
        self.may_continue = False
        super().__init__()

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Take the channel as it is: it is connected already."""

    def _get_capabilities(self) -> None:
        # imaplib asks within its constructor; the probe asks in a stage of its own, or not at all.
        self.capabilities = ("IMAP4REV1",)

    def read(self, size: int) -> bytes:
        if size > _MAX_LITERAL:
            raise FloodError("a literal without end")
        return self.reader.read(size)

    def readline(self) -> bytes:
        line = self.reader.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise FloodError("a line without end")
        if not line.endswith(b"\n"):  # half a line says nothing
            raise ConnectionResetError("the server closed the connection")
        if line.startswith(b"+") and not self.may_continue:
            raise self.abort("a continuation request out of place")
        if _STATUS_ROW.match(line):
            self.status_rows.append(line.rstrip())
        found = _TAGGED.match(line.rstrip(b"\r\n"))
        if found is not None:
            self.tagged = found[1]
        return line

    def send(self, data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send everything before the deadline."""
        self.channel.sendall(data)

    def shutdown(self) -> None:
        """Leave the channel to its owner."""


class _Client:
    """The :class:`~cgcore.mail.imap_reply.ImapClient` over imaplib; see there for its methods."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.greeting = Reply(Outcome.LOST)
        self.preauthenticated = False
        try:
            self._wire = _Wire(channel)
        except imaplib.IMAP4.error as error:
            self.greeting = _farewell(error)
        except OSError as error:
            self.greeting = Reply(Outcome.LOST, error=error)
        except _PARSING:
            self.greeting = Reply(Outcome.NONSENSE)
        else:
            self.preauthenticated = self._wire.state == "AUTH"
            self.greeting = Reply(Outcome.OK, without_referral(self._wire.welcome))

    def command(self, name: str, *arguments: bytes) -> Reply:
        if any(byte in argument for argument in arguments for byte in b"\r\n\0"):
            raise ValueError("a line end in an argument would be a second command")
        reply = self._exchange(lambda: self._wire.xatom(name, *arguments))  # pyright: ignore[reportArgumentType]
        if reply.ok and name in ("SELECT", "EXAMINE"):
            self._wire.state = "SELECTED"
        elif reply.ok and name in ("AUTHENTICATE", "LOGIN"):
            self._wire.state = "AUTH"
        return reply

    def authenticate(self, mechanism: str, message: bytes, *, at_once: bool) -> Reply:
        if at_once:
            return self.command("AUTHENTICATE", mechanism.encode(), base64.b64encode(message))
        answers = iter([message])
        # A second challenge is answered by «*»: the password goes out once (RFC 9051 §6.2.2).
        return self._exchange(
            lambda: self._wire.authenticate(mechanism, lambda _: next(answers, None)), may_continue=True
        )

    def append(self, folder: bytes, message: bytes, *, when: datetime, at_once: bool) -> Reply:
        date = imaplib.Time2Internaldate(when).encode()
        arguments: list[Any] = [quote_string(folder), b"(\\Seen)", date]
        if at_once:
            arguments.append(b"{%d+}\r\n%s" % (len(message), message))
            return self._exchange(lambda: self._wire.xatom("APPEND", *arguments))
        self._wire.literal = message  # pyright: ignore[reportAttributeAccessIssue]
        return self._exchange(lambda: self._wire.xatom("APPEND", *arguments), may_continue=True)

    def restart(self) -> None:
        self._wire.reader = self._channel.makefile()

    def _exchange(self, run: Callable[[], object], *, may_continue: bool = False) -> Reply:
        wire = self._wire
        wire.may_continue = may_continue
        # imaplib keeps untagged data and hands it out later as if it were true, even what came in before TLS.
        wire.untagged_responses.clear()
        wire.status_rows, wire.tagged = [], b""
        try:
            run()
        except imaplib.IMAP4.error as error:
            # imaplib turns what the socket raised while sending into an error of its own.
            if isinstance(error.__context__, OSError):
                return Reply(Outcome.LOST, error=error.__context__)
            if isinstance(error, imaplib.IMAP4.abort):
                wire.tagged = b""  # not the tag of this command, or a farewell behind it
        except OSError as error:
            words = b"\n".join(wire.status_rows)
            return Reply(Outcome.BYE, words) if words else Reply(Outcome.LOST, error=error)
        except _PARSING:
            return Reply(Outcome.NONSENSE)
        return self._reply()

    def _reply(self) -> Reply:
        wire = self._wire
        words = without_referral(b"\n".join([*wire.status_rows, *([wire.tagged] if wire.tagged else [])]))
        rows = {name: tuple(row for row in found if row) for name, found in wire.untagged_responses.items()}
        if wire.tagged:
            return Reply(Outcome(wire.tagged.split(b" ")[0].decode("ascii")), words, rows)
        return Reply(Outcome.BYE if words else Outcome.NONSENSE, words, rows)


def _farewell(error: imaplib.IMAP4.error) -> Reply:
    """Return the reply for a greeting that is none: imaplib puts a BYE into its error as bytes."""
    words: object = error.args[0] if error.args else b""
    if isinstance(words, bytes) and _STATUS_ROW.match(words):
        return Reply(Outcome.BYE, without_referral(words))
    return Reply(Outcome.NONSENSE)
