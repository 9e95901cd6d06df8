"""The card of «Cuenta mail» about the sender's domain: one run that asks DNS, with its output stored like every run's.

Stands alone because it needs neither password nor server: only the address and the name of the outgoing server.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.addresses import is_address
from cgcore.mail.request import ProbeEnvironment
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.workbench.runs import Job, RunSection

if TYPE_CHECKING:
    from cgcore.mail.deliverability import Finding

__all__ = ["LEG", "DeliverabilitySection", "domain_fingerprint"]

#: The leg of the steps of such a run: no conversation with a mail server.
LEG = "dns"
_SECONDS = 8.0


class DeliverabilitySection:
    """Use cases of the card."""

    def __init__(self, *, runs: RunSection, environment: Callable[[], ProbeEnvironment]) -> None:
        self._runs, self._environment = runs, environment

    def start(self, actor: Actor, draft: MailAccountDraft) -> Run:
        """Look at the domain of ``draft.user``. Raises :class:`InvalidInput` where that is no address."""
        address = draft.user.strip()
        if not is_address(address):
            raise InvalidInput(account_problem("user", "address_syntax" if address else "empty", address=address))

        def steps() -> Iterator[Step]:
            from cgcore.mail.deliverability import check_domain

            env = self._environment()
            began = time.monotonic()
            for found in check_domain(address, draft.smtp.host, env.records, env.deadline(_SECONDS)):
                yield _step(found, round((time.monotonic() - began) * 1000))

        def judge(steps: Sequence[Step], ms: int) -> Verdict:
            worst = next((step for status in _WORST for step in steps if step.status is status), None)
            return Verdict(worst.key if worst else "ok", worst.stage if worst else "", ms)

        return self._runs.start(actor, Cell.DELIVERABILITY, domain_fingerprint(draft), Job(steps, judge))

    def find_last(self, actor: Actor) -> Run | None:
        """Return the last run."""
        return self._runs.find_last(actor, Cell.DELIVERABILITY)


def domain_fingerprint(draft: MailAccountDraft) -> str:
    """Return what stands for what a run looks at."""
    return hashlib.sha256(f"{draft.user.strip()}\n{draft.smtp.host.strip()}".encode()).hexdigest()


_WORST = (Status.ERROR, Status.WARNING)


def _step(found: Finding, ms: int) -> Step:
    record = str(found.record) if found.record else ""
    key = found.code if found.status in _WORST else ""
    return Step(
        LEG,
        found.subject.value,
        found.status,
        ms,
        key=key,
        details={"code": found.code, "values": dict(found.values), "record": record},
    )
