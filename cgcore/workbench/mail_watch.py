"""The daily look at each mail account: both legs proven without sending, the domain's records compared, troubles kept.

Stands alone: it acts by itself, in a thread of its own, and where several processes share a database one of them has
each look. What is told stands on «Resumen», in the activity log and in the API; while all is well nothing is.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action, Change
from cgcore.clock import has_happened
from cgcore.errors import CloudGestionError, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, MailAccountDraft
from cgcore.mail.steps import Leg
from cgcore.mail.watch import DNS, Memory, Trouble, is_refusal, judge_leg, judge_records, last_slot
from cgcore.runs import Cell, Run, Step, deciding_step
from cgcore.sandbox.state import HOST
from cgcore.storage import mail_watch as store
from cgcore.storage.acting import find_acting
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState

if TYPE_CHECKING:
    from cgcore.mail.request import ProbeRequest
    from cgcore.storage.mail_tables import MailWatchRow
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRuns

__all__ = ["MailWatch", "WatchView"]

_log = logging.getLogger(__name__)

_FIRST_S, _EVERY_S = 60.0, 300.0
_CLOSE_S = 6.0
_DNS_S = 8.0
_CELLS = {Leg.SMTP: Cell.SMTP, Leg.IMAP: Cell.IMAP}
# While a test of their own says more, or nothing can be proven, that is what people read.
_SPOKEN_OVER = (SectionState.OK, SectionState.UNTESTED)


@dataclass(frozen=True, slots=True)
class WatchView:
    """How the watch of an account stands: whether it is on, the moment of the last look, and what it has to tell."""

    enabled: bool = True
    looked: datetime | None = None
    troubles: tuple[Trouble, ...] = ()


class MailWatch:
    """Use cases of the watch, and its thread; ``start`` begins that, once."""

    def __init__(self, context: Context, *, mail_account: MailAccountSection, mail_runs: MailRuns) -> None:
        self._context, self._account, self._runs = context, mail_account, mail_runs
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- Use cases

    def get(self, actor: Actor) -> WatchView:
        """Return how the watch of the actor's account stands; what was cured since the last look is not told."""
        found = self._context.recall(
            actor, "mail_watch", lambda session, who: _view(store.find_watch(session, who.user_id))
        )
        view, memory = found
        if not view.enabled or view.looked is None:
            return view
        version = self._account.get(actor).version
        standing = [one for one in memory.troubles if self._stands(actor, one, view.looked, memory.account == version)]
        return replace(view, troubles=tuple(standing))

    def switch(self, actor: Actor, *, enabled: bool) -> None:
        """Switch the watch of the actor's account on or off; switched on it knows nothing of before."""
        with self._context.write_as(actor) as (session, actor):
            row = store.find_watch(session, actor.user_id)
            before = row.enabled if row is not None else True
            if before == enabled:
                return
            store.switch_watch(session, actor.user_id, enabled, self._context.clock())
            changes = [Change("account.watch", before, enabled)]
            self._context.activity.record(actor, Action.ACCOUNT_SAVED, changes=changes, session=session)

    def overview(self, actor: Actor, line: OverviewLine) -> OverviewLine:
        """Return the account's line of Resumen: what the watch has seen, where the line itself has no worse to tell."""
        if line.state not in _SPOKEN_OVER:
            return line
        view = self.get(actor)
        if not view.troubles:
            return line
        first = min(view.troubles, key=lambda one: one.code != "failed")
        failed = first.code == "failed"
        state, code = (SectionState.ERROR, "failed") if failed else (SectionState.WARNING, "warned")
        return OverviewLine(SectionName.MAIL_ACCOUNT, state, f"mail_watch_{code}", about=first, at=view.looked)

    def _stands(self, actor: Actor, trouble: Trouble, looked: datetime, is_same_account: bool) -> bool:
        if trouble.leg == DNS:
            return True
        run = self._runs.find_last(actor, _CELLS[Leg(trouble.leg)])
        cured = run is not None and _has_passed(run) and run.started > looked
        return is_same_account and not (cured and trouble.code != "quota")

    # ---- The thread

    def start(self) -> None:
        """Begin to look whose time has come; a demonstration has nobody to watch."""
        if self._thread is None and not self._stopping.is_set() and not self._context.settings.demo:
            self._thread = threading.Thread(target=self._run, name="mail-watch", daemon=True)
            self._thread.start()

    def retire(self) -> None:
        """Begin no look any more; one that is under way is left, and told nothing of."""
        self._stopping.set()

    def close(self) -> None:
        """Stop, and wait a moment for a look that is under way."""
        self.retire()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def work_once(self) -> None:
        """Look at each account whose time has come, one after the other."""
        now = self._context.clock()
        with self._context.database.read() as session:
            unwatched = store.list_unwatched(session)
            due = [row for row in store.list_watches(session) if _is_due(row, now)]
        if unwatched:
            with self._context.database.session() as session:
                store.add_watches(session, unwatched, now)
        for row in due:
            if self._stopping.is_set():
                return
            self._look(row)

    def _run(self) -> None:
        wait = _FIRST_S
        while not self._stopping.wait(wait):
            wait = _EVERY_S
            try:
                self.work_once()
            except CloudGestionError as error:
                _log.warning("accounts could not be watched (%s)", error.code)
            except Exception:
                if not self._stopping.is_set():
                    _log.exception("accounts could not be watched")

    # ---- One look

    def _look(self, row: MailWatchRow) -> None:
        with self._context.database.session() as session:
            mine = store.claim_look(session, row, self._context.clock())
            actor = find_acting(session, row.user_id)
        if not mine or actor is None:
            return
        before = Memory.from_json(row.memory)
        after = self._prove(actor, before, row.looked)
        if after is None:
            return
        known = {trouble.identity for trouble in before.troubles}
        with self._context.database.session() as session:
            if not store.keep_look(session, row.user_id, row.looks + 1, after.to_json()):
                return
            for trouble in after.troubles:
                if trouble.identity not in known:
                    self._tell(actor, trouble, session)

    def _tell(self, actor: Actor, trouble: Trouble, session: Any) -> None:
        about = trouble.values.get("host") or trouble.values.get("name") or trouble.leg
        result = trouble.key or trouble.code
        self._context.activity.record(actor, Action.MAIL_WATCH_TOLD, about, result, session=session)

    def _prove(self, actor: Actor, before: Memory, looked: datetime | None) -> Memory | None:
        """Return what is known after both proofs and the look at DNS, ``None`` where this process is to stop."""
        stored = self._account.get(actor)
        draft, today = stored.draft, self._context.clock().date()
        if draft.smtp.host.strip() == HOST:
            return Memory()  # the test mailbox, which may be in another process
        mark = self._runs.fingerprint(actor, Cell.SMTP, draft)
        refused = self._known_refusal(actor, draft, before, mark, looked)
        troubles, away = list[Trouble](), dict[str, int]()
        for leg in Leg:
            host = (draft.smtp if leg is Leg.SMTP else draft.imap).host.strip()
            request = self._request(actor, leg, draft, signs_in=not refused) if host else None
            if request is None:
                continue
            steps = self._steps(request)
            if steps is None:
                return None
            found, away[leg.value] = judge_leg(leg, host, steps, before, today)
            if refused:
                # Nobody signs in with it again: what it was told before still stands.
                found += [one for one in before.troubles if one.leg == leg and one.code in ("failed", "quota")]
            elif draft.auth is AuthKind.PASSWORD and any(is_refusal(step) for step in steps):
                refused = True
            troubles += found
        records = self._records(draft)
        troubles += judge_records(records, before, today)
        kept = before.records if records is None else records
        return Memory(troubles, kept, away, mark if refused else "", stored.version)

    def _known_refusal(
        self, actor: Actor, draft: MailAccountDraft, before: Memory, mark: str, looked: datetime | None
    ) -> bool:
        """Whether the password, unchanged, was refused by a look already, or by a test of the person's own."""
        if draft.auth is not AuthKind.PASSWORD:
            return False
        runs = [self._runs.find_last(actor, cell) for cell in _CELLS.values()]
        same = [
            run
            for run in runs
            if run is not None and run.fingerprint == self._runs.fingerprint(actor, Cell(run.cell), draft)
        ]
        if any((step := deciding_step(run.steps)) is not None and is_refusal(step) for run in same):
            return True
        cured = any(_has_passed(run) and (looked is None or run.started > looked) for run in same)
        return before.refused == mark and not cured

    def _request(self, actor: Actor, leg: Leg, draft: MailAccountDraft, *, signs_in: bool) -> ProbeRequest | None:
        """Return what is asked of one server; ``None`` where something is missing: the pages tell that."""
        try:
            more = {"mail_from": self._runs.sender_of(actor, draft)} if leg is Leg.SMTP and signs_in else {}
            request = self._runs.requests.build(actor, leg, replace(draft, sent_folder=""), watch=True, **more)
        except InvalidInput:
            return None
        return request if signs_in else replace(request, user="", credential=None, tokens=None)

    def _steps(self, request: ProbeRequest) -> list[Step] | None:
        from cgcore.mail.probe import probe

        steps: list[Step] = []
        for step in probe(request, self._runs.environment()):
            if self._stopping.is_set():
                return None
            steps.append(step)
        return steps

    def _records(self, draft: MailAccountDraft) -> dict[str, str] | None:
        from cgcore.mail.deliverability import list_records

        env = self._runs.environment()
        return list_records(draft.user.strip(), draft.smtp.host, env.records, env.deadline(_DNS_S))


def _view(row: MailWatchRow | None) -> tuple[WatchView, Memory]:
    if row is None:
        return WatchView(), Memory()
    return WatchView(row.enabled, row.looked if row.memory else None), Memory.from_json(row.memory)


def _is_due(row: MailWatchRow, now: datetime) -> bool:
    """Whether the night's moment has passed since the last look; a moment that lies ahead counts as never."""
    slot = last_slot(row.user_id, now)
    if row.looked is not None and has_happened(row.looked, now):
        return row.looked < slot
    return not has_happened(row.since, now) or row.since < slot


def _has_passed(run: Run) -> bool:
    return not run.is_running and not run.proves_nothing and not run.failed
