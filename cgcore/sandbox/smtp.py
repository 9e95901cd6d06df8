"""The SMTP side: aiosmtpd that lets an account in and puts whatever it sends into the sender's own inbox.

Imports ``aiosmtpd``, so it stands apart and is itself imported when the sandbox starts.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from cgcore.sandbox.state import SandboxLimits
from cgcore.vault.secret import Secret

__all__ = ["Deliver", "SmtpSide"]

_NAME = "sandbox"

# Takes the user id, the message and the moment it arrived.
Deliver = Callable[[int, bytes, datetime], Awaitable[None]]


class _Session(Session):
    """A session without the old attribute, which logs a warning at every log-in."""

    login_data: Any = None


class _Protocol(SMTP):
    """One connection."""

    def __init__(self, handler: Any, *, context: ssl.SSLContext, implicit_tls: bool, **settings: Any) -> None:
        super().__init__(
            handler,
            hostname=_NAME,
            ident="SMTP",
            enable_SMTPUTF8=True,
            tls_context=None if implicit_tls else context,
            require_starttls=not implicit_tls,
            auth_required=not implicit_tls,
            **settings,
        )
        if implicit_tls:
            # aiosmtpd sees only its own STARTTLS. Told so through its constructor, it warns at every connection.
            self._auth_required = True
            self._auth_require_tls = False

    def _create_session(self) -> Session:
        return _Session(self.loop)


class SmtpSide:
    """Accounts and listeners. Made and used in the sandbox's loop."""

    def __init__(self, context: ssl.SSLContext, limits: SandboxLimits, deliver: Deliver) -> None:
        self._context = context
        self._limits = limits
        self._deliver = deliver
        self._logins: dict[bytes, tuple[int, bytes]] = {}

    def add_login(self, user_id: int, login: str, password: Secret) -> None:
        """Let ``login`` in with ``password``, to deliver to ``user_id``."""
        self._logins[login.encode()] = (user_id, password.reveal().encode())

    async def listen(self, starttls: socket.socket, implicit_tls: socket.socket) -> list[asyncio.Server]:
        """Serve both sockets and return the servers."""
        loop = asyncio.get_running_loop()
        return [
            await loop.create_server(lambda: self._protocol(implicit_tls=False), sock=starttls),
            await loop.create_server(lambda: self._protocol(implicit_tls=True), sock=implicit_tls, ssl=self._context),
        ]

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        """Put the message into the inbox of whoever is logged in, whoever it is addressed to; nothing leaves."""
        queue_id = secrets.token_hex(6).upper()
        now = datetime.now(UTC)
        content = envelope.original_content or b""
        await self._deliver(int(session.auth_data or 0), _trace(session, envelope, queue_id, now) + content, now)
        return f"250 2.0.0 Ok: queued as {queue_id}"

    def _protocol(self, *, implicit_tls: bool) -> SMTP:
        return _Protocol(
            self,
            context=self._context,
            implicit_tls=implicit_tls,
            data_size_limit=self._limits.message_bytes,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, credentials: Any
    ) -> AuthResult:
        if not isinstance(credentials, LoginPassword):
            return AuthResult(success=False, handled=False)
        user_id, password = self._logins.get(credentials.login, (0, b""))
        right = hmac.compare_digest(credentials.password, password) and user_id > 0
        return AuthResult(success=right, handled=False, auth_data=user_id if right else None)


def _trace(session: Session, envelope: Envelope, queue_id: str, when: datetime) -> bytes:
    # What a delivering server adds (RFC 5321 section 4.4), and whom the envelope named, blind copies included.
    lines = [f"Return-Path: <{envelope.mail_from or ''}>"]
    lines += [f"Delivered-To: {recipient}" for recipient in envelope.rcpt_tos]
    lines.append(f"Received: from {session.host_name or 'unknown'} by {_NAME} with ESMTPSA id {queue_id};")
    lines.append(f"\t{format_datetime(when)}")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
