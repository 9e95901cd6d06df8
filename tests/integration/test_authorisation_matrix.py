"""Who may do what: every use case × {own, another user's, administrator, logged out}."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cgcore.company.company import CompanyDraft
from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput, LoginEnded, NotAllowed, NotFound
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.oauth_client import Client, ClientDraft, OAuthProvider
from cgcore.mail.steps import Leg
from cgcore.once import once
from cgcore.outbox.batch import Batch, BatchState, Selection
from cgcore.outbox.message import MessageFilters
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.rows import DocumentRow
from cgcore.outbox.saved import SavedFields
from cgcore.runs import Cell, Run
from cgcore.series.series import SeriesDraft
from cgcore.series.starters import StarterLayout
from cgcore.storage.tables import metadata
from cgcore.templates.compile import TemplateSource
from cgcore.templates.render import RenderRequest
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.keys import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.users import Particulars
from tests.conftest import make_settings
from tests.servers.house import add_series
from tests.servers.pages import PASSWORD, ROOT, open_page, sign_in

T = DocumentType
OK = "ok"
OPERATOR = Actor(0, "", role=Role.ADMIN)
ADDRESS = "https://facturas.ejemplo.es"
# Stands in everything that each of the two users has stored, with their name behind it.
MARK = "canario de "
PAGE_SCRIPTS = sorted({path.name for path in (ROOT / "pages").glob("*.py")} - {"workbench.py"})


@dataclass(frozen=True)
class UseCase:
    """A call ``(workbench, who acts, whose it is)``, and the answers expected.

    ``own``: somebody acts on their own; ``other``: on another user's; ``admin``: an administrator on another user's.
    ``personal``: it names nobody, and is about whoever acts, administrators included.
    """

    call: Callable[[Workbench, Actor, Actor], Any]
    own: Any = OK
    other: Any = OK
    admin: Any = OK
    personal: bool = False


def _draft(code: str) -> SeriesDraft:
    return SeriesDraft(code, next_numbers={T.QUOTE: 1})


def _file(whose: Actor) -> bytes:
    return json.dumps({"format": "cloud-gestion", "version": 1, "users": [{"name": whose.username}]}).encode()


def _account(user: str) -> MailAccountDraft:
    """An account on servers that answer at once: they refuse the connection."""
    closed = ServerDraft("127.0.0.1", 1, Security.NONE)
    return MailAccountDraft(f"{user}@ejemplo.es", Secret(MARK + user), closed, closed)


def _plain_draft() -> MailAccountDraft:
    """A server that is asked for no encryption."""
    return MailAccountDraft(smtp=ServerDraft("smtp.example", 25, Security.NONE))


def _setup_draft() -> MailAccountDraft:
    """An address in a domain that no resolver knows."""
    return MailAccountDraft("nadie@no.hay.invalid", Secret(MARK))


def _ended(workbench: Workbench, actor: Actor, *runs: Run) -> list[Run]:
    """The runs, once they have ended."""
    return [run for run in workbench.runs.follow(actor, *runs) if not run.is_running]


def _run_of(workbench: Workbench, owner: Actor) -> Run:
    """The run that the owner has stored; for somebody without one, a run that does not exist."""
    nothing = Run(10**6, Cell.SERIES_CHECK, "", 1, workbench.clock())
    return workbench.runs.find_last(owner, Cell.SERIES_CHECK) or nothing


def _missing_mail(workbench: Workbench) -> Run:
    """A run whose test mail has not come in."""
    result = {"message_id": "<a@b>", "arrival": {"code": "missing"}}
    return Run(10**6, Cell.TEST_MAIL, "", 1, workbench.clock(), result=result)


def _key_of(workbench: Workbench, owner: Actor) -> str:
    """The id of the owner's key."""
    return next((key.id for key in workbench.keys.list_keys(owner)), "nothing")


def _grant(workbench: Workbench, actor: Actor, action: str) -> str:
    return workbench.identity.codes.issue_grant(actor, action, PASSWORD)


def _message_of(workbench: Workbench, owner: Actor) -> int:
    """The number of a message that the owner has just received."""
    account = workbench.sandbox.use_for(owner)
    run = workbench.mail_runs.start_test_mail(owner, account, "cliente@ejemplo.es")
    assert not _ended(workbench, owner, run)[-1].failed
    return workbench.sandbox.list_messages(owner)[0].id


def _document_of(workbench: Workbench, owner: Actor) -> str:
    """The id of the document that the owner has in the queue."""
    with workbench.database.read() as session:
        found = session.connection().execute(
            text("SELECT id FROM outbound_message WHERE user_id = :id"), {"id": owner.user_id}
        )
        return str(found.scalar() or "nothing")


def _saved_of(workbench: Workbench, owner: Actor) -> str:
    """The id of the document that the owner has put aside."""
    with workbench.database.read() as session:
        found = session.connection().execute(
            text("SELECT id FROM saved_document WHERE user_id = :id"), {"id": owner.user_id}
        )
        return str(found.scalar() or "nothing")


def _batch_of(owner: Actor) -> str:
    """The id of the batch that the owner has."""
    return f"lote-{owner.username}"


def _batch(workbench: Workbench, owner: Actor, name: str) -> Batch:
    batch = workbench.batches.start(
        owner, workbench.batches.plan(owner, T.QUOTE, None, []), Selection({}, {}), [], key=name, name=name
    )
    workbench.batches.wait()
    return batch


def _mail(text_: str = "Hola") -> EmailMessage:
    message = EmailMessage()
    message.set_content(text_)
    return message


FOR_ADMINS: dict[str, Any] = {"own": NotAllowed, "other": NotAllowed}
OWN_ONLY: dict[str, Any] = {"other": NotFound}
# No provider is set up, and nobody is connected.
NOBODY: dict[str, Any] = {"own": NotFound, "other": NotFound, "admin": NotFound}
CLIENT = ClientDraft(OAuthProvider.GOOGLE, "panel", Secret("secreto"))
# Not even an administrator: a key, a run and a message are their owner's.
OWNERS_ONLY: dict[str, Any] = {"other": NotFound, "admin": NotFound}
DOCUMENT = DocumentRequest(T.QUOTE, "P", "7", ("cliente@ejemplo.es",), subject="Va", body="<p>Hola</p>", signature="")
ROW = DocumentRow(2, T.QUOTE, "P", "7", "Cliente", ["cliente@ejemplo.es"], [], [], {})
EMPTY_BATCH = Batch("nada", 0, datetime(2026, 1, 1, tzinfo=UTC), BatchState.READY, "", "", [])
SOURCE = TemplateSource("Asunto", "<p>Hola</p>", "")


def personal(call: Callable[[Workbench, Actor], Any]) -> UseCase:
    """Return a use case about whoever acts."""
    return UseCase(lambda workbench, actor, _whose: call(workbench, actor), personal=True)


# Everything the sections of the facade offer to somebody, by the name «section.use case».
USE_CASES: dict[str, UseCase] = {
    "activity.list": UseCase(lambda w, a, _o: w.activity.list(a)),
    "activity.export_csv": UseCase(lambda w, a, _o: list(w.activity.export_csv(a, header=["x"] * 7, labels={}))),
    "company.get": UseCase(lambda w, a, _o: w.company.get(a)),
    "company.save": UseCase(lambda w, a, _o: w.company.save(a, CompanyDraft("Tosma"), 0), **FOR_ADMINS),
    "mail_watch.get": personal(lambda w, a: w.mail_watch.get(a)),
    "mail_watch.switch": personal(lambda w, a: w.mail_watch.switch(a, enabled=False)),
    "mail_watch.overview": personal(lambda w, a: w.mail_watch.overview(a, w.mail_runs.overview(a))),
    "mail_presets.list": UseCase(lambda w, a, _o: w.mail_presets.list(a), **FOR_ADMINS),
    "mail_presets.find": UseCase(lambda w, a, _o: w.mail_presets.find(a, "ana@ejemplo.es")),
    "mail_presets.propose": personal(lambda w, a: w.mail_presets.propose(a, w.mail_account.get(a)).draft.user),
    "mail_presets.find_problem": UseCase(lambda w, a, _o: w.mail_presets.find_problem(a), **FOR_ADMINS),
    "mail_presets.keep": UseCase(lambda w, a, _o: w.mail_presets.keep(a), **FOR_ADMINS, admin=InvalidInput),
    "mail_presets.remove": UseCase(
        lambda w, a, _o: w.mail_presets.remove(a, "ejemplo.es"), **FOR_ADMINS, admin=NotFound
    ),
    "oauth.clients.list": UseCase(lambda w, a, _o: w.oauth.clients.list(a), **FOR_ADMINS),
    "oauth.clients.find": UseCase(lambda w, a, _o: w.oauth.clients.find(a, OAuthProvider.GOOGLE), **FOR_ADMINS),
    "oauth.clients.save": UseCase(lambda w, a, _o: w.oauth.clients.save(a, CLIENT, version=0), **FOR_ADMINS),
    "oauth.clients.remove": UseCase(
        lambda w, a, _o: w.oauth.clients.remove(a, OAuthProvider.GOOGLE), **FOR_ADMINS, admin=NotFound
    ),
    "oauth.clients.has_secret": UseCase(
        lambda w, a, _o: w.oauth.clients.has_secret(a, Client(OAuthProvider.GOOGLE, "x")), **FOR_ADMINS
    ),
    "oauth.clients.count_connected": UseCase(
        lambda w, a, _o: w.oauth.clients.count_connected(a, OAuthProvider.GOOGLE), **FOR_ADMINS
    ),
    "oauth.clients.list_ending": UseCase(lambda w, a, _o: w.oauth.clients.list_ending(a), **FOR_ADMINS),
    "oauth.clients.check": UseCase(
        lambda w, a, _o: w.oauth.clients.check(a, OAuthProvider.GOOGLE), **FOR_ADMINS, admin=NotFound
    ),
    "oauth.clients.consent_request": personal(
        lambda w, a: w.oauth.clients.consent_request(a, OAuthProvider.GOOGLE, ADDRESS)
    ),
    "oauth.clients.offered_for": personal(lambda w, a: w.oauth.clients.offered_for(a, "ana@ejemplo.es")),
    "oauth.attempts.begin": UseCase(
        lambda w, a, _o: w.oauth.attempts.begin(a, OAuthProvider.GOOGLE, _account("nadie")), **NOBODY, personal=True
    ),
    "oauth.attempts.find": personal(lambda w, a: w.oauth.attempts.find(a, "0" * 64)),
    "oauth.attempts.leave": UseCase(
        lambda w, a, _o: w.oauth.attempts.leave(a, "0" * 64, ADDRESS), **NOBODY, personal=True
    ),
    "oauth.attempts.come_back": UseCase(
        lambda w, a, _o: w.oauth.attempts.come_back(a, OAuthProvider.GOOGLE, {"state": "x"}), **NOBODY, personal=True
    ),
    "oauth.attempts.confirm": UseCase(lambda w, a, _o: w.oauth.attempts.confirm(a, "0" * 64), **NOBODY, personal=True),
    "oauth.codes.begin": UseCase(
        lambda w, a, _o: w.oauth.codes.begin(a, OAuthProvider.GOOGLE, _account("nadie")), **NOBODY, personal=True
    ),
    "oauth.codes.find_open": personal(lambda w, a: w.oauth.codes.find_open(a)),
    "oauth.codes.cancel": personal(lambda w, a: w.oauth.codes.cancel(a, "0" * 64)),
    "oauth.grants.connection": personal(lambda w, a: w.oauth.grants.connection(a)),
    "oauth.grants.disconnect": UseCase(lambda w, a, _o: w.oauth.grants.disconnect(a), **NOBODY, personal=True),
    "series.list": UseCase(lambda w, a, _o: w.series.list(a)),
    "series.get": UseCase(lambda w, a, _o: w.series.get(a, "P")),
    "series.count": UseCase(lambda w, a, _o: w.series.count(a)),
    "series.preview": UseCase(lambda w, a, _o: w.series.preview(a, "P", T.QUOTE)),
    "series.overview": UseCase(lambda w, a, _o: w.series.overview(a)),
    "series.check": UseCase(lambda w, a, _o: w.series.check(a, _draft("N")), **FOR_ADMINS),
    "series.add": UseCase(lambda w, a, _o: w.series.add(a, _draft("N")), **FOR_ADMINS),
    "series.save": UseCase(lambda w, a, _o: w.series.save(a, _draft("P"), 1), **FOR_ADMINS),
    "series.delete": UseCase(lambda w, a, _o: w.series.delete(a, "P", 1), **FOR_ADMINS),
    "series.list_orphans": UseCase(lambda w, a, _o: w.series.list_orphans(a, "P", None), **FOR_ADMINS),
    "series.create_starter_set": UseCase(
        lambda w, a, _o: w.series.create_starter_set(a, StarterLayout.SINGLE), **FOR_ADMINS
    ),
    "series.defaults.get": UseCase(lambda w, a, o: w.series.defaults.get(a, o.user_id), **OWN_ONLY),
    "series.defaults.save": UseCase(
        lambda w, a, o: w.series.defaults.save(a, {T.QUOTE: "P"}, None, o.user_id), **OWN_ONLY
    ),
    "series.defaults.get_company": UseCase(lambda w, a, _o: w.series.defaults.get_company(a), **FOR_ADMINS),
    "series.defaults.save_company": UseCase(
        lambda w, a, _o: w.series.defaults.save_company(a, {T.QUOTE: "P"}, None, clear_own=True), **FOR_ADMINS
    ),
    "series.defaults.list_overridden": UseCase(
        lambda w, a, _o: w.series.defaults.list_overridden(a, [T.QUOTE]), **FOR_ADMINS
    ),
    "drafts.keep": personal(lambda w, a: w.drafts.keep(a, "profile", "tab", {})),
    "drafts.drop": personal(lambda w, a: w.drafts.drop(a, "profile", "tab")),
    "drafts.list_drafts": personal(lambda w, a: w.drafts.list_drafts(a, "profile")),
    "drafts.find": personal(lambda w, a: w.drafts.find(a, "profile", "tab")),
    "drafts.move_tab": personal(lambda w, a: w.drafts.move_tab(a, "tab", "new")),
    "drafts.has_tab": personal(lambda w, a: w.drafts.has_tab(a, "tab")),
    "drafts.marks": personal(lambda w, a: w.drafts.marks(a)),
    "drafts.find_trouble": personal(lambda w, a: w.drafts.find_trouble(a, "profile", "tab")),
    "drafts.flush": personal(lambda w, a: w.drafts.flush(a)),
    "series.checks.start": personal(lambda w, a: _ended(w, a, w.series.checks.start(a))),
    "series.checks.find_last": personal(lambda w, a: w.series.checks.find_last(a)),
    "series.checks.overview": personal(lambda w, a: w.series.checks.overview(a)),
    "users.list": UseCase(lambda w, a, _o: w.users.list(a), **FOR_ADMINS),
    "users.get": UseCase(lambda w, a, o: w.users.get(a, o.username), **OWN_ONLY),
    "users.add": UseCase(lambda w, a, _o: w.users.add(a, NewUser("zoe")), **FOR_ADMINS),
    "users.save": UseCase(lambda w, a, o: w.users.save(a, o.username, Particulars("X"), 1), **FOR_ADMINS),
    "users.save_own": personal(lambda w, a: w.users.save_own(a, "X", "", 1)),
    "users.disable": UseCase(lambda w, a, o: w.users.disable(a, o.username), **FOR_ADMINS),
    "users.enable": UseCase(lambda w, a, o: w.users.enable(a, o.username), **FOR_ADMINS),
    "users.issue_reset_link": UseCase(lambda w, a, o: w.users.issue_reset_link(a, o.username), **FOR_ADMINS),
    "users.count_sessions": UseCase(lambda w, a, o: w.users.count_sessions(a, o.username), **FOR_ADMINS),
    "users.end_sessions": UseCase(lambda w, a, o: w.users.end_sessions(a, o.username), **FOR_ADMINS),
    "portable.export_all": UseCase(lambda w, a, _o: w.portable.export_all(a), **FOR_ADMINS),
    "portable.export_user": UseCase(lambda w, a, o: w.portable.export_user(a, o.username), **OWN_ONLY),
    "portable.plan": UseCase(lambda w, a, o: w.portable.plan(a, _file(o), o.username), **OWN_ONLY),
    "portable.apply": UseCase(lambda w, a, o: w.portable.apply(a, _file(o), o.username), **OWN_ONLY),
    "identity.accounts.add_user": UseCase(
        lambda w, a, _o: w.identity.accounts.add_user(a, NewUser("zoe")), **FOR_ADMINS
    ),
    "identity.accounts.disable_user": UseCase(
        lambda w, a, o: w.identity.accounts.disable_user(a, o.username), **FOR_ADMINS
    ),
    "identity.accounts.enable_user": UseCase(
        lambda w, a, o: w.identity.accounts.enable_user(a, o.username), **FOR_ADMINS
    ),
    "identity.accounts.end_sessions_of": UseCase(
        lambda w, a, o: w.identity.accounts.end_sessions_of(a, o.username), **FOR_ADMINS
    ),
    "identity.accounts.set_password": UseCase(
        lambda w, a, o: w.identity.accounts.set_password(a, o.username, Secret("otra frase larga")), **FOR_ADMINS
    ),
    "identity.accounts.issue_reset_link": UseCase(
        lambda w, a, o: w.identity.accounts.issue_reset_link(a, o.username), **FOR_ADMINS
    ),
    "identity.sessions.list_sessions": personal(lambda w, a: w.identity.sessions.list_sessions(a)),
    "identity.sessions.end_other_sessions": personal(lambda w, a: w.identity.sessions.end_other_sessions(a)),
    "identity.sessions.end_session": UseCase(lambda w, a, o: w.identity.sessions.end_session(a, o.session_hash)),
    "identity.accounts.change_password": personal(
        lambda w, a: w.identity.accounts.change_password(a, PASSWORD, Secret("otra frase larga"))
    ),
    "identity.codes.issue_grant": personal(lambda w, a: w.identity.codes.issue_grant(a, ISSUE_ACTION, PASSWORD)),
    "overview.lines": personal(lambda w, a: w.overview.lines(a)),
    "mail_runs.overview": personal(lambda w, a: w.mail_runs.overview(a)),
    "keys.overview": personal(lambda w, a: w.keys.overview(a)),
    "mail_runs.start_all": personal(lambda w, a: _ended(w, a, *w.mail_runs.start_all(a))),
    "mail_account.get": personal(lambda w, a: w.mail_account.get(a)),
    "mail_account.stored_mark": personal(lambda w, a: w.mail_account.stored_mark(a)),
    "mail_account.check": personal(lambda w, a: w.mail_account.check(a, MailAccountDraft())),
    "mail_account.save": personal(
        lambda w, a: w.mail_account.save(a, _account("x"), version=w.mail_account.get(a).version)
    ),
    "mail_account.effective_password": personal(
        lambda w, a: (w.mail_account.effective_password(a, w.mail_account.get(a).draft) or Secret("")).reveal()
    ),
    "discovery.prepare": personal(lambda w, a: w.discovery.prepare(a, "nobody")().reason),
    "deliverability.find_last": personal(lambda w, a: w.deliverability.find_last(a)),
    "deliverability.start": personal(lambda w, a: _ended(w, a, w.deliverability.start(a, _setup_draft()))),
    "mail_setup.find_last": personal(lambda w, a: w.mail_setup.find_last(a)),
    "mail_setup.start": personal(lambda w, a: _ended(w, a, w.mail_setup.start(a, _setup_draft()))),
    "discovery.discover": personal(lambda w, a: w.discovery.discover(a, "nobody").reason),
    "mail_runs.find_last": personal(lambda w, a: w.mail_runs.find_last(a, Cell.SERIES_CHECK)),
    "mail_runs.fingerprint": personal(lambda w, a: w.mail_runs.fingerprint(a, Cell.SMTP, MailAccountDraft())),
    "mail_runs.sender_of": personal(lambda w, a: w.mail_runs.sender_of(a, w.mail_account.get(a).draft)),
    "mail_runs.start_probe": personal(lambda w, a: _ended(w, a, w.mail_runs.start_probe(a, Leg.SMTP, _account("x")))),
    "mail_runs.start_test_mail": personal(
        lambda w, a: _ended(w, a, w.mail_runs.start_test_mail(a, _account("x"), "cliente@ejemplo.es"))
    ),
    "mail_runs.start_message": personal(
        lambda w, a: _ended(w, a, w.mail_runs.start_message(a, Cell.TEMPLATE_MAIL, _mail(), "cliente@ejemplo.es"))
    ),
    "mail_arrival.start": personal(lambda w, a: _ended(w, a, w.mail_arrival.start(a, _account("x"), _run_of(w, a)))),
    "mail_arrival.find": personal(lambda w, a: w.mail_arrival.find(a, _missing_mail(w))),
    "bounces.get": personal(lambda w, a: w.bounces.get(a)),
    "bounces.switch": personal(lambda w, a: w.bounces.switch(a, active=True)),
    "bounces.hurry": personal(lambda w, a: w.bounces.hurry(a)),
    "bounces.list_unassigned": personal(lambda w, a: w.bounces.list_unassigned(a)),
    "runs.list_last": personal(lambda w, a: w.runs.list_last(a, Cell.SERIES_CHECK, 5)),
    "mail_runs.find_stronger": personal(lambda w, a: w.mail_runs.find_stronger(a, Leg.SMTP, _plain_draft())),
    "mail_runs.list_last": personal(lambda w, a: w.mail_runs.list_last(a, Cell.SMTP, 5)),
    "runs.find_last": personal(lambda w, a: w.runs.find_last(a, Cell.SERIES_CHECK)),
    "runs.follow": UseCase(lambda w, a, o: _ended(w, a, _run_of(w, o)), **OWNERS_ONLY),
    "sandbox.use_for": personal(lambda w, a: w.sandbox.use_for(a)),
    "sandbox.list_messages": personal(lambda w, a: w.sandbox.list_messages(a)),
    "sandbox.get_message": UseCase(
        lambda w, a, o: w.sandbox.get_message(a, _message_of(w, o) if o.session_hash else 10**6), **OWNERS_ONLY
    ),
    "sandbox.clear": personal(lambda w, a: w.sandbox.clear(a)),
    "templates.get": personal(lambda w, a: w.templates.get(a, T.QUOTE)),
    "templates.get_all": personal(lambda w, a: w.templates.get_all(a)),
    "templates.get_signature": personal(lambda w, a: w.templates.get_signature(a)),
    "templates.save": personal(
        lambda w, a: w.templates.save(a, T.QUOTE, "X", "<p>X</p>", version=w.templates.get(a, T.QUOTE).version)
    ),
    "templates.restore": personal(
        lambda w, a: w.templates.restore(a, T.QUOTE, version=w.templates.get(a, T.QUOTE).version)
    ),
    "templates.copy": personal(lambda w, a: w.templates.copy(a, T.QUOTE, T.SALES_ORDER, version=0)),
    "templates.save_signature": personal(
        lambda w, a: w.templates.save_signature(a, "<p>X</p>", version=w.templates.get_signature(a).version)
    ),
    "templates.list_versions": personal(lambda w, a: w.templates.list_versions(a, T.QUOTE)),
    "templates.source": personal(lambda w, a: w.templates.source(a, T.QUOTE)),
    "templates.render": personal(lambda w, a: w.templates.render(a, T.QUOTE, RenderRequest())),
    "template_mail.preview_subject": personal(lambda w, a: w.template_mail.preview_subject(a, T.QUOTE, {})),
    "templates.overview": personal(lambda w, a: w.templates.overview(a)),
    "template_mail.own_values": personal(lambda w, a: w.template_mail.own_values(a)),
    "template_mail.preview": personal(
        lambda w, a: w.template_mail.preview(a, T.QUOTE, w.templates.source(a, T.QUOTE), {}).raw
    ),
    "template_mail.send_test": personal(lambda w, a: _ended(w, a, w.template_mail.send_test(a, T.QUOTE, SOURCE, {}))),
    "outbox.preview": personal(lambda w, a: w.outbox.preview(a, DOCUMENT)),
    "outbox.send": personal(lambda w, a: w.outbox.send(a, DOCUMENT, "k")[0].subject),
    "outbox.known_limit": personal(lambda w, a: w.outbox.known_limit(a)),
    "outbox.list": personal(lambda w, a: w.outbox.list(a, MessageFilters())),
    "outbox.overview_of": personal(lambda w, a: w.outbox.overview_of(a)),
    "outbox.resume": personal(lambda w, a: w.outbox.resume(a)),
    "outbox.forecast": personal(lambda w, a: w.outbox.forecast(a, [1])),
    "outbox.get": UseCase(lambda w, a, o: w.outbox.get(a, _document_of(w, o)), **OWNERS_ONLY),
    "outbox.read": UseCase(lambda w, a, o: w.outbox.read(a, _document_of(w, o)), **OWNERS_ONLY),
    "outbox.read_whole": UseCase(lambda w, a, o: w.outbox.read_whole(a, _document_of(w, o)), **OWNERS_ONLY),
    "outbox.cancel": UseCase(lambda w, a, o: w.outbox.cancel(a, _document_of(w, o)), **OWNERS_ONLY),
    "outbox.send_now": UseCase(lambda w, a, o: w.outbox.send_now(a, _document_of(w, o)), **OWNERS_ONLY),
    "outbox.skip_rest": UseCase(
        lambda w, a, o: w.outbox.skip_rest(a, _document_of(w, o)), **{**OWNERS_ONLY, "own": OutboxRefused}
    ),
    "outbox.resend": UseCase(
        lambda w, a, o: w.outbox.resend(a, _document_of(w, o)), **{**OWNERS_ONLY, "own": OutboxRefused}
    ),
    "outbox.look_for": UseCase(
        lambda w, a, o: w.outbox.look_for(a, _document_of(w, o)), **{**OWNERS_ONLY, "own": OutboxRefused}
    ),
    "outbox.resolve_sent": UseCase(
        lambda w, a, o: w.outbox.resolve_sent(a, _document_of(w, o)), **{**OWNERS_ONLY, "own": OutboxRefused}
    ),
    "by_hand.note_sent": personal(lambda w, a: w.by_hand.note_sent(a, DOCUMENT, "n").number),
    "by_hand.mark_sent": UseCase(
        lambda w, a, o: w.by_hand.mark_sent(a, _document_of(w, o)), **{**OWNERS_ONLY, "own": OutboxRefused}
    ),
    "by_hand.send_again": UseCase(
        lambda w, a, o: w.by_hand.send_again(a, _document_of(w, o), "k"),
        **{**OWNERS_ONLY, "own": OutboxRefused},
    ),
    "outbox.list_used": personal(lambda w, a: w.outbox.list_used(a, T.QUOTE)),
    "outbox.recall_recipients": personal(lambda w, a: w.outbox.recall_recipients(a, T.QUOTE, "cliente")),
    "saved.save": personal(lambda w, a: w.saved.save(a, SavedFields("quote", "P"), []).fields),
    "saved.list": personal(lambda w, a: w.saved.list(a)),
    "saved.get": UseCase(lambda w, a, o: w.saved.get(a, _saved_of(w, o)), **OWNERS_ONLY),
    "saved.read_files": UseCase(lambda w, a, o: w.saved.read_files(a, _saved_of(w, o)), **OWNERS_ONLY),
    "saved.delete": UseCase(lambda w, a, o: w.saved.delete(a, _saved_of(w, o)), **OWNERS_ONLY),
    "saved.take_back": UseCase(lambda w, a, o: w.saved.take_back(a, _saved_of(w, o)), **OWNERS_ONLY),
    "batches.find_before": personal(lambda w, a: w.batches.find_before(a, DOCUMENT)),
    "batches.plan": personal(lambda w, a: w.batches.plan(a, T.QUOTE, None, ["P-7.pdf"]).file_names),
    "batches.count_empty": personal(
        lambda w, a: w.batches.count_empty(a, w.batches.plan(a, T.QUOTE, None, []), Selection({}, {}))
    ),
    "batches.sheet_for": personal(lambda w, a: w.batches.sheet_for(a, T.QUOTE, ["P-7.pdf"])),
    "batches.preview_request": personal(lambda w, a: w.batches.preview_request(a, ROW, None)),
    "batches.start": personal(lambda w, a: _batch(w, a, "otro")),
    "batches.list": personal(lambda w, a: w.batches.list(a)),
    "batches.entries": personal(lambda w, a: w.batches.entries(a, EMPTY_BATCH)),
    "batches.get": UseCase(lambda w, a, o: w.batches.get(a, _batch_of(o)), **OWNERS_ONLY),
    "batches.stop": UseCase(lambda w, a, o: w.batches.stop(a, _batch_of(o)), **OWNERS_ONLY),
    "batches.go_on": UseCase(lambda w, a, o: w.batches.go_on(a, _batch_of(o)), **OWNERS_ONLY),
    "batches.cancel_rest": UseCase(lambda w, a, o: w.batches.cancel_rest(a, _batch_of(o)), **OWNERS_ONLY),
    "batches.retry_failed": UseCase(lambda w, a, o: w.batches.retry_failed(a, _batch_of(o)), **OWNERS_ONLY),
    "keys.issue": personal(lambda w, a: w.keys.issue(a, _grant(w, a, ISSUE_ACTION), "App", frozenset(Scope))),
    "keys.roll": UseCase(lambda w, a, o: w.keys.roll(a, _grant(w, a, ROLL_ACTION), _key_of(w, o)), **OWNERS_ONLY),
    "keys.roll_own": UseCase(lambda w, a, _o: w.keys.roll_own(a), own=NotAllowed, other=NotAllowed, admin=NotAllowed),
    "keys.revoke": UseCase(lambda w, a, o: w.keys.revoke(a, _key_of(w, o)), **OWNERS_ONLY),
    "keys.list_keys": personal(lambda w, a: w.keys.list_keys(a)),
    "keys.calls": UseCase(lambda w, a, o: w.keys.calls(a, _key_of(w, o)), **OWNERS_ONLY),
    "keys.start_check": UseCase(
        lambda w, a, _o: w.keys.start_check(a, Secret("cg_x"), ADDRESS),
        own=InvalidInput,
        other=InvalidInput,
        admin=InvalidInput,
    ),
    "keys.pair_start": personal(lambda w, a: w.keys.pair_start(a, _grant(w, a, PAIR_ACTION), ADDRESS)),
}
# Open to whoever is logged out: a proof that does not hold opens nothing, and the answer tells nothing.
DOORS: dict[str, tuple[Callable[[Workbench], Any], Any]] = {
    "identity.sessions.log_in": (lambda w: w.identity.sessions.log_in("eva", Secret("otra frase larga")), NotAllowed),
    "identity.accounts.first_use": (lambda w: w.identity.accounts.first_use(Secret("X"), "yo", PASSWORD), NotAllowed),
    "identity.accounts.first_use_needed": (lambda w: w.identity.accounts.first_use_needed(), False),
    "identity.accounts.find_reset_username": (lambda w: w.identity.accounts.find_reset_username(Secret("X")), None),
    "identity.accounts.reset_password": (
        lambda w: w.identity.accounts.reset_password(Secret("X"), PASSWORD),
        NotAllowed,
    ),
    "identity.sessions.find_actor": (lambda w: w.identity.sessions.find_actor("0" * 64), None),
    "identity.sessions.find_actor_by_cookie": (lambda w: w.identity.sessions.find_actor_by_cookie(Secret("X")), None),
    "identity.sessions.verify_identity": (
        lambda w: w.identity.sessions.verify_identity("0" * 64 + "." + "0" * 64),
        None,
    ),
    "identity.sessions.log_out": (lambda w: w.identity.sessions.log_out("0" * 64), None),
    "keys.pair_finish": (lambda w: w.keys.pair_finish("X", "App"), InvalidInput),
    "keys.access.find_actor": (lambda w: asyncio.run(w.keys.access.find_actor("cg_x")), None),
}
# What nobody outside the house calls: part of another use case, of the start, of the gate or of the command line.
INNER = {
    *("runs.start", "runs.close", "runs.beat", "runs.close_orphans", "drafts.close"),
    *(
        "identity.codes.consume_code",
        "identity.codes.consume_grant",
        "identity.accounts.switch_account",
        "identity.accounts.tell_closed",
        "identity.codes.issue_code",
        "identity.codes.find_owner",
        "identity.accounts.end_for_role",
    ),
    *(
        "identity.sessions.begin",
        "identity.sessions.tell_ended",
        "identity.sessions.on_sessions_end",
        "identity.sessions.sign_identity",
    ),
    *(
        "identity.accounts.create_configured_admin",
        "identity.accounts.renew_first_use_code",
        "identity.accounts.issue_first_use_code",
    ),
    *("oauth.clients.find_secret", "oauth.clients.find_proof", "oauth.codes.work_once"),
    *(f"oauth.attempts.{name}" for name in ("add", "carry_out", "conclude", "seal", "unseal")),
    *(f"oauth.code_poller.{name}" for name in ("start", "wake", "close")),
    *(f"oauth.grants.{name}" for name in ("connect", "end", "end_unless_for", "revoke", "revoke_soon", "close")),
    *(f"oauth.grants.{name}" for name in ("end_for", "end_later", "end_by")),
    *("oauth.start", "oauth.close", "oauth.keep_alive.start", "oauth.keep_alive.close", "oauth.keep_alive.work_once"),
    *(f"oauth.tokens.{name}" for name in ("source", "forget", "take", "renew", "check", "explain")),
    *("oauth.tokens.drop", "oauth.tokens.held", "oauth.tokens.remember"),
    *("mail_account.delete_secret", "mail_account.password_mark", "mail_account.to_json"),
    "mail_runs.environment",
    *("templates.compile", "templates.render_for_user"),
    *("sandbox.is_available", "sandbox.is_in_use", "sandbox.probe_targets"),
    *("sandbox.build_document", "sandbox.close"),
    *("outbox.close", "outbox.list_people", "outbox.store", "outbox.wake", "outbox.retire", "outbox.is_working"),
    *(f"outbox.worker.{name}" for name in ("start", "wake", "close", "work_once", "retire", "is_working")),
    *("batches.close", "batches.wait", "identity.close", "identity.watch", "runs.is_working"),
    *(f"mail_watch.{name}" for name in ("start", "retire", "close", "work_once")),
    *("keys.close", *(f"keys.access.{name}" for name in ("reading", "forget_moment", "record_call", "flush", "close"))),
}
# What begins with a mail to its owner, or with the own password confirmed: both leave a line of their own.
MAILED, CONFIRMED = {"sandbox.get_message"}, {"keys.roll"}


@dataclass(frozen=True)
class House:
    """A furnished installation: an administrator, another one (so that neither is the last), and two users."""

    folder: Path
    people: dict[str, Actor] = field(default_factory=dict[str, Actor])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The house that each test gets a copy of."""
    house = House(tmp_path_factory.mktemp("house"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        workbench = open_workbench(make_settings(house.folder))
        house.people["admin"] = admin = sign_in(workbench, "ana", Role.ADMIN)
        sign_in(workbench, "zaida", Role.ADMIN)
        add_series(workbench, admin, "P", T.QUOTE)
        for person in (admin, sign_in(workbench, "luis"), sign_in(workbench, "eva")):
            house.people.setdefault(person.username, person)
            _furnish(workbench, person)
        workbench.close()
    return house


def _furnish(workbench: Workbench, person: Actor) -> None:
    """Give somebody one of everything that a user has, each with their mark."""
    mark = MARK + person.username
    workbench.mail_account.save(person, _account(person.username), version=0)
    workbench.templates.save(person, T.QUOTE, mark, f"<p>{mark}</p>", version=0)
    workbench.templates.save_signature(person, f"<p>{mark}</p>", version=0)
    workbench.series.defaults.save(person, {T.QUOTE: "P"}, None)
    workbench.keys.issue(person, _grant(workbench, person, ISSUE_ACTION), mark, frozenset(Scope))
    _ended(workbench, person, workbench.series.checks.start(person))
    workbench.drafts.keep(person, "profile", "tab", {"full_name": mark})
    workbench.outbox.send(person, replace(DOCUMENT, customer=mark), mark.replace(" ", "-"))
    _batch(workbench, person, _batch_of(person))
    workbench.saved.save(person, SavedFields("quote", "P", {"customer": mark}), [])


@pytest.fixture
def furnished(original: House, tmp_path: Path) -> Iterator[Workbench]:
    """A workbench over a copy of the house."""
    shutil.copytree(original.folder, tmp_path, dirs_exist_ok=True)
    workbench = open_workbench(make_settings(tmp_path))
    yield workbench
    workbench.close()


@pytest.fixture
def people(original: House) -> dict[str, Actor]:
    """Who lives there."""
    return original.people


def _belongings(workbench: Workbench, owner: Actor) -> list[str]:
    """Every row that is somebody's."""
    owned = [table for table in metadata.sorted_tables if "user_id" in table.columns]
    with workbench.database.read() as session:
        return [
            f"{table.name}: {row}"
            for table in owned
            for row in sorted(
                map(str, session.connection().execute(table.select().where(table.c.user_id == owner.user_id)))
            )
        ]


def _trail(workbench: Workbench) -> int:
    with workbench.database.read() as session:
        return session.connection().execute(text("SELECT count(*) FROM activity")).scalar_one()


@pytest.mark.parametrize("who", ["own", "other", "admin"])
@pytest.mark.parametrize("name", USE_CASES)
def test_the_matrix(furnished: Workbench, people: dict[str, Actor], name: str, who: str) -> None:
    """What may be done is done; what is refused changes nothing, so that no line of the activity log speaks of it.

    Whatever a user does, and an administrator for themselves, another user's belongings neither change nor show.
    """
    use_case = USE_CASES[name]
    actor = people["admin" if who == "admin" else "luis"]
    whose = people["luis" if who == "own" else "eva"]
    expected = getattr(use_case, who)
    eva = _belongings(furnished, people["eva"])
    lines = _trail(furnished)
    shown = ""
    if expected is OK:
        shown = repr(use_case.call(furnished, actor, whose))
    else:
        with pytest.raises(expected):
            use_case.call(furnished, actor, whose)

    assert len(eva) >= 8
    if who != "admin" or use_case.personal:
        assert MARK + "eva" not in shown
        assert name in MAILED or _belongings(furnished, people["eva"]) == eva
    assert expected is OK or name in MAILED | CONFIRMED or _trail(furnished) == lines


# What asks nothing of the database: the last keys of a log-in that has just ended are kept for its user. A key's roll
# without a key asks nobody either; one with a key has a test of its own.
UNASKED = {"drafts.keep", "drafts.drop", "drafts.find_trouble", "drafts.flush", "keys.roll_own"}


@pytest.mark.parametrize("name", [name for name in USE_CASES if name not in UNASKED])
def test_a_log_in_that_has_ended_does_nothing_more(furnished: Workbench, people: dict[str, Actor], name: str) -> None:
    """Whatever a page, a dialog or a download that is still open holds: who acts is looked up when it runs."""
    eva, lines = people["eva"], _trail(furnished)
    furnished.identity.accounts.end_sessions_of(OPERATOR, "eva")
    with pytest.raises(LoginEnded):
        USE_CASES[name].call(furnished, replace(eva, role=Role.ADMIN), eva)

    assert _trail(furnished) == lines + 1


@pytest.mark.parametrize("name", [name for name, case in USE_CASES.items() if case.own is NotAllowed])
def test_who_was_an_administrator_administers_no_more(
    furnished: Workbench, people: dict[str, Actor], name: str
) -> None:
    """The role of the row decides, not the one that an open page remembers."""
    lines = _trail(furnished)
    with pytest.raises(NotAllowed):
        USE_CASES[name].call(furnished, replace(people["eva"], role=Role.ADMIN), people["luis"])

    assert _trail(furnished) == lines


@pytest.mark.parametrize("name", [name for name, case in USE_CASES.items() if case.other is NotFound])
def test_what_is_not_ones_own_looks_like_what_does_not_exist(
    furnished: Workbench, people: dict[str, Actor], name: str
) -> None:
    """The same error, word by word, for another user's and for nobody's."""
    nobody = Actor(10**6, "nadie")
    errors = []
    for whose in (people["eva"], nobody):
        call = USE_CASES[name].call
        try:
            call(furnished, people["luis"], whose)
        except NotFound as error:
            errors.append((type(error), error.code, str(error)))

    assert len(errors) == 2
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", DOORS)
def test_whoever_is_logged_out_gets_nothing_without_a_proof(furnished: Workbench, name: str) -> None:
    """What needs no log-in asks for a password, a code, a cookie or a key instead, and a wrong one opens nothing."""
    call, expected = DOORS[name]
    if isinstance(expected, type):
        with pytest.raises(expected):
            call(furnished)
    else:
        assert call(furnished) == expected
    assert furnished.identity.sessions.log_in("eva", PASSWORD).actor.username == "eva"


def test_the_holder_of_a_key_acts_with_that_key_only(furnished: Workbench, people: dict[str, Actor]) -> None:
    """A key rolls itself, and finds no other key, not even one of the same owner."""
    luis = people["luis"]
    other = furnished.keys.issue(luis, _grant(furnished, luis, ISSUE_ACTION), "Otra", frozenset(Scope))
    holder = replace(luis, session_hash="", key_id=other.id)
    with pytest.raises(NotFound):
        furnished.keys.revoke(holder, next(key.id for key in furnished.keys.list_keys(luis) if key.id != other.id))
    with pytest.raises(NotAllowed):
        furnished.identity.codes.issue_grant(holder, ISSUE_ACTION, PASSWORD)

    assert furnished.keys.roll_own(holder).id not in {other.id, ""}


@pytest.mark.parametrize("withdraw", ["key", "account"])
def test_a_key_that_has_ended_rolls_itself_no_more(
    furnished: Workbench, people: dict[str, Actor], withdraw: str
) -> None:
    """Revoked, or its owner's account closed, between the check of the call and the roll."""
    luis = people["luis"]
    held = furnished.keys.issue(luis, _grant(furnished, luis, ISSUE_ACTION), "Otra", frozenset(Scope))
    holder = replace(luis, session_hash="", key_id=held.id)
    if withdraw == "key":
        furnished.keys.revoke(luis, held.id)
    else:
        furnished.identity.accounts.disable_user(OPERATOR, "luis")
    before = _belongings(furnished, luis)
    with pytest.raises(LoginEnded):
        furnished.keys.roll_own(holder)

    assert _belongings(furnished, luis) == before


def _use_cases(holder: object, path: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public method of every section of the facade, and of the parts of sections."""
    made = {name for kind in type(holder).__mro__ for name, value in vars(kind).items() if isinstance(value, once)}
    for name in sorted(made):
        part = getattr(holder, name)
        if name.startswith("_") or not type(part).__module__.startswith("cgcore.workbench"):
            continue  # the database, the vault, a key
        for member, function in inspect.getmembers(type(part), inspect.isfunction):
            if not member.startswith("_"):
                yield f"{path}{name}.{member}", function
        yield from _use_cases(part, f"{path}{name}.")


def test_no_use_case_is_left_out(furnished: Workbench) -> None:
    """Whoever adds a section or a use case decides here who may call it; who acts is always told, never assumed."""
    offered = dict(_use_cases(furnished))

    assert set(offered) ^ {*USE_CASES, *DOORS, *INNER} == set()
    assert len(offered) == len(USE_CASES) + len(DOORS) + len(INNER)
    for name in USE_CASES:
        actor = inspect.signature(offered[name]).parameters["actor"]
        assert actor.default is inspect.Parameter.empty, name


@pytest.mark.parametrize("script", PAGE_SCRIPTS)
def test_logged_out_there_is_no_page(monkeypatch: pytest.MonkeyPatch, workbench: Workbench, script: str) -> None:
    """After the log-in has ended a page that was open shows a sentence, and not one field."""
    admin = sign_in(workbench, "ana", Role.ADMIN)
    page = open_page(monkeypatch, workbench, admin, script)
    before = len(page.button) + len(page.text_input)
    workbench.identity.sessions.log_out(admin.session_hash)
    page.run()

    assert not page.exception
    assert before
    assert page.error
    assert not any((page.text_input, page.selectbox, page.table, page.button, page.get("page_link")))


def test_whoever_never_logged_in_has_no_page(monkeypatch: pytest.MonkeyPatch, workbench: Workbench) -> None:
    """Without the gate's word the router draws no page and no menu."""
    never = open_page(monkeypatch, workbench, None, "overview.py")

    assert never.error
    assert not any((never.text_input, never.selectbox, never.table, never.button))


def test_whoever_was_closed_out_is_nobody(workbench: Workbench) -> None:
    """The log-in of a disabled user finds no actor to act as; the last administrator cannot be closed out."""
    admin, luis = sign_in(workbench, "ana", Role.ADMIN), sign_in(workbench, "luis")
    workbench.users.disable(admin, "luis")

    assert workbench.identity.sessions.find_actor(luis.session_hash) is None
    assert workbench.identity.sessions.find_actor(admin.session_hash) is not None
    with pytest.raises(InvalidInput):
        workbench.users.disable(admin, "ana")
