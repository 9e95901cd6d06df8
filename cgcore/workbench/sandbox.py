"""The test mailbox of each user: fill it in, read what arrived, empty it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cgcore.errors import NotAllowed, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.identity.tokens import username_key
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.network.policy import TrustedTarget
from cgcore.mail.steps import Leg
from cgcore.once import once
from cgcore.sandbox import CA_FILE, HOST, Sandbox
from cgcore.sandbox.reading import MessageSummary, ReadMessage, build_document, read_message, summarise
from cgcore.sandbox.state import load_state
from cgcore.settings import Settings

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["MessageSummary", "ReadMessage", "SandboxSection", "list_known_targets"]


class SandboxSection:
    """Use cases of «Bandeja de pruebas». The mail servers start at the first use; a user sees only their own mail."""

    __test__ = False  # for pytest: the name is the product's, this is no test

    def __init__(self, context: Context) -> None:
        self._context = context

    @once
    def _sandbox(self) -> Sandbox:
        return Sandbox(_folder(self._context.settings), self._context.vault)

    def close(self) -> None:
        """Stop the servers if they run."""
        if "_sandbox" in vars(self):
            self._sandbox.stop()

    def is_available(self) -> bool:
        """Return whether the settings allow the test mailbox."""
        return self._context.settings.sandbox_on

    def use_for(self, actor: Actor) -> MailAccountDraft:
        """Return the account to fill in, its password included; made at the first call.

        Raises :class:`NotAllowed` when the test mailbox is switched off, :class:`VaultError` when it cannot start.
        """
        self._require_available(actor)
        account = self._sandbox.account_for(actor.user_id, actor.mail, owner=username_key(actor.username))
        return MailAccountDraft(
            user=account.user,
            password=account.password,
            smtp=ServerDraft(account.host, account.ports.smtp_starttls, Security.STARTTLS),
            imap=ServerDraft(account.host, account.ports.imap_ssl, Security.SSL),
            sent_folder=account.sent_folder,
        )

    def is_in_use(self, draft: MailAccountDraft) -> bool:
        """Return whether an account sends through the test mailbox; starts nothing."""
        ports = self._sandbox.last_ports if self.is_available() else None
        return ports is not None and draft.smtp.host.strip() == HOST and draft.smtp.port_number(Leg.SMTP) in set(ports)

    def probe_targets(self) -> tuple[TrustedTarget, ...]:
        """Return the exact servers that probes may reach on loopback, running; none while nobody uses them."""
        if not (self.is_available() and self._sandbox.was_used):
            return ()
        # A probe of a real server goes on without it; one of the test mailbox is told that it does not answer.
        with suppress(VaultError):
            self._sandbox.start()
        return list_known_targets(self._context.settings)

    def list_messages(self, actor: Actor) -> list[MessageSummary]:
        """Return what arrived, the newest first."""
        self._require_available(actor)
        return [summarise(stored) for stored in self._sandbox.messages(actor.user_id)]

    def get_message(self, actor: Actor, message_id: int) -> ReadMessage:
        """Return one message of the actor's. Raises :class:`NotFound`, also for somebody else's."""
        self._require_available(actor)
        for stored in self._sandbox.messages(actor.user_id):
            if stored.id == message_id:
                return read_message(stored)
        raise NotFound("no such message")

    def build_document(self, message: ReadMessage) -> str:
        """Return the HTML document of a message, to be shown in a frame without rights and nowhere else."""
        return build_document(message)

    def clear(self, actor: Actor) -> int:
        """Remove every message of the actor's inbox and return how many there were; sent copies stay."""
        self._require_available(actor)
        return self._sandbox.clear(actor.user_id)

    def _require_available(self, actor: Actor) -> None:
        self._context.require_present(actor)
        if not self.is_available():
            raise NotAllowed("the test mailbox is switched off", code="sandbox_off")


def list_known_targets(settings: Settings) -> tuple[TrustedTarget, ...]:
    """Return the servers of the test mailbox, whoever serves them; starts nothing (for the command line)."""
    folder = _folder(settings)
    ports = load_state(folder).ports if settings.sandbox_on else None
    return tuple(TrustedTarget(HOST, port, str(folder / CA_FILE)) for port in ports or ())


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "sandbox"
