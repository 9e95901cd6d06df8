"""The IMAP side: pymap with our accounts and their folders in memory, without its command line.

Imports ``pymap``, so it stands apart and is itself imported when the sandbox starts.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
import ssl
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet, Message
from pymap.concurrent import Subsystem
from pymap.imap import IMAPServer
from pymap.listtree import ListEntry, ListTree
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, ObjectId
from pymap.user import UserMetadata

from cgcore.sandbox.state import SENT_FOLDER, SandboxLimits, StoredMessage
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
        return b"Cloud Gestion sandbox ready"

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


# ---- One account's folders: an inbox and a sent folder, bounded, the oldest message dropped first

_INBOX = "INBOX"


class _SentEntry(ListEntry):
    r"""The entry of the sent folder, with its special use ``\Sent`` (RFC 6154)."""

    @property
    def attributes(self) -> list[bytes]:
        """Return the attributes for LIST, without backslashes."""
        return [*super().attributes, b"Sent"]


class _Tree(ListTree):
    """The folders, the sent folder marked as such."""

    __slots__ = ()

    def list_matching(self, ref_name: str, filter_: str) -> Iterable[ListEntry]:
        """Yield the entries that match."""
        for entry in super().list_matching(ref_name, filter_):
            is_sent = entry.name == SENT_FOLDER
            yield _SentEntry(entry.name, entry.exists, entry.marked, entry.has_children) if is_sent else entry


class _Mailbox(MailboxData):
    """A folder that reports each message put into it, so that the account can drop old ones."""

    def __init__(self, owner: AccountMailboxes, trim: Callable[[], Awaitable[None]]) -> None:
        super().__init__(owner._content_cache, owner._thread_cache)  # pyright: ignore[reportPrivateUsage]
        self._trim = trim

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> Message:
        """Add a message; its moment is now unless the client gives another."""
        when = append_msg.when or datetime.now().astimezone()
        message = await super().append(replace(append_msg, when=when), recent=recent)
        await self._trim()
        return message


class AccountMailboxes(MailboxSet):
    """The folders of one account. All methods run in the sandbox's loop."""

    def __init__(self, limits: SandboxLimits) -> None:
        super().__init__()
        self._limits = limits
        self._inbox = _Mailbox(self, self.trim)
        self._set[SENT_FOLDER] = _Mailbox(self, self.trim)
        self._subscribed[SENT_FOLDER] = True

    async def deliver(self, raw: bytes, when: datetime) -> int:
        """Put a message into the inbox and return its UID."""
        message = await self._inbox.append(AppendMessage(raw, when, frozenset()), recent=True)
        return message.uid

    async def list_inbox(self) -> list[StoredMessage]:
        """Return the messages of the inbox, the newest first."""
        found: list[StoredMessage] = []
        async for message in self._inbox.messages():
            content = await message.load_content(FetchRequirement.CONTENT)
            found.append(StoredMessage(message.uid, message.internal_date, bytes(content)))
        return sorted(found, key=lambda message: message.id, reverse=True)

    async def clear_inbox(self) -> int:
        """Remove every message of the inbox and return how many there were."""
        uids = [message.uid async for message in self._inbox.messages()]
        await self._inbox.delete(uids)
        return len(uids)

    async def trim(self) -> None:
        """Drop the oldest messages of all folders until the account is within its limits."""
        # Counted anew each time: a client also copies, moves and removes, and there are a few hundred at most.
        kept: list[tuple[datetime, MailboxData, int, int]] = []
        for mailbox in (self._inbox, *self._set.values()):
            async for message in mailbox.messages():
                content = await message.load_content(FetchRequirement.CONTENT)
                kept.append((message.internal_date, mailbox, message.uid, content.get_size()))
        kept.sort(key=lambda entry: (entry[0].timestamp(), entry[2]))
        count, size = len(kept), sum(entry[3] for entry in kept)
        for _, mailbox, uid, message_size in kept:
            if count <= self._limits.account_messages and size <= self._limits.account_bytes:
                return
            await mailbox.delete([uid])
            count, size = count - 1, size - message_size

    async def add_mailbox(self, name: str) -> ObjectId:
        """Create a folder. Raises :class:`ValueError` when it exists or there are enough."""
        if name in self._set or len(self._set) >= self._limits.account_folders:
            raise ValueError(name)
        self._set[name] = mailbox = _Mailbox(self, self.trim)
        return mailbox.mailbox_id

    async def list_mailboxes(self) -> ListTree:
        """Return all folders."""
        return _Tree(self.delimiter).update(_INBOX, *self._set)

    async def list_subscribed(self) -> ListTree:
        """Return the subscribed folders."""
        return _Tree(self.delimiter).update(_INBOX, *(name for name in self._set if self._subscribed.get(name)))
