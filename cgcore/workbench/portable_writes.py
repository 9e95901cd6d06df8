"""The writes of an import, each in its one transaction.

Apart from :mod:`cgcore.workbench.portable_import`, which decides and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from cgcore.activity import Action
from cgcore.documents import DocumentType
from cgcore.mail.account import StoredAccount
from cgcore.series.series import SeriesDraft
from cgcore.storage import mail_accounts
from cgcore.storage import series as series_store
from cgcore.storage import templates as template_store
from cgcore.storage.bounces import switch_search
from cgcore.storage.mail_watch import switch_watch
from cgcore.storage.tables import UserRow

__all__ = [
    "Writing",
    "add_user",
    "change_user",
    "drop_template",
    "put_account",
    "put_search",
    "put_watch",
    "save_series",
]


@dataclass(slots=True)
class Writing:
    """What the writes of a decision work with, and what has to be done once their transaction stands."""

    session: Session
    now: datetime
    record: Callable[[Action, str], None]
    switch: Callable[[UserRow, bool], None]
    disconnect: Callable[[int], None]
    """Ends the connection of a user's mailbox."""
    dropped: list[int] = field(default_factory=list[int])
    """Users whose stored mail password has to go."""


def save_series(session: Session, draft: SeriesDraft, version: int) -> None:
    """Store a series over the version that was read."""
    series_store.save_series(session, draft, version)
    session.expire_all()


def add_user(writing: Writing, row: UserRow, particulars: Mapping[str, str]) -> None:
    """Store a new user."""
    for name, value in particulars.items():
        setattr(row, name, value)
    row.created = writing.now
    writing.session.add(row)
    writing.session.flush()
    writing.record(Action.USER_ADDED, row.username)


def change_user(session: Session, row: UserRow, particulars: Mapping[str, str]) -> None:
    """Store a user's particulars."""
    stored = session.get_one(UserRow, row.id)
    for name, value in particulars.items():
        setattr(stored, name, value)
    stored.version += 1
    session.add(stored)
    session.flush()


def put_account(writing: Writing, row: UserRow, account: StoredAccount, *, drops: bool, ends: bool) -> None:
    """Store a user's account; what it may not go on with goes."""
    mail_accounts.put_account(writing.session, row.id or 0, account, writing.now)
    writing.session.flush()
    if drops:
        writing.dropped.append(row.id or 0)
    if ends:
        writing.disconnect(row.id or 0)


def put_watch(writing: Writing, row: UserRow, *, enabled: bool) -> None:
    """Switch the daily watch of a user's account; what it looks at is that person's, so it is told by name."""
    switch_watch(writing.session, row.id or 0, enabled, writing.now)
    writing.record(Action.ACCOUNT_SAVED, row.username)


def put_search(writing: Writing, row: UserRow, *, active: bool) -> None:
    """Switch the search of a user's inbox, which is told by name too."""
    if switch_search(writing.session, row.id or 0, active=active):
        writing.record(Action.BOUNCE_SEARCH_BEGUN if active else Action.BOUNCE_SEARCH_ENDED, row.username)


def drop_template(session: Session, row: UserRow, kind: DocumentType) -> None:
    """Give a type its built-in texts back."""
    if (stored := template_store.find_template(session, row.id or 0, kind)) is not None:
        session.delete(stored)
        session.flush()
