"""How fast an account may send, and what that means for what a person is about to hand in.

Apart from :mod:`cgcore.workbench.outbox.sender`: page and API ask it too, and load nothing of what sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cgcore.errors import VaultError
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.pace import ProviderPace, find_pace
from cgcore.outbox.pace import Forecast, Pace, build_pace, forecast
from cgcore.storage import outbox_rests
from cgcore.storage.acting import find_acting
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_tables import OutboxAccountRow

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection

__all__ = ["PaceBook"]


class PaceBook:
    """The paces of the accounts of one installation."""

    def __init__(self, context: Context, mail_account: MailAccountSection) -> None:
        self._context, self._mail_account = context, mail_account

    def find_for(self, user_id: int) -> Pace:
        """Return what the provider of a user's account and the house allow; the house alone, where nobody acts."""
        with self._context.database.read() as session:
            actor = find_acting(session, user_id)
        try:
            return self.find(self._mail_account.get(actor).draft if actor is not None else None)
        except VaultError:
            return self.find(None)

    def find(self, draft: MailAccountDraft | None) -> Pace:
        """Return what the provider of an account and the house allow."""
        own, known = self._context.settings.send_per_hour, self.find_provider(draft)
        if known is None:
            return build_pace(own_per_hour=own)
        return build_pace(
            known.per_minute,
            known.per_hour,
            known.per_day,
            by_recipient=known.by_recipient,
            own_per_hour=own,
            connections=known.connections,
            recipients=known.recipients,
        )

    def find_provider(self, draft: MailAccountDraft | None) -> ProviderPace | None:
        """Return the row of the table for an account."""
        return find_pace(draft.smtp.host, draft.user) if draft is not None and draft.smtp.host else None

    def forecast(self, actor: Actor, messages: Sequence[int]) -> Forecast:
        """Return when messages of so many recipients would have left, behind those that wait already."""
        pace = self.find(self._mail_account.get(actor).draft)

        with self._context.read_as(actor) as (session, actor):
            now = database_now(session)
            account = session.get(OutboxAccountRow, actor.user_id)
            limits = outbox_rests.current_pace(account, pace, now).limits
            sent = outbox_rests.find_sent(session, actor.user_id, now)
            before = outbox_rests.list_waiting(session, actor.user_id)
        first, whole = forecast(limits, sent, before), forecast(limits, sent, [*before, *messages])
        later = whole.later - first.later
        return Forecast(len(messages) - later, later, whole.ends_s, whole.limit, whole.used)
