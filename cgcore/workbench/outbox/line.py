"""One connection of an account, as long as it is open: whose it is, what follows from the settings behind it, and what
its server has said of itself.

Apart from :mod:`cgcore.workbench.outbox.sender`, which decides what goes over it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.outbox.states import CopyState
from cgcore.runs import Status, Step
from cgcore.workbench.mail_probes import sentence_values

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.mail.account import MailAccountDraft
    from cgcore.mail.request import ProbeRequest
    from cgcore.outbox.message import Slot
    from cgcore.outbox.pace import Pace

__all__ = ["LearnedLimits", "Line"]

_BELIEVED_S = 3600.0  # what a server has said of itself; it may have had a bad hour
_UNKNOWN_PROVIDER_S = 20.0  # until a copy that the provider files by itself would be there


class Line:
    """What is needed to send over one connection: which of the account's it is, who acts, and by which settings."""

    def __init__(self, slot: Slot, actor: Actor, draft: MailAccountDraft, request: ProbeRequest) -> None:
        self.slot, self.actor, self.draft, self.request = slot, actor, draft, request
        self.values = sentence_values(request, draft)

    def reason(self, step: Step) -> Mapping[str, Any]:
        """Return the verdict over a step, as it is stored; a step without a fault is one that we broke off."""
        if not step.key:
            step = dataclasses.replace(step, status=Status.ERROR, key="temporary_failure")
        return build_verdict([step], total_ms=step.ms, **self.values).to_json()

    def copy(self) -> tuple[CopyState, float]:
        """Return how the copy begins, and after how many seconds: the host that is used decides."""
        from cgcore.mail.providers import find_provider

        provider = find_provider(self.request.provider)
        if not (self.draft.sent_folder and self.draft.imap.host):
            return CopyState.NONE, 0.0
        if provider is not None and provider.saves_sent_copy:
            return CopyState.SKIPPED, 0.0
        unsure = provider is not None and provider.saves_sent_copy is None
        return CopyState.PENDING, _UNKNOWN_PROVIDER_S if unsure else 0.0


class LearnedLimits:
    """To how many recipients at once servers let the messages of an account go, as they have said within the hour."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said: dict[tuple[int, str], tuple[int, float]] = {}

    def learn(self, user_id: int, host: str, most: int) -> None:
        """Note what a server has said."""
        self._said[user_id, host] = most, self._clock() + _BELIEVED_S

    def find(self, user_id: int, host: str, pace: Pace) -> int:
        """Return to how many one transaction may go, 0 where nobody knows: as its provider says, or has just said."""
        most, until = self._said.get((user_id, host), (0, 0.0))
        known = (pace.recipients, most if self._clock() < until else 0)
        return min((count for count in known if count), default=0)
