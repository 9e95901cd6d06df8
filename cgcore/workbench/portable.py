"""Export and import of the configuration: one readable file without secrets, and a preview of what it would change."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import NotFound, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.identity.tokens import username_key
from cgcore.portable.changes import Change, ImportPlan, compare
from cgcore.portable.content import Content, UserContent, read_content
from cgcore.portable.reading import FORMAT, VERSION, refuse
from cgcore.storage import identity as user_store
from cgcore.storage.database import take_change_lock
from cgcore.storage.tables import UserRow
from cgcore.workbench import portable_import as house
from cgcore.workbench.portable_import import UserImport, export_user

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["PortableSection"]


class _Undo(Exception):
    """Nothing of this transaction shall stand."""


class PortableSection:
    """Use cases of the configuration file. A user exports and imports their own part; an administrator all."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def export_all(self, actor: Actor, *, only_templates: bool = False) -> str:
        """Return the whole installation's configuration as JSON. Administrators only."""
        actor.require_admin()
        with self._workbench.database.read() as session:
            rows = user_store.list_users(session)
            value = self._document(session, rows, whole=not only_templates, only_templates=only_templates)
        self._workbench.activity.note(actor, Action.CONFIGURATION_EXPORTED, "*")
        return _to_text(value)

    def export_user(self, actor: Actor, username: str, *, only_templates: bool = False) -> str:
        """Return one user's configuration: the own one, or anybody's for an administrator.

        Raises :class:`NotFound`.
        """
        with self._workbench.database.read() as session:
            row = _visible(session, actor, username)
            value = self._document(session, [row], whole=False, only_templates=only_templates)
        self._workbench.activity.note(actor, Action.CONFIGURATION_EXPORTED, row.username)
        return _to_text(value)

    def plan(self, actor: Actor, data: bytes, username: str = "") -> ImportPlan:
        """Return what :meth:`apply` would change. It is the import itself, undone: nothing stays."""
        return self._run(actor, data, username, fingerprint=None, keep=False)

    def apply(self, actor: Actor, data: bytes, username: str = "", *, fingerprint: str | None = None) -> ImportPlan:
        """Import a file in one transaction and return what changed: everything, or nothing at all.

        With ``username`` only the mail account, templates, signature and default series of the file's one user (or
        of the one with that name) are brought to that user. ``fingerprint`` is the previewed plan's.

        Raises :class:`cgcore.portable.reading.Refused`, :class:`NotFound`, :class:`NotAllowed` and, when the plan is
        another one by now, :class:`StaleVersion`.
        """
        return self._run(actor, data, username, fingerprint=fingerprint, keep=True)

    def _run(self, actor: Actor, data: bytes, username: str, *, fingerprint: str | None, keep: bool) -> ImportPlan:
        content = read_content(data)
        if not username:
            actor.require_admin()
        plan, people = ImportPlan(()), None
        with contextlib.suppress(_Undo), self._workbench.database.session() as session:
            take_change_lock(session)
            people = UserImport(self._workbench, session, actor)
            changes = self._bring(session, actor, content, username, people)
            plan = ImportPlan(changes, tuple(people.notes))
            if fingerprint not in (None, plan.fingerprint):
                raise StaleVersion(0, {})
            if not keep:
                raise _Undo
            self._workbench.activity.record(
                actor, Action.CONFIGURATION_IMPORTED, username or "*", detail=_touched(changes), session=session
            )
        if keep and people is not None:
            for user_id in people.dropped:
                self._workbench.mail_account.delete_secret(user_id)
            self._workbench.identity.tell_ended(people.ended)
        return plan

    def _bring(
        self, session: Session, actor: Actor, content: Content, username: str, people: UserImport
    ) -> tuple[Change, ...]:
        if username:
            row = _visible(session, actor, username)
            user = _chosen(content, username)
            before = export_user(session, row)
            people.bring_parts(row, user)
            people.bring_defaults(row, user)
            after = export_user(session, row)
            return tuple(compare(row.username, before, after))
        before = self._state(session)
        self._bring_all(session, content, people)
        after = self._state(session)
        return tuple(
            change
            for name in [*before, *(name for name in after if name not in before)]
            for change in compare(name, before.get(name, {}), after.get(name, {}))
        )

    def _bring_all(self, session: Session, content: Content, people: UserImport) -> None:
        house.import_series(self._workbench, session, content.series)
        if content.company is not None:
            house.import_company(session, content.company)
            people.notes += house.import_company_series(self._workbench, session, content)
        had_admin = user_store.count_active_admins(session) > 0
        rows = [(people.find_or_add(user), user) for user in content.users]
        for row, user in rows:
            people.bring_parts(row, user)
            people.bring_defaults(row, user)
        if had_admin and user_store.count_active_admins(session) == 0:
            from cgcore.identity.texts import invalid

            raise invalid("users", "last_admin")

    def _document(
        self, session: Session, rows: Sequence[UserRow], *, whole: bool, only_templates: bool
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "company": house.export_company(session) if whole else None,
            "series": house.export_series(session) if whole else None,
            "users": [export_user(session, row, only_templates=only_templates) for row in rows],
        }

    def _state(self, session: Session) -> dict[str, dict[str, Any]]:
        """Everything by name: the company, each series, each user; what a plan compares."""
        state = {"empresa": house.export_company(session)}
        state |= {f"serie {value['code']}": value for value in house.export_series(session)}
        for row in user_store.list_users(session):
            state[f"usuario {row.username}"] = export_user(session, row)
        return state


def _chosen(content: Content, username: str) -> UserContent:
    for user in content.users:
        if username_key(user.name) == username_key(username):
            return user
    if len(content.users) != 1:
        raise refuse("users", "one_user_only", cuantos=len(content.users))
    return content.users[0]


def _visible(session: Session, actor: Actor, username: str) -> UserRow:
    row = user_store.find_user_by_key(session, username_key(username))
    if row is None or not (actor.is_admin or row.id == actor.user_id):
        raise NotFound("no such user", code="username_unknown")
    return row


def _touched(changes: Sequence[Change]) -> str:
    return ", ".join(dict.fromkeys(change.object for change in changes))


def _to_text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
