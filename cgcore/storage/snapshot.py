"""What a configuration file speaks of, read in few statements however many people there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from cgcore.company.company import Company
from cgcore.documents import DocumentType
from cgcore.mail.account import MailAccountDraft, StoredAccount
from cgcore.mail.preset import MailPreset
from cgcore.series.series import Counter, Series
from cgcore.storage.bounce_tables import BounceSearchRow
from cgcore.storage.company import load_company
from cgcore.storage.mail_accounts import to_account
from cgcore.storage.mail_presets import list_presets
from cgcore.storage.mail_tables import MailPresetRow, MailWatchRow
from cgcore.storage.oauth_tables import OauthGrantRow
from cgcore.storage.series import list_every_counter, list_series, load_company_defaults
from cgcore.storage.tables import (
    CompanyRow,
    CompanySeriesRow,
    MailAccountRow,
    MailTemplateRow,
    SeriesDefaultRow,
    SeriesRow,
    SignatureRow,
    UserRow,
)

__all__ = ["Connection", "Snapshot", "UserState", "load_snapshot", "load_stamp", "load_users"]

# How many values one statement takes: SQLite's oldest limit of parameters is 999.
_BATCH = 500
_SERIES_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Connection:
    """What a user's mailbox is connected as."""

    provider: str
    mailbox: str

    def is_of(self, draft: MailAccountDraft) -> bool:
        """Return whether an account goes on signing in by it."""
        return self.provider == draft.auth and self.mailbox.casefold() == draft.user.strip().casefold()


@dataclass(slots=True)
class UserState:
    """One person with everything that a file tells of them; ``templates`` and ``signature`` only where of their own."""

    row: UserRow
    account: StoredAccount | None = None
    connection: Connection | None = None
    watched: bool = True
    searched: bool = False
    templates: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    signature: str | None = None
    defaults: dict[DocumentType, str] = field(default_factory=dict[DocumentType, str])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the installation; ``users`` (by the key of their names) are those that were asked for."""

    company: Company
    company_defaults: dict[DocumentType, str]
    mail_presets: list[MailPreset]
    series: list[Series]
    counters: dict[str, dict[DocumentType, Counter]]
    users: dict[str, UserState]
    active_admins: frozenset[str]


def load_snapshot(session: Session, username_keys: Iterable[str] | None) -> Snapshot:
    """Return the state of the installation with the users named, or all of them for None."""
    users = load_users(session, username_keys)
    return Snapshot(
        company=load_company(session),
        company_defaults=load_company_defaults(session),
        mail_presets=list_presets(session),
        series=_all_series(session),
        counters=list_every_counter(session),
        users=users,
        active_admins=_active_admins(session),
    )


def load_users(session: Session, username_keys: Iterable[str] | None) -> dict[str, UserState]:
    """Return users by the key of their names, in its order: those named, all for None."""
    by_name = select(UserRow).order_by(col(UserRow.username_key))
    if username_keys is None:
        rows: Sequence[UserRow] = session.exec(by_name).all()
    else:
        wanted = sorted(set(username_keys))
        named = (by_name.where(col(UserRow.username_key).in_(keys)) for keys in _batches(wanted))
        rows = [row for statement in named for row in session.exec(statement)]
    users = {row.id or 0: UserState(row) for row in rows}
    for ids in _batches(list(users)):
        for account in session.exec(select(MailAccountRow).where(col(MailAccountRow.user_id).in_(ids))):
            users[account.user_id].account = to_account(account)
        for grant in session.exec(select(OauthGrantRow).where(col(OauthGrantRow.user_id).in_(ids))):
            users[grant.user_id].connection = Connection(grant.provider, grant.mailbox)
        off = select(MailWatchRow.user_id).where(col(MailWatchRow.user_id).in_(ids), ~col(MailWatchRow.enabled))
        for user_id in session.exec(off):
            users[user_id].watched = False
        on = select(BounceSearchRow.user_id).where(
            col(BounceSearchRow.user_id).in_(ids), col(BounceSearchRow.active).is_(True)
        )
        for user_id in session.exec(on):
            users[user_id].searched = True
        for text in session.exec(select(MailTemplateRow).where(col(MailTemplateRow.user_id).in_(ids))):
            users[text.user_id].templates[text.document_type] = (text.subject, text.body)
        for signature in session.exec(select(SignatureRow).where(col(SignatureRow.user_id).in_(ids))):
            users[signature.user_id].signature = signature.html
        for choice in session.exec(select(SeriesDefaultRow).where(col(SeriesDefaultRow.user_id).in_(ids))):
            users[choice.user_id].defaults[DocumentType(choice.document_type)] = choice.series_code
    return {state.row.username_key: state for state in users.values()}


def load_stamp(session: Session, username_keys: Sequence[str], user_ids: Sequence[int]) -> tuple[Any, ...]:
    """Return what is equal before and after, if and only if nothing of it was changed; no text of any size is read.

    ``username_keys`` names also people who are not there: they must not have come meanwhile.
    """
    statements: list[Any] = [
        select_columns(col(CompanyRow.version)),
        select_columns(col(CompanySeriesRow.document_type), col(CompanySeriesRow.series_code)),
        select_columns(col(SeriesRow.code), col(SeriesRow.version)),
        select_columns(col(MailPresetRow.domain), col(MailPresetRow.updated)),
    ]
    for keys in _batches(sorted(username_keys)):
        person = (col(UserRow.id), col(UserRow.version), col(UserRow.role), col(UserRow.active))
        statements.append(select_columns(*person).where(col(UserRow.username_key).in_(keys)))
    for ids in _batches(sorted(user_ids)):
        statements += [
            select_columns(col(table.user_id), *more).where(col(table.user_id).in_(ids))
            for table, more in (
                (MailAccountRow, (col(MailAccountRow.version),)),
                (OauthGrantRow, (col(OauthGrantRow.obtained),)),
                (MailWatchRow, (col(MailWatchRow.enabled),)),
                (BounceSearchRow, (col(BounceSearchRow.active),)),
                (MailTemplateRow, (col(MailTemplateRow.document_type), col(MailTemplateRow.version))),
                (SignatureRow, (col(SignatureRow.version),)),
                (SeriesDefaultRow, (col(SeriesDefaultRow.document_type), col(SeriesDefaultRow.series_code))),
            )
        ]
    return (*(_read_all(session, statement) for statement in statements), _active_admins(session))


def _read_all(session: Session, statement: Any) -> list[tuple[Any, ...]]:
    rows: Any = session.connection().execute(statement)
    return sorted(tuple(row) for row in rows)


def _active_admins(session: Session) -> frozenset[str]:
    admins = select(UserRow.username_key).where(UserRow.role == "admin", col(UserRow.active).is_(True))
    return frozenset(session.exec(admins))


def _all_series(session: Session) -> list[Series]:
    found: list[Series] = []
    while batch := list_series(
        session, text="", active=None, after=found[-1].code if found else "", limit=_SERIES_BATCH
    ):
        found += batch
    return found


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]
