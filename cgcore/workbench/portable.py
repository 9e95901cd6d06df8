"""Export and import of the configuration: one readable file without secrets, and a preview of what it would change.

Apart from :mod:`cgcore.workbench.core`, as each section: loaded at its first use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cgcore import activity
from cgcore.activity import Action
from cgcore.errors import NotFound, StaleVersion, StorageBusy
from cgcore.identity.actor import Actor
from cgcore.identity.tokens import username_key
from cgcore.portable.changes import Change, ImportPlan
from cgcore.portable.content import Content, UserContent, read_content
from cgcore.portable.reading import FORMAT, VERSION, refuse
from cgcore.storage.snapshot import Snapshot, UserState, load_snapshot, load_stamp, load_users
from cgcore.storage.tables import UserRow
from cgcore.workbench.portable_export import export_company, export_series, export_user
from cgcore.workbench.portable_import import Decision, decide, decide_for
from cgcore.workbench.portable_writes import Writing

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.identity import Closed, EndConnection, IdentitySection
    from cgcore.workbench.mail_account import MailAccountSection

__all__ = ["PortableSection"]

# How often an import is decided anew because somebody saved between the deciding and the writing.
_TRIES = 3


class PortableSection:
    """Use cases of the configuration file. A user exports and imports their own part; an administrator all."""

    def __init__(
        self,
        context: Context,
        *,
        identity: IdentitySection,
        mail_account: MailAccountSection,
        end_connection: EndConnection,
    ) -> None:
        self._context, self._identity, self._mail_account = context, identity, mail_account
        self._end_connection = end_connection

    def export_all(self, actor: Actor, *, only_templates: bool = False) -> str:
        """Return the whole installation's configuration as JSON. Administrators only."""
        actor.require_admin()
        with self._context.read_as(actor, admin=True) as (session, actor):
            found = load_snapshot(session, None)
        value = _document(found.users.values(), None if only_templates else found, only_templates=only_templates)
        self._context.activity.note(actor, Action.CONFIGURATION_EXPORTED, "*")
        return _to_text(value)

    def export_user(self, actor: Actor, username: str, *, only_templates: bool = False) -> str:
        """Return one user's configuration: the own one, or anybody's for an administrator.

        Raises :class:`NotFound`.
        """
        with self._context.read_as(actor) as (session, actor):
            state = _visible(load_users(session, [username_key(username)]), actor, username)
        self._context.activity.note(actor, Action.CONFIGURATION_EXPORTED, state.row.username)
        return _to_text(_document([state], None, only_templates=only_templates))

    def plan(self, actor: Actor, data: bytes, username: str = "") -> ImportPlan:
        """Return what :meth:`apply` would change, decided over one state of the data; nobody waits for it."""
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
        names = [username] if username else [user.name for user in content.users]
        keys = sorted({username_key(name) for name in names})
        for _ in range(_TRIES):
            with self._context.read_as(actor, admin=not username) as (session, actor):
                found = load_snapshot(session, keys)
                stamp = load_stamp(session, keys, _ids(found))
            # Nothing is held here: cleaning, decoding and comparing may take as long as they take.
            decision = self._decide(actor, found, content, username)
            plan = ImportPlan(tuple(decision.changes), tuple(decision.notes))
            if fingerprint not in (None, plan.fingerprint):
                raise StaleVersion(0, {})
            if not keep or self._write(actor, found, decision, (keys, stamp), username):
                return plan
        raise StorageBusy("others save all the time")

    def _decide(self, actor: Actor, found: Snapshot, content: Content, username: str) -> Decision:
        now = self._context.clock()
        if not username:
            return decide(found, content, now=now)
        return decide_for(found, _visible(found.users, actor, username), _chosen(content, username), now=now)

    def _write(
        self, actor: Actor, found: Snapshot, decision: Decision, read_at: tuple[Sequence[str], Any], username: str
    ) -> bool:
        """Write what was decided; return False, and write nothing, where it was decided on what is no longer so."""
        ended: list[str] = []
        closed: list[Closed] = []
        forget: list[Callable[[], None]] = []
        keys, stamp = read_at
        roles = {state.row.id or 0: state.row.role for state in found.users.values()}
        with self._context.write_as(actor, admin=not username, exclusive=True) as (session, actor):
            if load_stamp(session, keys, _ids(found)) != stamp:
                return False

            def record(action: Action, name: str) -> None:
                self._context.activity.record(actor, action, name, session=session)

            def switch(row: UserRow, active: bool) -> None:
                stored = session.get_one(UserRow, row.id)
                closed.append(self._identity.accounts.switch_account(session, actor, stored, active=active))

            def disconnect(user_id: int) -> None:
                forget.append(self._end_connection(session, actor, user_id))

            writing = Writing(session, self._context.clock(), record, switch, disconnect)
            for write in decision.writes:
                write(writing)
            for state in found.users.values():
                stored = session.get(UserRow, state.row.id) if state.row.id else None
                if stored is not None and stored.role != roles[stored.id or 0]:
                    ended.extend(self._identity.accounts.end_for_role(session, stored.id or 0))
            self._context.activity.record(
                actor,
                Action.CONFIGURATION_IMPORTED,
                username or "*",
                changes=_list_touched(decision.changes),
                session=session,
            )
        for user_id in writing.dropped:
            self._mail_account.delete_secret(user_id)
        self._identity.sessions.tell_ended(ended)
        for each in closed:
            self._identity.accounts.tell_closed(each)
        for each in forget:
            each()
        return True


def _ids(found: Snapshot) -> list[int]:
    return [state.row.id or 0 for state in found.users.values()]


def _document(users: Iterable[UserState], house: Snapshot | None, *, only_templates: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "company": export_company(house.company, house.company_defaults, house.mail_presets) if house else None,
        "series": [export_series(series) for series in house.series] if house else None,
        "users": [export_user(state, only_templates=only_templates) for state in users],
    }


def _chosen(content: Content, username: str) -> UserContent:
    for user in content.users:
        if username_key(user.name) == username_key(username):
            return user
    if len(content.users) != 1:
        raise refuse("users", "one_user_only", cuantos=len(content.users))
    return content.users[0]


def _visible(users: dict[str, UserState], actor: Actor, username: str) -> UserState:
    state = users.get(username_key(username))
    if state is None or not (actor.is_admin or state.row.id == actor.user_id):
        raise NotFound("no such user", code="username_unknown")
    return state


def _list_touched(changes: Sequence[Change]) -> list[activity.Change]:
    objects = dict.fromkeys(change.object for change in changes)
    return [activity.Change(f"portable.{found.key}", whose=str(found.codes().get("nombre", ""))) for found in objects]


def _to_text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
