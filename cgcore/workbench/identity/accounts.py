"""Accounts and passwords: made, closed and changed by administrators, their owners, a link; and the first of all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import FieldProblem, InvalidInput, NotAllowed, NotFound, Throttled
from cgcore.identity.actor import Actor, Role
from cgcore.identity.passwords import find_password_problem
from cgcore.identity.throttle import FIRST_USE_CODE, RESET_LINK, source_key
from cgcore.identity.tokens import find_username_problem, hash_code, normalise_username, username_key
from cgcore.storage import api_keys, identity
from cgcore.storage import identity as codes
from cgcore.storage.database import take_change_lock
from cgcore.storage.identity import revoke_sessions_of
from cgcore.storage.tables import UserRow
from cgcore.storage.throttle import forgive, reserve
from cgcore.text_rules import MAX_MAIL, MAX_NAME, find_text_problem
from cgcore.texts import text
from cgcore.vault.secret import Secret
from cgcore.workbench.identity.codes import CodePurpose, Codes
from cgcore.workbench.identity.sessions import LoginResult, Sessions

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.identity.passwords import Passwords

__all__ = ["Accounts", "Closed", "EndConnection", "NewUser"]

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


EndConnection = Callable[[Session, Actor, int], Callable[[], None]]
"""Ends the connection of a user's mailbox in the caller's transaction; what it returns forgets its token afterwards."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What has ended with an account that was closed: its log-ins, and the connection of its mailbox."""

    logins: Sequence[str] = ()
    forget: Callable[[], None] | None = None


class Accounts:
    """Users and their passwords, for administrators, the command line and a person's own; and the first of all.

    There is no default user and no default password. A new password ends the user's other log-ins, API keys, links
    and codes, in the same transaction.
    """

    def __init__(
        self,
        context: Context,
        *,
        passwords: Passwords,
        sessions: Sessions,
        codes: Codes,
        end_connection: EndConnection | None = None,
    ) -> None:
        self._context, self._passwords, self._sessions, self._codes = context, passwords, sessions, codes
        self._end_connection = end_connection

    def add_user(self, actor: Actor, draft: NewUser) -> int:
        """Create a user and return the id. Raises :class:`InvalidInput`; ``username_taken`` among its codes."""
        actor.require_admin()
        row = self._build_user(draft)
        with self._context.write_as(actor, admin=True) as (session, actor):
            self._store_user(session, row)
            self._context.activity.record(actor, Action.USER_ADDED, row.username, session=session)
        return row.id or 0

    def disable_user(self, actor: Actor, username: str) -> None:
        """Close an account: its log-ins, its API keys and the connection of its mailbox end now.

        Raises :class:`NotFound`, and :class:`InvalidInput` (code ``last_admin``) for the last administrator.
        """
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            # Two administrators who close each other at once must not both succeed.
            closed = self.switch_account(session, actor, self._get_user(session, username), active=False)
            if identity.count_active_admins(session) == 0:
                raise InvalidInput(FieldProblem.of("cgcore.identity", "username", "last_admin"))
        self.tell_closed(closed)

    def enable_user(self, actor: Actor, username: str) -> None:
        """Open a closed account again. Raises :class:`NotFound`."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            self.switch_account(session, actor, self._get_user(session, username), active=True)

    def switch_account(self, session: Session, actor: Actor, user: UserRow, *, active: bool) -> Closed:
        """Close or open an account in the caller's transaction; return what ends with it, for :meth:`tell_closed`."""
        user_id = user.id or 0
        identity.set_active(session, user_id, active=active)
        action = Action.USER_ENABLED if active else Action.USER_DISABLED
        self._context.activity.record(actor, action, user.username, session=session)
        if active:
            return Closed()
        # What is only refused would be good again with the account: a key years later, a link within its day.
        self._revoke_keys(session, user_id, actor)
        codes.delete_codes_of(session, user_id)
        identity.delete_grants_of(session, user_id)
        forget = self._end_connection(session, actor, user_id) if self._end_connection else None
        return Closed(revoke_sessions_of(session, user_id, self._context.clock()), forget)

    def tell_closed(self, closed: Closed) -> None:
        """Carry out, once that stands, what follows from an account that was closed."""
        self._sessions.tell_ended(closed.logins)
        if closed.forget is not None:
            closed.forget()

    def end_for_role(self, session: Session, user_id: int) -> Sequence[str]:
        """End the log-ins of a user who has got another role, in the caller's transaction; return them, to be told.

        API keys stay: each call reads the role of its owner.
        """
        return revoke_sessions_of(session, user_id, self._context.clock())

    def end_sessions_of(self, actor: Actor, username: str) -> int:
        """End every log-in of somebody and return how many were open. Raises :class:`NotFound`."""
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            user = self._get_user(session, username)
            ended = revoke_sessions_of(session, user.id or 0, self._context.clock())
            self._context.activity.record(
                actor, Action.SESSIONS_ENDED, user.username, detail=str(len(ended)), session=session
            )
        self._sessions.tell_ended(ended)
        return len(ended)

    def change_password(self, actor: Actor, old: Secret, new: Secret) -> None:
        """Change the actor's own password; this log-in goes on, the others end.

        Raises :class:`Throttled` as a log-in does, and :class:`InvalidInput` on ``old_password`` or ``new_password``.
        """
        problem = find_password_problem(new, actor.username)
        if problem:
            raise InvalidInput(FieldProblem.of("cgcore.identity", "new_password", problem))
        self._context.require_present(actor)
        verified = self._passwords.check(username_key(actor.username), old, actor.ip)
        if verified is None:
            self._context.activity.record(actor, Action.PASSWORD_CHANGED, actor.username, "password_wrong")
            raise InvalidInput(FieldProblem.of("cgcore.identity", "old_password", "password_wrong"))
        new_hash = self._passwords.make_hash(new)
        with self._context.write_as(actor) as (session, actor):
            if self._passwords.confirm(session, verified) is None:
                raise InvalidInput(FieldProblem.of("cgcore.identity", "old_password", "password_wrong"))
            self._context.activity.record(actor, Action.PASSWORD_CHANGED, actor.username, session=session)
            ended = self._replace(session, actor.user_id, new_hash, actor, keep=actor.session_hash)
        self._sessions.tell_ended(ended)

    def set_password(self, actor: Actor, username: str, new: Secret) -> None:
        """Give somebody a new password; every log-in of theirs ends.

        Raises :class:`NotFound`, and :class:`InvalidInput` on ``password``.
        """
        actor.require_admin()
        problem = find_password_problem(new, username)
        if problem:
            raise InvalidInput(FieldProblem.of("cgcore.identity", "password", problem))
        with self._context.read_as(actor, admin=True) as (session, actor):
            self._get_user(session, username, lock=False)
        new_hash = self._passwords.make_hash(new)
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            user = self._get_user(session, username)
            self._context.activity.record(actor, Action.PASSWORD_RESET, user.username, session=session)
            ended = self._replace(session, user.id or 0, new_hash, actor)
        self._sessions.tell_ended(ended)

    def issue_reset_link(self, actor: Actor, username: str) -> Secret:
        """Return the path of a page where ``username`` sets a new password: good once, for a day.

        Raises :class:`NotFound`.
        """
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            user = self._get_user(session, username)
            code = self._codes.issue_code(CodePurpose.PASSWORD_RESET, user.id, RESET_LINK, session)
            self._context.activity.record(actor, Action.RESET_LINK_ISSUED, user.username, session=session)
        return Secret(f"/nueva-contrasena/{code.reveal()}")

    def find_reset_username(self, code: Secret) -> str | None:
        """Return whose password this link would change, None when it does not work; the link stays good."""
        with self._context.database.read() as session:
            found = codes.find_code(session, CodePurpose.PASSWORD_RESET.value, hash_code(code), self._context.clock())
            user = identity.find_user(session, found.user_id) if found and found.user_id else None
        return user.username if user and user.active else None

    def reset_password(self, code: Secret, new: Secret, *, ip: str = "") -> str:
        """Set a new password by a link, end every log-in, and return the user name.

        Raises :class:`NotAllowed` (code ``code_invalid``) when the link does not work, and :class:`InvalidInput` on
        ``password``, which leaves the link good.
        """
        username = self.find_reset_username(code)
        if username is None:
            raise NotAllowed("the link does not work", code="code_invalid")
        problem = find_password_problem(new, username)
        if problem:
            raise InvalidInput(FieldProblem.of("cgcore.identity", "password", problem))
        new_hash = self._passwords.make_hash(new)
        with self._context.database.session() as session:
            user = self._codes.find_owner(session, CodePurpose.PASSWORD_RESET, code)
            self._codes.consume_code(session, CodePurpose.PASSWORD_RESET, code)
            if user is None:
                raise NotAllowed("the link does not work", code="code_invalid")
            self._context.activity.record(None, Action.PASSWORD_RESET, user.username, ip=ip, session=session)
            ended = self._replace(session, user.id or 0, new_hash, None, ip=ip)
        self._sessions.tell_ended(ended)
        return user.username

    def first_use_needed(self) -> bool:
        """Return whether nobody can log in yet, because there is no user at all."""
        with self._context.database.read() as session:
            return not identity.has_users(session)

    def create_configured_admin(self) -> bool:
        """Create the administrator that the settings name, when there is no user; return whether it was done.

        Raises :class:`InvalidInput` when name or password is not good enough.
        """
        settings = self._context.settings
        password = Secret(settings.admin_password.get_secret_value())
        if not (settings.admin_user and password) or not self.first_use_needed():
            return False
        row = self._build_user(NewUser(settings.admin_user, password, role=Role.ADMIN))
        with self._context.database.session() as session:
            take_change_lock(session)
            added = not identity.has_users(session) and identity.add_user(session, row)
            if added:
                self._context.activity.record(None, Action.USER_ADDED, row.username, session=session)
        return added

    def renew_first_use_code(self) -> Secret | None:
        """Return a new code for the console when there is no user and no earlier code that still works, else None."""
        with self._context.database.read() as session:
            if identity.has_users(session) or codes.has_live_code(
                session, CodePurpose.FIRST_USE.value, self._context.clock()
            ):
                return None
        return self.issue_first_use_code()

    def issue_first_use_code(self) -> Secret:
        """Return a new code that creates the first administrator within a day."""
        return self._codes.issue_code(CodePurpose.FIRST_USE, None, FIRST_USE_CODE)

    def first_use(
        self, code: Secret, username: str, password: Secret, *, ip: str = "", user_agent: str = ""
    ) -> LoginResult:
        """Create the first administrator and log them in. Of several at once, one succeeds.

        Raises :class:`NotAllowed`, code ``first_use_done`` when there is a user or ``code_invalid``;
        :class:`InvalidInput` on ``username`` or ``password``, which leaves the code good; :class:`Throttled`.
        """
        self._check_code(code, ip)
        row = self._build_user(NewUser(username, password, role=Role.ADMIN))
        with self._context.database.session() as session:
            # A second tab waits here, and then sees the first one's user.
            take_change_lock(session)
            if identity.has_users(session):
                raise NotAllowed("there is a user already", code="first_use_done")
            self._codes.consume_code(session, CodePurpose.FIRST_USE, code)
            self._store_user(session, row)
            result = self._sessions.begin(session, row, ip, user_agent)
            self._context.activity.record(result.actor, Action.USER_ADDED, row.username, session=session)
        return result

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
            password_hash=self._passwords.make_hash(draft.password) if draft.password is not None else "",
            created=self._context.clock(),
        )

    def _store_user(self, session: Session, row: UserRow) -> None:
        if not identity.add_user(session, row):
            raise InvalidInput(FieldProblem.of("cgcore.identity", "username", "username_taken"))

    def _get_user(self, session: Session, username: str, *, lock: bool = True) -> UserRow:
        found = identity.find_user_by_key(session, username_key(username))
        user = identity.lock_user(session, found.id or 0) if found and lock else found
        if user is None:
            raise NotFound("no such user", code="username_unknown")
        return user

    def _replace(
        self, session: Session, user_id: int, new_hash: str, actor: Actor | None, *, keep: str = "", ip: str = ""
    ) -> list[str]:
        identity.save_password_hash(session, user_id, new_hash)
        self._revoke_keys(session, user_id, actor, ip=ip)
        codes.delete_codes_of(session, user_id)
        identity.delete_grants_of(session, user_id)
        return revoke_sessions_of(session, user_id, self._context.clock(), keep=keep)

    def _check_code(self, code: Secret, ip: str) -> None:
        now, source = self._context.clock(), source_key(ip)
        with self._context.database.session() as session:
            outcome = reserve(session, [source] if source else [], now)
            needed = not identity.has_users(session)
            found = codes.find_code(session, CodePurpose.FIRST_USE.value, hash_code(code), now)
            if not isinstance(outcome, list):
                raise Throttled((outcome - now).total_seconds())
            if found or not needed:
                forgive(session, outcome, account="")
        if not needed:
            raise NotAllowed("there is a user already", code="first_use_done")
        if found is None:
            raise NotAllowed("the code does not work", code="code_invalid")

    def _revoke_keys(self, session: Session, user_id: int, actor: Actor | None, *, ip: str = "") -> None:
        for key_id in api_keys.revoke_keys_of(session, user_id, self._context.clock()):
            self._context.activity.record(actor, Action.KEY_REVOKED, key_id, ip=ip, session=session)
