"""What a probe or a sending of a user's account is asked: the request, its environment, the words of its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, check_account
from cgcore.mail.account_texts import problem
from cgcore.mail.request import ProbeEnvironment, ProbeRequest, environment_from
from cgcore.mail.steps import Leg

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["MailRequests", "require_complete", "sentence_values"]


class MailRequests:
    """Builds requests out of drafts, with the password that belongs to them."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def environment(self) -> ProbeEnvironment:
        """Return the world of this installation: its resolver, its permitted networks, its test mailbox."""
        targets = self._workbench.test_mailbox.probe_targets() if self._workbench.settings.sandbox_on else ()
        return environment_from(self._workbench.settings, trusted_targets=targets)

    def build(self, actor: Actor, leg: Leg, draft: MailAccountDraft, **more: Any) -> ProbeRequest:
        """Return the request for one leg of ``draft``; ``more`` are further fields of it.

        Raises :class:`InvalidInput` when there is no password, or the stored one would go to another server or user.
        """
        from cgcore.mail.providers import find_provider_by_host

        password = self._workbench.mail_account.effective_password(actor, draft)
        if password is None:
            raise InvalidInput(problem("password", "empty"))
        server = draft.smtp if leg is Leg.SMTP else draft.imap
        provider = find_provider_by_host(server.host)
        return ProbeRequest(
            leg=leg,
            host=server.host.strip(),
            port=server.port_number(leg) or 0,
            security=server.security,
            pin=server.pin if leg is Leg.IMAP and server.security.pinned else "",
            user=draft.user,
            password=password,
            folder=draft.sent_folder if leg is Leg.IMAP else "",
            provider=provider.id if provider else "",
            **more,
        )


def require_complete(draft: MailAccountDraft, leg: Leg) -> None:
    """Raise :class:`InvalidInput` for what is wrong or empty in the fields that ``leg`` needs."""
    other = "imap" if leg is Leg.SMTP else "smtp"
    found = [found for found in check_account(draft) if not found.field.startswith(other)]
    blocking = [found for found in found if found.blocking or found.code == "empty"]
    if blocking:
        raise InvalidInput(*(FieldProblem(found.field, found.code, found.message) for found in blocking))


def sentence_values(request: ProbeRequest, draft: MailAccountDraft) -> dict[str, object]:
    """Return what the sentences of a verdict may name."""
    return {
        "host": request.host,
        "port": request.port,
        "user": request.user,
        "sender": request.mail_from or request.user,
        "recipient": request.rcpt_to,
        "folder": draft.sent_folder,
        "provider_id": request.provider,
    }
