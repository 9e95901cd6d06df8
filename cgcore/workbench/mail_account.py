"""The mail account of each user: read, check, save; the password goes to the vault and never comes back."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action, Change
from cgcore.errors import FieldProblem, InvalidInput, StaleVersion, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import (
    AuthKind,
    MailAccountDraft,
    StoredAccount,
    account_to_json,
    changed_targets,
    check_account,
    list_password_uses,
    password_bond,
)
from cgcore.storage.mail_accounts import find_account, put_account
from cgcore.vault.secret import Secret
from cgcore.workbench.secrets import secret_name

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.grants import Grants

__all__ = ["MailAccountSection"]


class MailAccountSection:
    """Use cases of «Cuenta mail»."""

    def __init__(self, context: Context, *, grants: Callable[[], Grants]) -> None:
        self._context, self._grants = context, grants

    def get(self, actor: Actor) -> StoredAccount:
        """Return the actor's account; an empty one with version 0 when nothing is stored.

        Row and vault are two stores: ``password_set`` is what both say.
        """
        return self._judged(actor, self._find(actor))

    def check(self, actor: Actor, draft: MailAccountDraft) -> tuple[FieldProblem, ...]:
        """Return every problem of a draft, blocking or not, those against the stored account included."""
        stored = self.get(actor)
        lost = (
            (FieldProblem.of("cgcore.workbench", "password", "password_lost"),)
            if stored.password_lost and draft.password is None
            else ()
        )
        return (*check_account(draft), *self._password_problems(stored, draft), *lost)

    def save(self, actor: Actor, draft: MailAccountDraft, *, version: int) -> StoredAccount:
        """Store ``draft``, which was read at ``version``, and return what stands there now.

        ``draft.password``: ``None`` keeps the stored one, an empty one removes it, any other takes its place; it is
        read back from the vault before anything is called saved. Raises :class:`InvalidInput`,
        :class:`StaleVersion` (nothing is lost: the caller still has the draft) and :class:`VaultError`.
        """
        problems = [found for found in check_account(draft) if found.blocking]
        if problems:
            raise InvalidInput(*problems)
        vault, name = self._context.vault, secret_name(actor.user_id)
        swapped, before, ended = False, None, None
        try:
            with self._context.write_as(actor) as (session, actor):
                stored = find_account(session, actor.user_id, lock=True) or StoredAccount()
                self._require_current(actor, stored, draft, version)
                if draft.password is not None:
                    before = vault.swap(name, draft.password, bond=password_bond(draft))
                    swapped = True
                saved = self._put(session, actor, stored, draft)
                if stored.draft.auth is not AuthKind.PASSWORD:
                    ended = self._grants().end_unless_for(session, actor, draft)
        except BaseException:
            # The row was not stored: the vault goes back to what the stored row speaks of. Where that fails too, or
            # the process ends in between, the two differ, and the password is asked for again.
            if swapped:
                with suppress(VaultError):
                    vault.put_back(name, before)
            raise
        if ended is not None:
            self._grants().revoke_soon([ended])
        return self._judged(actor, saved)

    def delete_secret(self, user_id: int) -> None:
        """Remove a user's stored password (the user's rows are gone)."""
        self._context.vault.delete(secret_name(user_id))

    def effective_password(self, actor: Actor, draft: MailAccountDraft) -> Secret | None:
        """Return the password that a test of ``draft`` uses: the typed one, else the stored one.

        Raises :class:`InvalidInput` when the stored one would go to another server or user than it was stored for,
        whether the draft or the row says so.
        """
        if draft.password is not None:
            return draft.password or None
        stored = self._find(actor)
        problems = self._password_problems(stored, draft)
        if problems:
            raise InvalidInput(*problems)
        if not stored.password_set:
            return None
        password = self._find_password(actor, stored.password_mark, draft)
        if password is None:
            raise InvalidInput(FieldProblem.of("cgcore.workbench", "password", "password_lost"))
        return password

    def stored_mark(self, actor: Actor) -> str:
        """Return the mark of the stored password as the row has it, without asking the vault."""
        return self._find(actor).password_mark

    def password_mark(self, password: Secret | None) -> str:
        """Return a keyed digest of a password: equal for equal ones, useless to whoever has only the database."""
        if not password:
            return ""
        key = self._context.vault.derive_key("password-mark")
        return hmac.new(key, password.reveal().encode(), hashlib.sha256).hexdigest()

    def to_json(self, account: StoredAccount) -> dict[str, Any]:
        """Return the account as the API shows it."""
        return {
            **account_to_json(account.draft),
            "connected": account.connected,
            "password_set": account.password_set,
            "version": account.version,
        }

    def _find(self, actor: Actor) -> StoredAccount:
        return self._context.recall(
            actor, "mail_account", lambda session, who: find_account(session, who.user_id) or StoredAccount()
        )

    def _judged(self, actor: Actor, stored: StoredAccount) -> StoredAccount:
        if stored.draft.auth is not AuthKind.PASSWORD:
            stored = replace(stored, connected=self._connected(actor, stored.draft))
        if not stored.password_set:
            return stored
        try:
            kept = self._find_password(actor, stored.password_mark, stored.draft) is not None
        except VaultError:
            # The vault cannot be asked now; whoever uses the password is told.
            return stored
        return stored if kept else replace(stored, password_set=False, password_lost=True)

    def _connected(self, actor: Actor, draft: MailAccountDraft) -> dict[str, Any] | None:
        found = self._grants().connection(actor)
        fits = found is not None and found.provider == draft.auth and found.is_for(draft)
        return found.as_json() if found is not None and fits and found.works else None

    def _find_password(self, actor: Actor, mark: str, draft: MailAccountDraft) -> Secret | None:
        """Return the kept password if it is the one that the row speaks of, and is for user and servers of ``draft``.

        Database and vault may be of different days: one of them was restored, or a save ended between the two.
        """
        vault, name = self._context.vault, secret_name(actor.user_id)
        password = None
        for bond in list_password_uses(draft):
            try:
                password = vault.get(name, bond=bond)
                break
            except VaultError as error:
                if error.code not in {"secret_unbound", "secret_misplaced", "record_unreadable"}:
                    raise
                if error.code == "secret_unbound":
                    # An earlier version kept it without a bond; the mark alone tells whose it is.
                    password = vault.get(name)
                    break
        if password is None or not hmac.compare_digest(self.password_mark(password), mark):
            return None
        return password

    def _password_problems(self, stored: StoredAccount, draft: MailAccountDraft) -> tuple[FieldProblem, ...]:
        by_password = draft.auth is AuthKind.PASSWORD
        if not by_password or draft.password is not None or not stored.password_set:
            return ()
        if not changed_targets(stored.draft, draft):
            return ()
        return (FieldProblem.of("cgcore.workbench", "password", "password_again"),)

    def _require_current(self, actor: Actor, stored: StoredAccount, draft: MailAccountDraft, version: int) -> None:
        if stored.version != version:
            raise StaleVersion(stored.version, self.to_json(self._judged(actor, stored)))
        problems = self._password_problems(stored, draft)
        if problems:
            raise InvalidInput(*problems)

    def _put(self, session: Session, actor: Actor, stored: StoredAccount, draft: MailAccountDraft) -> StoredAccount:
        password_set, mark = stored.password_set, stored.password_mark
        if draft.password is not None:
            password_set, mark = bool(draft.password), self.password_mark(draft.password)
        elif draft.auth is not AuthKind.PASSWORD and changed_targets(stored.draft, draft):
            # Nobody signs in with it, and it was for other servers: whoever goes back to it types it again.
            password_set, mark = False, ""
        account = StoredAccount(
            draft=replace(draft, password=None),
            password_set=password_set,
            password_mark=mark,
            version=stored.version + 1,
            updated=self._context.clock(),
        )
        put_account(session, actor.user_id, account, self._context.clock())
        changed = [Change(f"account.{name}") for name in _changed_fields(stored, draft)]
        self._context.activity.record(actor, Action.ACCOUNT_SAVED, changes=changed, session=session)
        pin = draft.imap.pin
        if pin and pin != stored.draft.imap.pin:
            host = draft.imap.host
            self._context.activity.record(actor, Action.CERTIFICATE_PINNED, host, detail=pin, session=session)
        return account


def _changed_fields(stored: StoredAccount, draft: MailAccountDraft) -> list[str]:
    old, new = account_to_json(stored.draft), account_to_json(draft)
    names = [name for name in old if old[name] != new[name]]
    return [*names, "password"] if draft.password is not None else names
