"""The company's mail servers: an administrator keeps those of a proven account, and new accounts need a password only.

Stands alone because it is the company's, where «Cuenta mail» is each person's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft, StoredAccount
from cgcore.mail.addresses import domain_of, encode_name, is_address
from cgcore.mail.preset import MailPreset, choose_preset, find_preset_problem, preset_of
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from cgcore.storage.mail_accounts import find_account
from cgcore.storage.mail_presets import delete_preset, list_presets, put_preset

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRuns
    from cgcore.workbench.mail_setup import MailSetup

__all__ = ["MailPresetSection"]


class MailPresetSection:
    """Use cases of the company's servers."""

    def __init__(
        self, context: Context, *, mail_account: MailAccountSection, mail_runs: MailRuns, mail_setup: MailSetup
    ) -> None:
        self._context, self._account, self._runs, self._setup = context, mail_account, mail_runs, mail_setup

    def list(self, actor: Actor) -> list[MailPreset]:
        """Return what is kept, by domain. Administrators only."""
        actor.require_admin()
        return self._context.recall(actor, "mail_presets", lambda session, _: list_presets(session), admin=True)

    def find(self, actor: Actor, address: str) -> MailPreset | None:
        """Return what is kept for the domain of an address, ``None`` where nothing is."""
        if not is_address(address.strip()):
            return None
        try:
            domain = encode_name(domain_of(address.strip()))
        except UnicodeError:
            return None
        presets = self._context.recall(actor, "mail_presets_found", lambda session, _: list_presets(session))
        return choose_preset(presets, domain)

    def propose(self, actor: Actor, stored: StoredAccount) -> StoredAccount:
        """Return an account that was never saved with the actor's own address, where the company knows its servers."""
        if stored.version or stored.draft.user or self.find(actor, actor.mail) is None:
            return stored
        return replace(stored, draft=replace(stored.draft, user=actor.mail.strip()))

    def find_problem(self, actor: Actor) -> str:
        """Return the code of what keeps the actor's account from being kept for the company, ``""`` where nothing does.

        Administrators only.
        """
        self.list(actor)  # who administers, as the rows say now
        return self._find_problem(actor, self._account.get(actor))

    def keep(self, actor: Actor) -> MailPreset:
        """Keep the servers of the actor's account for everybody of its domain, and return them. Administrators only.

        Raises :class:`InvalidInput` unless the account as it is stored has passed its tests.
        """
        self.list(actor)
        stored = self._account.get(actor)
        if problem := self._find_problem(actor, stored):
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "mail_account", problem))
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            now = find_account(session, actor.user_id, lock=True) or StoredAccount()
            if now.version != stored.version:
                # Another account than the one that was judged.
                raise InvalidInput(FieldProblem.of("cgcore.workbench", "mail_account", "preset_unproven"))
            preset = preset_of(now.draft, actor.mail)
            put_preset(session, preset, self._context.clock())
            hosts = f"{preset.smtp.host} {preset.imap.host}"
            self._context.activity.record(actor, Action.MAIL_PRESET_SAVED, preset.domain, detail=hosts, session=session)
        return preset

    def remove(self, actor: Actor, domain: str) -> None:
        """Forget the servers of a domain; accounts that use them stay as they are. Administrators only.

        Raises :class:`NotFound`.
        """
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            if not delete_preset(session, domain):
                raise NotFound("no such preset")
            self._context.activity.record(actor, Action.MAIL_PRESET_REMOVED, domain, session=session)

    def _find_problem(self, actor: Actor, stored: StoredAccount) -> str:
        draft = stored.draft
        if not draft.smtp.host:
            return "preset_unproven"
        return find_preset_problem(draft, actor.mail) or ("" if self._is_proven(actor, draft) else "preset_unproven")

    def _is_proven(self, actor: Actor, draft: MailAccountDraft) -> bool:
        runs = {cell: self._runs.find_last(actor, cell) for cell in (Cell.SMTP, Cell.IMAP)}
        fits = [
            _has_passed(run) and run is not None and run.fingerprint == self._runs.fingerprint(actor, cell, draft)
            for cell, run in runs.items()
        ]
        return all(fits) or _has_found(self._setup.find_last(actor), draft)


def _has_passed(run: Run | None) -> bool:
    return run is not None and not run.is_running and not run.proves_nothing and not run.failed


def _has_found(run: Run | None, draft: MailAccountDraft) -> bool:
    """Whether a run of «Configurar mi correo» has signed in to just these servers as just this user."""
    if run is None or not _has_passed(run) or not run.result or run.result.get("questions"):
        return False
    result = run.result
    return result.get("user") == draft.user and all(_is_same(result.get(leg.value), draft, leg) for leg in Leg)


def _is_same(found: dict[str, Any] | None, draft: MailAccountDraft, leg: Leg) -> bool:
    server = draft.smtp if leg is Leg.SMTP else draft.imap
    now = (server.host.strip(), server.port_number(leg), server.security.value)
    return found is not None and (found["host"], found["port"], found["security"]) == now
