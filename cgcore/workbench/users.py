"""Users as administrators see them, and everybody's own particulars. Passwords and log-ins belong to identity.

Apart from :mod:`cgcore.workbench.core`, as each section: loaded at its first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from sqlmodel import Session

from cgcore.activity import Action, Change
from cgcore.errors import FieldProblem, InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor, Role
from cgcore.identity.tokens import username_key
from cgcore.storage import identity as store
from cgcore.storage.tables import UserRow
from cgcore.vault.secret import Secret
from cgcore.workbench.identity import IdentitySection, NewUser

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["Particulars", "User", "UserPage", "UsersSection"]

_MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Particulars:
    """What may be changed of a user."""

    full_name: str = ""
    mail: str = ""
    role: Role = Role.USER


@dataclass(frozen=True, slots=True)
class User:
    """A user as shown."""

    id: int
    username: str
    full_name: str
    mail: str
    role: Role
    active: bool
    has_password: bool
    created: datetime
    version: int

    def as_json(self) -> dict[str, Any]:
        """Return the user as a stale save shows them."""
        return {"name": self.username, "full_name": self.full_name, "mail": self.mail, "role": self.role.value}


class UserPage(TypedDict):
    """One page of users by name; ``next`` is the cursor of the following page, None on the last."""

    items: list[User]
    next: str | None


class UsersSection:
    """Use cases of users. All but the own particulars are the administrators'."""

    def __init__(self, context: Context, *, identity: IdentitySection) -> None:
        self._context, self._identity = context, identity

    def list(
        self, actor: Actor, *, text: str = "", active: bool | None = None, cursor: str | None = None, limit: int = 50
    ) -> UserPage:
        """Return one page of users by name; ``limit`` is 1 to 200."""
        actor.require_admin()
        limit = max(1, min(limit, _MAX_LIMIT))
        with self._context.read_as(actor, admin=True) as (session, actor):
            rows = store.list_users_page(session, text=text.strip(), active=active, after=cursor or "", limit=limit + 1)
        items = [_user(row) for row in rows[:limit]]
        return {"items": items, "next": rows[limit - 1].username_key if len(rows) > limit else None}

    def get(self, actor: Actor, username: str) -> User:
        """Return a user by name: oneself, or anybody for an administrator. Raises :class:`NotFound`."""
        return self._context.recall(
            actor, ("user", username), lambda session, who: _user(_visible(session, who, username))
        )

    def add(self, actor: Actor, draft: NewUser) -> Secret | None:
        """Add a user; without a password in ``draft`` return the path of a page to set one, good once, for a day.

        Raises :class:`InvalidInput`, also when the name is taken.
        """
        self._identity.accounts.add_user(actor, draft)
        if draft.password is not None:
            return None
        return self._identity.accounts.issue_reset_link(actor, draft.username)

    def save(self, actor: Actor, username: str, particulars: Particulars, version: int) -> User:
        """Change name, mail or role of a user read at ``version``; another role ends their log-ins.

        Raises :class:`NotFound`, :class:`StaleVersion`, and :class:`InvalidInput`: a wrong mail, or ``last_admin`` on
        ``role`` when nobody would be left to administer.
        """
        actor.require_admin()
        with self._context.write_as(actor, admin=True, exclusive=True) as (session, actor):
            before = _user(_visible(session, actor, username))
            after = self._store(session, before, particulars, version)
            if before.role is Role.ADMIN and store.count_active_admins(session) == 0:
                raise InvalidInput(FieldProblem.of("cgcore.identity", "role", "last_admin"))
            self._context.activity.record(
                actor, Action.USER_SAVED, after.username, changes=_list_changes(before, after), session=session
            )
            ended = self._identity.accounts.end_for_role(session, after.id) if before.role is not after.role else ()
        self._identity.sessions.tell_ended(ended)
        return after

    def save_own(self, actor: Actor, full_name: str, mail: str, version: int) -> User:
        """Change one's own name and mail. Raises :class:`InvalidInput` and :class:`StaleVersion`."""
        with self._context.write_as(actor, exclusive=True) as (session, actor):
            before = _user(_visible(session, actor, actor.username))
            after = self._store(session, before, Particulars(full_name, mail, before.role), version)
            self._context.activity.record(
                actor, Action.PROFILE_SAVED, after.username, changes=_list_changes(before, after), session=session
            )
            return after

    def disable(self, actor: Actor, username: str) -> None:
        """Close an account: its log-ins and keys stop at once. Raises ``last_admin`` for the last administrator."""
        self._identity.accounts.disable_user(actor, username)

    def enable(self, actor: Actor, username: str) -> None:
        """Open a closed account again; its log-ins stay ended."""
        self._identity.accounts.enable_user(actor, username)

    def issue_reset_link(self, actor: Actor, username: str) -> Secret:
        """Return the path of a page where ``username`` sets a new password: good once, for a day."""
        return self._identity.accounts.issue_reset_link(actor, username)

    def count_sessions(self, actor: Actor, username: str) -> int:
        """Return how many log-ins of a user are open."""
        actor.require_admin()
        with self._context.read_as(actor, admin=True) as (session, actor):
            user = _visible(session, actor, username)
            return len(store.list_live_sessions(session, user.id or 0, self._context.clock()))

    def end_sessions(self, actor: Actor, username: str) -> int:
        """End every log-in of a user; return how many were open."""
        return self._identity.accounts.end_sessions_of(actor, username)

    def _store(self, session: Session, before: User, particulars: Particulars, version: int) -> User:
        full_name, mail = particulars.full_name.strip(), particulars.mail.strip()
        problems = NewUser(before.username, full_name=full_name, mail=mail).list_problems()
        if problems:
            raise InvalidInput(*problems)
        role = particulars.role.value
        if not store.save_particulars(session, before.id, version, full_name=full_name, mail=mail, role=role):
            raise StaleVersion(before.version, before.as_json())
        session.expire_all()
        return _user(session.get_one(UserRow, before.id))


def _visible(session: Session, actor: Actor, username: str) -> UserRow:
    row = store.find_user_by_key(session, username_key(username))
    if row is None or not (actor.is_admin or row.id == actor.user_id):
        raise NotFound("no such user", code="username_unknown")
    return row


def _user(row: UserRow) -> User:
    return User(
        id=row.id or 0,
        username=row.username,
        full_name=row.full_name,
        mail=row.mail,
        role=Role(row.role),
        active=row.active,
        has_password=bool(row.password_hash),
        created=row.created,
        version=row.version,
    )


def _list_changes(before: User, after: User) -> list[Change]:
    old, new = before.as_json(), after.as_json()
    return [Change(f"user.{name}", old[name], new[name]) for name in old if old[name] != new[name]]
