"""What a test mail came to: the server's word, its copy, where it has come in; and another look for one that had not.

Apart from :mod:`cgcore.workbench.mail_probes`, which sends: here nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.workbench.runs import Job, RunSection

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.request import ProbeEnvironment, ProbeRequest

__all__ = ["MailArrival", "sending_result"]


class MailArrival:
    """Looks again for a test mail to oneself. ``build`` returns the request for the account's own mailbox."""

    def __init__(
        self,
        *,
        runs: RunSection,
        build: Callable[[Actor, MailAccountDraft], ProbeRequest],
        environment: Callable[[], ProbeEnvironment],
    ) -> None:
        self._runs, self._build, self._environment = runs, build, environment

    def start(self, actor: Actor, draft: MailAccountDraft, sent: Run) -> Run:
        """Look again for the mail that the run ``sent`` has sent. Raises :class:`InvalidInput`."""
        message_id = str((sent.result or {}).get("message_id", ""))
        request = self._build(actor, draft)

        def steps() -> Iterator[Step]:
            from cgcore.mail.probe import follow_up

            return follow_up(request, self._environment(), b"", "", find=message_id)

        def judge(steps: Sequence[Step], ms: int) -> Verdict:
            return build_verdict(steps, total_ms=ms, host=request.host, port=request.port, user=request.user)

        def conclude(steps: Sequence[Step], _verdict: Verdict, _session: Session) -> dict[str, Any]:
            return {"message_id": message_id, **_arrival(steps)}

        return self._runs.start(actor, Cell.ARRIVAL, message_id, Job(steps, judge, conclude))

    def find(self, actor: Actor, sent: Run) -> Mapping[str, Any]:
        """Return where the mail of a run is, by the last look at it; nothing where none was made."""
        result = sent.result or {}
        found: Mapping[str, Any] = result.get("arrival") or {}
        if found.get("code") == "missing":
            again = self._runs.find_last(actor, Cell.ARRIVAL)
            if again is not None and again.result and again.result.get("message_id") == result.get("message_id"):
                found = again.result.get("arrival") or found
        return found


def _arrival(steps: Sequence[Step]) -> dict[str, Any]:
    found = next((step for step in steps if step.stage == "arrival"), None)
    return {"arrival": dict(found.details)} if found is not None else {}


def sending_result(steps: Sequence[Step], message: EmailMessage, recipient: str, folder: str) -> dict[str, Any]:
    """Return what a sending has come to, as it is stored with its run."""
    final = next((step for step in steps if step.leg == Leg.SMTP and step.stage == "final"), None)
    sent = final is not None and final.status is Status.OK
    append = next((step for step in steps if step.leg == Leg.IMAP and step.stage == "append"), None)
    copied = append is not None and append.status is not Status.ERROR
    tried = bool(folder) and any(step.leg == Leg.IMAP for step in steps)
    return {
        **_arrival(steps),
        "sent": sent,
        "recipient": recipient,
        "queue_id": str(final.details.get("queue_id", "")) if sent and final is not None else "",
        "message_id": str(message["Message-ID"] or ""),
        "copy": "stored" if copied else "failed" if tried else "none",
        "folder": folder if copied else "",
    }
