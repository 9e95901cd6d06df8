"""Probes, test mails and messages of a user's mail account, each as a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, LoginNames, MailAccountDraft, account_to_json, check_account
from cgcore.mail.account_texts import problem as account_problem
from cgcore.mail.addresses import is_address
from cgcore.mail.changes import kept_settings, proved_more
from cgcore.mail.diagnosis.texts import build_verdict
from cgcore.mail.request import ProbeEnvironment, ProbeRequest, environment_from
from cgcore.mail.sender import SenderDraft
from cgcore.mail.sign_in import Password
from cgcore.mail.steps import Leg
from cgcore.mail.watch import certificate_end
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.storage.runs import ProbeRunStore
from cgcore.workbench.mail_arrival import sending_result
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.runs import Job, RunSection

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.oauth.section import OAuthSection
    from cgcore.workbench.sandbox import SandboxSection

__all__ = ["TEST_MAILS_PER_HOUR", "MailRequests", "MailRuns", "require_complete", "sentence_values"]


class MailRequests:
    """Builds requests out of drafts, with the password that belongs to them."""

    def __init__(
        self,
        context: Context,
        *,
        mail_account: MailAccountSection,
        oauth: Callable[[], OAuthSection],
        sandbox: Callable[[], SandboxSection],
    ) -> None:
        self._context, self._mail_account, self._oauth, self._sandbox = context, mail_account, oauth, sandbox

    def environment(self) -> ProbeEnvironment:
        """Return the world of this installation: its resolver, its permitted networks, its test mailbox."""
        targets = self._sandbox().probe_targets() if self._context.settings.sandbox_on else ()
        return environment_from(self._context.settings, trusted_targets=targets)

    def build(self, actor: Actor, leg: Leg, draft: MailAccountDraft, **more: Any) -> ProbeRequest:
        """Return the request for one leg of ``draft``; ``more`` are further fields of it.

        Raises :class:`InvalidInput` when there is no password, or the stored one would go to another server or user.
        """
        from cgcore.mail.providers import find_provider_by_host

        by_password = draft.auth is AuthKind.PASSWORD
        password = self._mail_account.effective_password(actor, draft) if by_password else None
        if by_password and password is None:
            raise InvalidInput(account_problem("password", "empty"))
        if leg is Leg.SMTP and draft.login(leg) != draft.user and is_address(draft.user):
            more.setdefault("mail_from", draft.user)  # whoever signs in, mail comes from the account
        server = draft.smtp if leg is Leg.SMTP else draft.imap
        provider = find_provider_by_host(server.host)
        return ProbeRequest(
            leg=leg,
            host=server.host.strip(),
            port=server.port_number(leg) or 0,
            security=server.security,
            pin=server.pin if leg is Leg.IMAP and server.security.pinned else "",
            user=draft.login(leg),
            credential=Password(password) if password is not None else None,
            tokens=None if by_password else self._oauth().tokens.source(actor, draft, leg),
            folder=draft.sent_folder if leg is Leg.IMAP else "",
            provider=provider.id if provider else "",
            **more,
        )


def require_complete(draft: MailAccountDraft, leg: Leg) -> None:
    """Raise :class:`InvalidInput` for what is wrong or empty in the fields that ``leg`` needs."""
    other = ("imap", "logins_imap") if leg is Leg.SMTP else ("smtp", "logins_smtp")
    found = [found for found in check_account(draft) if not found.field.startswith(other)]
    blocking = [found for found in found if found.blocking or found.code == "empty"]
    if blocking:
        raise InvalidInput(*(FieldProblem(found.field, found.code, found.text) for found in blocking))


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


TEST_MAILS_PER_HOUR = 20

_CELLS = {Leg.SMTP: Cell.SMTP, Leg.IMAP: Cell.IMAP}
_REMEMBERED = 20  # tests of a cell: as many as are kept


class MailRuns:
    """Starts the runs of a mail account; what is tested is the draft on the screen, saved or not."""

    def __init__(
        self,
        context: Context,
        *,
        mail_account: MailAccountSection,
        oauth: Callable[[], OAuthSection],
        runs: RunSection,
        sandbox: Callable[[], SandboxSection],
    ) -> None:
        self._context, self._mail_account, self._oauth, self._runs = context, mail_account, oauth, runs
        self.requests = self._requests = MailRequests(context, mail_account=mail_account, oauth=oauth, sandbox=sandbox)

    def environment(self) -> ProbeEnvironment:
        """Return the world that the tests of this installation run in."""
        return self._requests.environment()

    def find_last(self, actor: Actor, cell: Cell) -> Run | None:
        """Return the last run of one of this account's cells, or what a set-up has proven for it since."""
        last = self._runs.find_last(actor, cell)
        leg = next((leg for leg, its_cell in _CELLS.items() if its_cell is cell), None)
        setup = self._runs.find_last(actor, Cell.SETUP) if leg is not None else None
        if leg is None or setup is None or (last is not None and last.started >= setup.started):
            return last
        from cgcore.workbench.mail_setup import tested_leg

        return tested_leg(setup, leg, cell) or last

    def list_last(self, actor: Actor, cell: Cell, limit: int) -> Sequence[Run]:
        """Return the newest runs of one of this account's cells, newest first."""
        return self._runs.list_last(actor, cell, limit)

    def find_stronger(self, actor: Actor, leg: Leg, draft: MailAccountDraft) -> Run | None:
        """Return the newest test in which the server of ``draft`` proved more than the draft asks of it now.

        That is encryption where none is asked for, and a certificate that is valid for everybody where one is taken by
        its fingerprint. ``None`` where the draft asks as much, or nothing of the kind is remembered.
        """
        server = draft.smtp if leg is Leg.SMTP else draft.imap
        if server.security.encrypted and not server.security.pinned:
            return None
        runs = self._runs.list_last(actor, _CELLS[leg], _REMEMBERED)
        return next((run for run in runs if proved_more(run, server)), None)

    def start_probe(self, actor: Actor, leg: Leg, draft: MailAccountDraft, *, create_folder: bool = False) -> Run:
        """Start the connection test of one leg, or join the one under way.

        Raises :class:`InvalidInput` for what can be seen without a connection, emptiness included, and when the
        stored password would go to another server.
        """
        require_complete(draft, leg)
        request = self._requests.build(actor, leg, draft, create_folder=create_folder)
        values = sentence_values(request, draft)
        cell = _CELLS[leg]

        def steps() -> Iterator[Step]:
            from cgcore.mail.probe import probe

            return probe(request, self._requests.environment())

        def judge(steps: Sequence[Step], ms: int) -> Verdict:
            return build_verdict(steps, total_ms=ms, **values)

        def conclude(_steps: Sequence[Step], verdict: Verdict, session: Session) -> dict[str, Any]:
            told = f"{leg} {request.host}"
            self._context.activity.record(actor, Action.PROBE_RUN, told, verdict.key, session=session)
            return {"settings": kept_settings(draft, leg)}

        return self._runs.start(actor, cell, self.fingerprint(actor, cell, draft), Job(steps, judge, conclude))

    def start_test_mail(self, actor: Actor, draft: MailAccountDraft, recipient: str) -> Run:
        """Send the fixed test mail to ``recipient`` with the account on the screen, and store its copy.

        Raises :class:`InvalidInput` like :meth:`start_probe`, and for a recipient that is no address or one mail too
        many in an hour.
        """
        from cgcore.mail.message import build_test_message

        recipient = recipient.strip()
        self._require_recipient(actor, recipient)
        require_complete(draft, Leg.SMTP)
        sender = self.sender_of(actor, draft)
        message = build_test_message(
            sender=sender,
            sender_name=draft.sender.name or actor.full_name,
            recipient=recipient,
            reply_to=draft.sender.reply_to,
            read_receipt=draft.read_receipt,
        )
        return self._start_sending(actor, Cell.TEST_MAIL, draft, message, sender, recipient)

    def start_message(self, actor: Actor, cell: Cell, message: EmailMessage, recipient: str) -> Run:
        """Send ``message`` with the stored account of the actor, and store its copy.

        Raises :class:`InvalidInput` when the account is incomplete.
        """
        draft = self._mail_account.get(actor).draft
        if not draft.smtp.host:
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "mail_account", "nothing_to_send"))
        self._require_recipient(actor, recipient)
        require_complete(draft, Leg.SMTP)
        return self._start_sending(actor, cell, draft, message, self.sender_of(actor, draft), recipient)

    def sender_of(self, actor: Actor, draft: MailAccountDraft) -> str:
        """Return the address that mail of this account comes from: the user name, else the actor's own address.

        Raises :class:`InvalidInput` when neither is an address.
        """
        for address in (draft.user, actor.mail):
            if is_address(address):
                return address
        raise InvalidInput(FieldProblem.of("cgcore.workbench", "user", "sender_missing"))

    def fingerprint(self, actor: Actor, cell: Cell, draft: MailAccountDraft, recipient: str = "") -> str:
        """Return what stands for the settings that ``cell`` tests; equal settings give equal fingerprints."""
        section = self._mail_account
        if draft.auth is not AuthKind.PASSWORD:
            connected = self._oauth().grants.connection(actor)
            mark = connected.since.isoformat() if connected else ""
        else:
            mark = section.stored_mark(actor) if draft.password is None else section.password_mark(draft.password)
        tested = account_to_json(draft)
        if draft.auth is AuthKind.PASSWORD:
            del (
                tested["auth"],
                tested["logins"],
            )  # as it was before there was another way: what was proven then still is
        elif draft.logins == LoginNames():
            del tested["logins"]
        if draft.sender == SenderDraft() or cell in _CELLS.values():
            del tested["sender"]  # the test of a connection shows it to nobody
        if cell is Cell.SMTP:
            del tested["imap"], tested["sent_folder"], tested["read_receipt"]
        elif cell is Cell.IMAP:
            del tested["smtp"], tested["read_receipt"]
        canonical = json.dumps([tested, mark, recipient], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def start_all(self, actor: Actor) -> list[Run]:
        """Start every test of the stored account at once, or none.

        Raises :class:`InvalidInput` with everything that is missing for any of them.
        """
        draft = self._mail_account.get(actor).draft
        if missing := self._list_missing(actor, draft):
            raise InvalidInput(*missing)
        return [self.start_probe(actor, leg, draft) for leg in (Leg.SMTP, Leg.IMAP)]

    def overview(self, actor: Actor) -> OverviewLine:
        """Return the line of Resumen: how the stored account stands."""
        name, stored = SectionName.MAIL_ACCOUNT, self._mail_account.get(actor)
        if not stored.draft.smtp.host:
            return OverviewLine(name, SectionState.IDLE, "mail_empty")
        if stored.draft.auth is not AuthKind.PASSWORD:
            if line := self._connection_line(actor, stored.draft):
                return line
        elif stored.password_lost:
            return OverviewLine(name, SectionState.WARNING, "mail_password_lost", {"host": stored.draft.smtp.host})
        elif not stored.password_set:
            return OverviewLine(name, SectionState.WARNING, "mail_no_password", {"host": stored.draft.smtp.host})
        runs = {cell: self.find_last(actor, cell) for cell in (Cell.SMTP, Cell.IMAP)}
        if any(run is not None and run.is_running for run in runs.values()):
            return OverviewLine(name, SectionState.RUNNING, "mail_running")
        outdated = [
            run.started
            for cell, run in runs.items()
            if run is not None and run.fingerprint != self.fingerprint(actor, cell, stored.draft)
        ]
        if outdated:
            # Good or bad, it was another account that was tested.
            values = {"host": stored.draft.smtp.host}
            return OverviewLine(name, SectionState.WARNING, "mail_changed", values, at=max(outdated))
        for cell, run in runs.items():
            if run is not None and not run.proves_nothing and run.failed:
                code = "mail_smtp_failed" if cell is Cell.SMTP else "mail_imap_failed"
                return OverviewLine(name, SectionState.ERROR, code, about=run, at=run.started)
        smtp, imap = runs[Cell.SMTP], runs[Cell.IMAP]
        if smtp is None or smtp.proves_nothing:
            return OverviewLine(name, SectionState.UNTESTED, "mail_unproven", {"host": stored.draft.smtp.host})
        if ends := _certificate_end([run for run in (smtp, imap) if run is not None], self._context.clock()):
            host, date = ends
            return OverviewLine(
                name, SectionState.WARNING, "mail_certificate_ends", {"host": host, "date": date}, at=smtp.started
            )
        code = "mail_smtp_proven"
        if imap is not None and not imap.proves_nothing:
            code = "mail_proven" if stored.draft.sent_folder else "mail_without_copy"
        values = {"smtp": stored.draft.smtp.host, "folder": stored.draft.sent_folder}
        return OverviewLine(name, SectionState.OK, code, values, at=smtp.started)

    def _connection_line(self, actor: Actor, draft: MailAccountDraft) -> OverviewLine | None:
        """Return what is wrong with the connection that the account signs in by."""
        connected = self._oauth().grants.connection(actor)
        if connected is None or connected.provider != draft.auth or not connected.is_for(draft):
            values = {"host": draft.smtp.host}
            return OverviewLine(SectionName.MAIL_ACCOUNT, SectionState.WARNING, "mail_not_connected", values)
        if connected.state != "connected":
            values = {"address": connected.address}
            return OverviewLine(SectionName.MAIL_ACCOUNT, SectionState.ERROR, "mail_connection_lost", values)
        return None

    def _list_missing(self, actor: Actor, draft: MailAccountDraft) -> list[FieldProblem]:
        found: dict[tuple[str, str], FieldProblem] = {}
        for leg in Leg:
            try:
                require_complete(draft, leg)
                by_password = draft.auth is AuthKind.PASSWORD
                if by_password and self._mail_account.effective_password(actor, draft) is None:
                    raise InvalidInput(account_problem("password", "empty"))
            except InvalidInput as refused:
                found |= {(each.field, each.code): each for each in refused.problems}
        return list(found.values())

    def _start_sending(
        self,
        actor: Actor,
        cell: Cell,
        draft: MailAccountDraft,
        message: EmailMessage,
        sender: str,
        recipient: str,
    ) -> Run:
        request = self._requests.build(actor, Leg.SMTP, draft, mail_from=sender, rcpt_to=recipient)
        mine = recipient.casefold() in (sender.casefold(), draft.user.casefold())
        find = str(message["Message-ID"] or "") if mine and cell is Cell.TEST_MAIL else ""
        wanted = draft.imap.host and (draft.sent_folder or find)
        follow_request = self._requests.build(actor, Leg.IMAP, draft) if wanted else None
        values = sentence_values(request, draft)

        def steps() -> Iterator[Step]:
            from cgcore.mail.probe import send_message

            env, accepted = self._requests.environment(), None
            for step in send_message(message, request, env):
                if step.stage == "final" and step.status is Status.OK:
                    accepted = env.clock()
                yield step
            if accepted is not None and follow_request is not None:
                from cgcore.mail.probe import follow_up

                folder = draft.sent_folder
                yield from follow_up(follow_request, env, message.as_bytes(), folder, find=find, since=accepted)

        def judge(steps: Sequence[Step], ms: int) -> Verdict:
            return build_verdict(steps, total_ms=ms, **values)

        def conclude(steps: Sequence[Step], verdict: Verdict, session: Session) -> dict[str, Any]:
            result = sending_result(steps, message, recipient, draft.sent_folder)
            result["settings"] = {**kept_settings(draft, Leg.SMTP), "recipient": recipient, "folder": draft.sent_folder}
            self._context.activity.record(
                actor, Action.TEST_MAIL_SENT, recipient, verdict.key, detail=result["queue_id"], session=session
            )
            return result

        fingerprint = self.fingerprint(actor, cell, draft, recipient)
        return self._runs.start(actor, cell, fingerprint, Job(steps, judge, conclude))

    def _require_recipient(self, actor: Actor, recipient: str) -> None:
        if not recipient:
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "recipient", "recipient_empty"))
        if not is_address(recipient):
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "recipient", "address_syntax", address=recipient))
        now = self._context.clock()
        since = now - timedelta(hours=1)
        store = ProbeRunStore(self._context.database)
        sent = sum(store.count_since(actor.user_id, cell, since, now) for cell in (Cell.TEST_MAIL, Cell.TEMPLATE_MAIL))
        if sent >= TEST_MAILS_PER_HOUR:
            raise InvalidInput(
                FieldProblem.of("cgcore.workbench", "recipient", "test_mail_limit", limit=TEST_MAILS_PER_HOUR)
            )


def _certificate_end(runs: Sequence[Run], now: datetime) -> tuple[str, date] | None:
    """Return the server whose certificate ends first, soon enough to be told of, and its last day."""
    ends = [
        (end, host)
        for run in runs
        if (host := str((run.result or {}).get("settings", {}).get("host", "")))
        and (end := certificate_end(run.steps, now.date()))
    ]
    return (min(ends)[1], min(ends)[0]) if ends else None
