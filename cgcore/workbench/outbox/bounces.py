"""What came back: the switch of each person, and the clerk that looks into their inbox for reports on what was sent.

Only reports are read, and nothing is marked as read (:mod:`cgcore.mail.imap.inbox`). Several processes share the work:
whoever has taken a search keeps it until it ends, or for a quarter of an hour.

Apart from :mod:`cgcore.workbench.outbox.copies`: another folder, read and never written to.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.errors import CloudGestionError, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.connection import Connection, Timeouts
from cgcore.mail.imap.inbox import Place, list_incoming, read_reports
from cgcore.mail.imap.session import ImapSession
from cgcore.mail.steps import Stage
from cgcore.outbox.notices import NoticeKind
from cgcore.storage.bounce_queue import Bounced, Bounces, SearchTask
from cgcore.workbench.outbox.copies import build_inbox_request

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.mail.request import ProbeRequest
    from cgcore.runs import Step
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRequests

__all__ = ["BounceClerk"]

_AFTER_A_FAILURE = timedelta(hours=1)
_AFTER_A_REFUSAL = timedelta(days=1)  # a password that is refused is not tried every hour
_ROUNDS = 5  # of one folder in one look: a thousand reports


class BounceClerk:
    """Searches the inboxes that are due, one connection each."""

    def __init__(
        self,
        context: Context,
        owner: str,
        *,
        mail_account: MailAccountSection,
        requests: MailRequests,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._context, self._mail_account, self._requests = context, mail_account, requests
        self._store, self._timeouts = Bounces(context.database, owner), timeouts or Timeouts()

    def work(self) -> None:
        """Do what is due now."""
        while self._store.has_work() and (task := self._store.claim()) is not None:
            try:
                self._search(task)
            except CloudGestionError as failure:
                key = "account_unfit" if isinstance(failure, InvalidInput) else "temporary_failure"
                self._store.finish(task, key=key, after=_AFTER_A_FAILURE)

    def _search(self, task: SearchTask) -> None:
        actor, request = build_inbox_request(self._context, self._mail_account, self._requests, task.user_id)
        with Connection(request, self._requests.environment(), self._timeouts) as connection:
            session = ImapSession(connection)
            steps = [*session.connect(), *session.sign_in()]
            if not session.signed_in:
                self._give_up(task, steps[-1])
                return
            is_whole = self._read(session, task, actor, request)
            list(session.close())
        if is_whole:
            self._store.finish(task)
        else:
            self._store.finish(task, key="connection_dropped", after=_AFTER_A_FAILURE)

    def _give_up(self, task: SearchTask, step: Step) -> None:
        after = _AFTER_A_REFUSAL if step.stage == Stage.AUTH else _AFTER_A_FAILURE
        self._store.finish(task, key=step.key or "connection_dropped", after=after)

    def _read(self, session: ImapSession, task: SearchTask, actor: Actor, request: ProbeRequest) -> bool:
        """Read every folder that mail may arrive in; return whether nothing is left to read."""
        mailbox = f"{request.user} {request.host}"
        places = dict(task.places) if task.mailbox == mailbox else {}
        since = task.since.date()

        def tell(session: Session, bounced: Bounced) -> None:
            self._tell(session, actor, bounced)

        for folder in list_incoming(session):
            for _ in range(_ROUNDS):
                before = places.get(folder.name, Place())
                reading = read_reports(session, folder, before, since)
                places[folder.name] = reading.place
                if not self._store.keep(task, mailbox, places, reading.found, tell):
                    return True  # ended, or taken over: there is nothing more to note
                if reading.is_whole:
                    break
                if reading.place == before or session.connection.channel is None:
                    return False
        return True

    def _tell(self, session: Session, actor: Actor, bounced: Bounced) -> None:
        if bounced.notice.kind is NoticeKind.FAILED:
            told = f"{bounced.series} {bounced.number}"
            self._context.activity.record(
                actor, Action.DOCUMENT_BOUNCED, told, bounced.notice.key, detail=bounced.message, session=session
            )
