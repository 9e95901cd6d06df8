"""Accounts, as an administrator makes and closes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput, NotFound
from cgcore.identity.actor import Actor, Role
from cgcore.identity.passwords import find_password_problem
from cgcore.identity.texts import invalid
from cgcore.identity.tokens import find_username_problem, normalise_username, username_key
from cgcore.storage import identity
from cgcore.storage.database import take_change_lock
from cgcore.storage.identity import revoke_sessions_of
from cgcore.storage.tables import UserRow
from cgcore.text_rules import MAX_MAIL, MAX_NAME, find_text_problem
from cgcore.texts import text
from cgcore.vault.secret import Secret
from cgcore.workbench.identity.part import IdentityPart

__all__ = ["AccountUseCases", "NewUser"]

# The shape only; whether mail arrives there is not for a pattern to say.
_MAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be let in. Without a password they wait for a link to set one."""

    username: str
    password: Secret | None = None
    full_name: str = ""
    mail: str = ""
    role: Role = Role.USER

    def list_problems(self) -> list[FieldProblem]:
        """Return what is wrong with the fields, each with its Spanish sentence."""
        codes = {
            "username": find_username_problem(self.username),
            "password": find_password_problem(self.password, self.username) if self.password is not None else "",
            "full_name": "full_name_wrong" if find_text_problem(self.full_name, MAX_NAME) else "",
            "mail": "mail_syntax" if self.mail and not _is_mail(self.mail) else "",
        }
        return [FieldProblem(field, code, text("cgcore.identity", code)) for field, code in codes.items() if code]


def _is_mail(text: str) -> bool:
    return _MAIL.fullmatch(text) is not None and not find_text_problem(text, MAX_MAIL)


class AccountUseCases(IdentityPart):
    """Users, for administrators and the command line."""

    def add_user(self, actor: Actor, draft: NewUser) -> int:
        """Create a user and return the id. Raises :class:`InvalidInput`; ``username_taken`` among its codes."""
        actor.require_admin()
        row = self._build_user(draft)
        with self._database.session() as session:
            self._store_user(session, row)
            self._workbench.activity.record(actor, Action.USER_ADDED, row.username, session=session)
        return row.id or 0

    def disable_user(self, actor: Actor, username: str) -> None:
        """Close an account: its log-ins and API keys end now.

        Raises :class:`NotFound`, and :class:`InvalidInput` (code ``last_admin``) for the last administrator.
        """
        actor.require_admin()
        with self._database.session() as session:
            # Two administrators who close each other at once must not both succeed.
            take_change_lock(session)
            ended = self.switch_account(session, actor, self._get_user(session, username), active=False)
            if identity.count_active_admins(session) == 0:
                raise invalid("username", "last_admin")
        self.tell_ended(ended)

    def enable_user(self, actor: Actor, username: str) -> None:
        """Open a closed account again. Raises :class:`NotFound`."""
        actor.require_admin()
        with self._database.session() as session:
            self.switch_account(session, actor, self._get_user(session, username), active=True)

    def switch_account(self, session: Session, actor: Actor, user: UserRow, *, active: bool) -> Sequence[str]:
        """Close or open an account in the caller's transaction; return the log-ins that end, for :meth:`tell_ended`."""
        user_id = user.id or 0
        identity.set_active(session, user_id, active=active)
        action = Action.USER_ENABLED if active else Action.USER_DISABLED
        self._workbench.activity.record(actor, action, user.username, session=session)
        if active:
            return ()
        # A refused key would be good again with the account, years later.
        self._workbench.keys.revoke_all_of(user_id, session, actor)
        return revoke_sessions_of(session, user_id, self._now())

    def end_sessions_of(self, actor: Actor, username: str) -> int:
        """End every log-in of somebody and return how many were open. Raises :class:`NotFound`."""
        actor.require_admin()
        with self._database.session() as session:
            user = self._get_user(session, username)
            ended = revoke_sessions_of(session, user.id or 0, self._now())
            self._workbench.activity.record(
                actor, Action.SESSIONS_ENDED, user.username, detail=str(len(ended)), session=session
            )
        self.tell_ended(ended)
        return len(ended)

    def _build_user(self, draft: NewUser) -> UserRow:
        problems = draft.list_problems()
        if problems:
            raise InvalidInput(*problems)
        return UserRow(
            username=normalise_username(draft.username),
            username_key=username_key(draft.username),
            full_name=draft.full_name.strip(),
            mail=draft.mail.strip(),
            role=draft.role.value,
            password_hash=self._hasher.make_hash(draft.password) if draft.password is not None else "",
            created=self._now(),
        )

    def _store_user(self, session: Session, row: UserRow) -> None:
        if not identity.add_user(session, row):
            raise invalid("username", "username_taken")

    def _get_user(self, session: Session, username: str) -> UserRow:
        user = identity.find_user_by_key(session, username_key(username))
        if user is None:
            raise NotFound("no such user", code="username_unknown")
        return user
