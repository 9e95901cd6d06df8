"""The test mailbox: SMTP and IMAP on loopback, one account per user, nothing leaves the machine.

Apart from its package, which only says what others may use.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING

from cgcore.errors import VaultError
from cgcore.sandbox.loop import LoopThread, listen
from cgcore.sandbox.state import (
    CA_FILE,
    HOST,
    SENT_FOLDER,
    SandboxAccount,
    SandboxLimits,
    SandboxPorts,
    StoredMessage,
    choose_login,
    load_state,
    sandbox_secret,
    save_state,
)
from cgcore.vault import Secret, Vault
from cgcore.vault.records import make_private_folder, take_lock

if TYPE_CHECKING:
    from cgcore.sandbox.imap import ImapSide
    from cgcore.sandbox.smtp import SmtpSide

__all__ = ["Sandbox"]

_PASSWORD_BYTES = 18
_LOCK_FILE = ".lock"


@dataclass(frozen=True, slots=True)
class _Sides:
    smtp: SmtpSide
    imap: ImapSide


@dataclass(frozen=True, slots=True)
class _Running:
    thread: LoopThread[_Sides]
    sides: _Sides
    ports: SandboxPorts
    lock: int


class Sandbox:
    """The embedded mail servers and their accounts; started by the first call that needs them.

    ``folder`` keeps the ports, the log-in names and the authority's certificate, the vault the passwords and the
    authority's key: an account set up once works after a restart. The messages themselves are in memory.
    """

    def __init__(self, folder: Path, vault: Vault, *, limits: SandboxLimits | None = None) -> None:
        self._folder = folder
        self._vault = vault
        self._limits = limits or SandboxLimits()
        self._lock = threading.RLock()
        self._running: _Running | None = None

    @property
    def is_running(self) -> bool:
        """Whether the servers are up."""
        return self._running is not None

    @property
    def last_ports(self) -> SandboxPorts | None:
        """The ports of this run or the last one; None before the first. Starts nothing."""
        return self._running.ports if self._running is not None else load_state(self._folder).ports

    @property
    def ca_file(self) -> Path:
        """The certificate (PEM) that verifies the servers, there once they have been started."""
        return self._folder / CA_FILE

    @property
    def was_used(self) -> bool:
        """Whether anybody has an account here, from this run or an earlier one."""
        return bool(load_state(self._folder).logins)

    def start(self) -> SandboxPorts:
        """Start the servers unless they run, and return their ports: those of the last run where they are free.

        Raises :class:`VaultError`: of the vault, ``sandbox_unavailable`` when a folder or port cannot be had,
        ``sandbox_elsewhere`` when another process serves this folder's accounts.
        """
        return self._start().ports

    def stop(self) -> None:
        """Stop the servers and close their connections; the messages are gone."""
        with self._lock:
            if self._running is not None:
                self._running.thread.stop()
                os.close(self._running.lock)
                self._running = None

    def account_for(self, user_id: int, address: str, *, owner: str = "") -> SandboxAccount:
        """Return the account of a user, made at the first call; the log-in name is their ``address`` where possible.

        An earlier address of the same user goes on working, with the same password and folders. ``owner`` is who has
        that number: of somebody who had it before a database was restored no log-in works any more.
        """
        with self._lock:
            running = self._start()
            state = load_state(self._folder)
            login = choose_login(state.logins, user_id, address)
            password = self._password(user_id, owner)
            for earlier in [name for name, number in state.logins.items() if number == user_id and name != login]:
                running.thread.call(_add_login(running.sides, user_id, earlier, password))
            if state.logins.get(login) != user_id:
                save_state(self._folder, replace(state, logins={**state.logins, login: user_id}))
            running.thread.call(_add_login(running.sides, user_id, login, password))
        return SandboxAccount(login, password, HOST, running.ports, self.ca_file, SENT_FOLDER)

    def messages(self, user_id: int) -> list[StoredMessage]:
        """Return the messages in the inbox of a user, the newest first."""
        running = self._start()
        return running.thread.call(running.sides.imap.account(user_id).list_inbox())

    def clear(self, user_id: int) -> int:
        """Remove the messages in the inbox of a user and return how many there were."""
        running = self._start()
        return running.thread.call(running.sides.imap.account(user_id).clear_inbox())

    def _start(self) -> _Running:
        with self._lock:
            if self._running is None:
                self._running = self._launch()
            return self._running

    def _launch(self) -> _Running:
        try:
            make_private_folder(self._folder)
            lock = take_lock(self._folder / _LOCK_FILE)
            if lock is None:
                # Two at once would take each other's ports away, and saved accounts with them.
                raise VaultError("another process serves these accounts", code="sandbox_elsewhere")
            try:
                return self._serve_with(lock)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise VaultError(f"the sandbox: {type(error).__name__}", code="sandbox_unavailable") from error

    def _serve_with(self, lock: int) -> _Running:
        from cgcore.sandbox.authority import make_server_context

        context = make_server_context(self._folder, self._vault)
        state = load_state(self._folder)
        passwords = {login: self._password(user_id) for login, user_id in state.logins.items()}
        sockets = listen(state.ports)
        ports = SandboxPorts(*(listener.getsockname()[1] for listener in sockets))
        if ports != state.ports:
            save_state(self._folder, replace(state, ports=ports))
        thread = LoopThread(lambda: _serve(context, sockets, self._limits), name="sandbox")
        sides = thread.start()
        for login, user_id in state.logins.items():
            thread.call(_add_login(sides, user_id, login, passwords[login]))
        return _Running(thread, sides, ports, lock)

    def _password(self, user_id: int, owner: str = "") -> Secret:
        name, bond = sandbox_secret(user_id), {"owner": owner} if owner else None
        try:
            kept = self._vault.get(name, bond=bond)
        except VaultError as error:
            if error.code not in {"secret_unbound", "secret_misplaced", "record_unreadable"}:
                raise
            # Made by us, so another one may take its place; one that nobody owns yet becomes this owner's.
            kept = self._vault.get(name) if error.code == "secret_unbound" else None
            if kept is not None:
                self._vault.set(name, kept, bond=bond)
        if kept is None:
            kept = Secret(secrets.token_urlsafe(_PASSWORD_BYTES))
            self._vault.set(name, kept, bond=bond)
        return kept


@asynccontextmanager
async def _serve(context: SSLContext, sockets: list[socket.socket], limits: SandboxLimits) -> AsyncGenerator[_Sides]:
    from cgcore.sandbox.imap import ImapSide
    from cgcore.sandbox.smtp import SmtpSide

    imap = ImapSide(context, limits)

    async def deliver(user_id: int, raw: bytes, when: datetime) -> None:
        await imap.account(user_id).deliver(raw, when)

    smtp = SmtpSide(context, limits, deliver)
    servers = [*await smtp.listen(*sockets[:2]), *await imap.listen(*sockets[2:])]
    try:
        yield _Sides(smtp, imap)
    finally:
        for server in servers:
            server.close()


async def _add_login(sides: _Sides, user_id: int, login: str, password: Secret) -> None:
    sides.smtp.add_login(user_id, login, password)
    sides.imap.add_login(user_id, login, password)
