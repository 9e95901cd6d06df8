"""The IMAP side: pymap with our accounts, without its command line.

Imports ``pymap``, so it is itself imported when the sandbox starts.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
import ssl
from argparse import Namespace
from typing import Any

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.user import UserMetadata

from cgcore.sandbox.mailboxes import AccountMailboxes
from cgcore.sandbox.state import SandboxLimits
from cgcore.vault.secret import Secret

__all__ = ["ImapSide"]


class _LightHash:
    """A digest in the place of a password hash: the passwords are random, so a slow hash protects nothing."""

    def copy(self, **_settings: Any) -> _LightHash:
        """Return itself: it has no settings."""
        return self

    def hash(self, secret: str) -> str:
        """Return the digest."""
        # "replace": what a client sends may be no text at all, and must be a wrong password, not a crash.
        return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()

    def verify(self, secret: str, hash: str) -> bool:
        """Return whether ``secret`` has this digest."""
        return hmac.compare_digest(self.hash(secret), hash)


class _Config(Config):
    """The settings of the IMAP server."""

    @property
    def greeting(self) -> bytes:
        """Return a greeting that asks no resolver for the machine's name, and does not show it."""
        return b"Buzon de pruebas listo"

    @property
    def password_prep(self) -> Any:
        """Return the preparation of names and passwords: none but the removal of what is no text."""
        return _as_text


class ImapSide:
    """Accounts and listeners. Made and used in the sandbox's loop."""

    def __init__(self, context: ssl.SSLContext, limits: SandboxLimits) -> None:
        self._context = context
        self._limits = limits
        self._config = _Config(
            Namespace(passlib_cfg=None, proxy_protocol=None, inherited_sockets=None),
            host=None,
            port=0,
            demo_data=False,
            demo_user="",
            demo_password=secrets.token_hex(16),
            ssl_context=context,
            hash_context=_LightHash(),
            cpu_subsystem=Subsystem.for_asyncio(),
            reject_dnsbl=False,
            invalid_user_sleep=0,
            max_append_len=limits.message_bytes,
        )
        self._config.apply_context()
        self._login = Login(self._config)
        self._accounts: dict[int, AccountMailboxes] = {}

    def add_login(self, user_id: int, login: str, password: Secret) -> None:
        """Let ``login`` in with ``password``, to the folders of ``user_id``."""
        digest = _LightHash().hash(password.reveal())
        self._login.users_dict[login] = UserMetadata(self._config, login, password=digest)
        self._config.set_cache[login] = (self.account(user_id), FilterSet())

    def account(self, user_id: int) -> AccountMailboxes:
        """Return the folders of a user, made at the first call."""
        if user_id not in self._accounts:
            self._accounts[user_id] = AccountMailboxes(self._limits)
        return self._accounts[user_id]

    async def listen(self, starttls: socket.socket, implicit_tls: socket.socket) -> list[asyncio.Server]:
        """Serve both sockets and return the servers."""
        server = IMAPServer(self._login, self._config)
        callback = ProxyProtocolReader(self._config.proxy_protocol).get_callback(server)
        return [
            await asyncio.start_server(callback, sock=starttls),
            await asyncio.start_server(callback, sock=implicit_tls, ssl=self._context),
        ]


def _as_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
