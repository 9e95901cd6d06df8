"""The users of a configuration file: written from the database, and into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.documents import DOCUMENT_TYPES
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.identity.usernames import normalise_username, username_key
from cgcore.mail.account import StoredAccount, account_to_json, changed_targets, check_account
from cgcore.portable.account import read_account
from cgcore.portable.content import UserContent
from cgcore.portable.problems import portable_sentence, refuse_with
from cgcore.storage import series_defaults as defaults_store
from cgcore.storage import users as user_store
from cgcore.storage.mail_accounts import find_account, put_account
from cgcore.storage.tables import UserRow
from cgcore.workbench.identity import NewUser
from cgcore.workbench.portable_defaults import list_changes, note_orphans
from cgcore.workbench.portable_templates import export_templates, import_templates

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["UserImport", "export_user"]


def export_user(session: Session, row: UserRow, *, only_templates: bool = False) -> dict[str, Any]:
    """Return one user of a file: particulars, mail account without password, templates, signature, defaults."""
    user_id = row.id or 0
    templates = export_templates(session, user_id)
    if only_templates:
        return {"name": row.username, **templates}
    account = find_account(session, user_id)
    own = defaults_store.load_own_defaults(session, user_id)
    return {
        "name": row.username,
        "full_name": row.full_name,
        "mail": row.mail,
        "role": row.role,
        # Said of whom it is not so: everybody else may log in.
        **({} if row.active else {"active": False}),
        "mail_account": account_to_json(account.draft) if account else None,
        **templates,
        "series_defaults": {entry.code.value: own[entry.code] for entry in DOCUMENT_TYPES if entry.code in own},
    }


class UserImport:
    """Brings users of a file in, within the caller's transaction. ``notes`` and ``dropped`` are read afterwards."""

    def __init__(self, workbench: Workbench, session: Session, actor: Actor) -> None:
        self._workbench, self._session, self._actor = workbench, session, actor
        self.notes: list[str] = []
        self.dropped: list[int] = []
        """Users whose stored mail password has to go, once the transaction stands."""
        self.ended: list[str] = []
        """Log-ins that have ended with their account."""

    def find_or_add(self, content: UserContent) -> UserRow:
        """Return the user that ``content`` speaks of with its particulars stored, a new one where there is none."""
        row = user_store.find_user_by_key(self._session, username_key(content.name))
        is_new = row is None
        row = row or UserRow(
            username=normalise_username(content.name),
            username_key=username_key(content.name),
            created=self._workbench.clock(),
        )
        before = (row.full_name, row.mail, row.role)
        row.full_name = row.full_name if content.full_name is None else content.full_name
        row.mail = row.mail if content.mail is None else content.mail
        row.role = content.role or row.role
        _refuse_problems(content.place, NewUser(row.username, full_name=row.full_name, mail=row.mail))
        if is_new or before != (row.full_name, row.mail, row.role):
            row.version += not is_new
            self._session.add(row)
            self._session.flush()
        if is_new:
            self.notes.append(portable_sentence("password_needed", nombre=row.username))
            self._workbench.activity.record(self._actor, Action.USER_ADDED, row.username, session=self._session)
        if content.active is not None and content.active != row.active:
            self.ended += self._workbench.identity.switch_account(
                self._session, self._actor, row, active=content.active
            )
        return row

    def bring_parts(self, row: UserRow, content: UserContent) -> None:
        """Store mail account, templates and signature of ``content``; its series defaults are another step."""
        if content.mail_account is not None:
            self._bring_account(row, content.place, content.mail_account)
        import_templates(
            self._session,
            row.id or 0,
            content.place,
            templates=content.templates,
            signature=content.signature,
            now=self._workbench.clock(),
        )

    def bring_defaults(self, row: UserRow, content: UserContent) -> None:
        """Replace a user's own default series by those of the file; each new one is judged by the guards."""
        if content.series_defaults is None:
            return
        changed = list_changes(defaults_store.load_own_defaults(self._session, row.id or 0), content.series_defaults)
        place, year = f"{content.place}.series_defaults", self._workbench.clock().year
        self.notes += note_orphans(self._session, changed, place, year=year)
        defaults_store.save_own_defaults(self._session, row.id or 0, changed)

    def _bring_account(self, row: UserRow, place: str, value: Mapping[str, Any]) -> None:
        at, user_id = f"{place}.mail_account", row.id or 0
        draft = read_account(value, at)
        for problem in check_account(draft):
            if problem.blocking:
                raise refuse_with(f"{at}.{problem.field}", problem.message)
        stored = find_account(self._session, user_id, lock=True) or StoredAccount()
        if stored.version and account_to_json(stored.draft) == account_to_json(draft):
            return
        # A stored password is for the user and server it was typed for, and for nobody else.
        drops = stored.password_set and bool(changed_targets(stored.draft, draft))
        if drops:
            self.dropped.append(user_id)
            self.notes.append(portable_sentence("password_dropped", nombre=row.username))
        account = StoredAccount(
            draft=draft,
            password_set=stored.password_set and not drops,
            password_mark="" if drops else stored.password_mark,
            version=stored.version + 1,
        )
        put_account(self._session, user_id, account, self._workbench.clock())
        self._session.flush()


def _refuse_problems(place: str, user: NewUser) -> None:
    problems = user.list_problems()
    if problems:
        raise InvalidInput(*problems) if not place else refuse_with(f"{place}.{problems[0].field}", problems[0].message)
