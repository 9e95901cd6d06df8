"""Series, their counters and the default series in the database; all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Update, bindparam, delete, exists, func, or_, union_all, update
from sqlalchemy import select as select_columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.series.defaults import OwnChoice
from cgcore.series.series import Counter, Series, SeriesDraft, SeriesKind, code_key
from cgcore.storage.search import contains
from cgcore.storage.tables import CompanySeriesRow, SeriesDefaultRow, SeriesNumberRow, SeriesRow, UserRow
from cgcore.text_rules import is_storable

__all__ = [
    "add_series",
    "count_series",
    "delete_own_defaults",
    "delete_series",
    "find_series",
    "list_allowed",
    "list_choices_of_series",
    "list_choices_of_types",
    "list_every_counter",
    "list_series",
    "load_company_defaults",
    "load_counters",
    "load_own_defaults",
    "load_series",
    "raise_last_used",
    "save_company_defaults",
    "save_own_defaults",
    "save_series",
]


def find_series(session: Session, code: str) -> Series | None:
    """Return the series with ``code`` (neither case nor the composing of its letters counts), or None."""
    if not is_storable(code):
        return None
    same = or_(col(SeriesRow.code) == code, col(SeriesRow.code_key) == code_key(code))
    rows = session.exec(select(SeriesRow).where(same)).all()
    # Two from before the rule may differ in nothing else: the exact one is meant.
    row = next((row for row in rows if row.code == code), rows[0] if rows else None)
    return _with_counters(session, [row])[0] if row else None


def load_series(session: Session, codes: Iterable[str]) -> dict[str, Series]:
    """Return those of ``codes`` that exist, each by its exact code."""
    wanted = {code for code in codes if is_storable(code)}
    if not wanted:
        return {}
    rows = session.exec(select(SeriesRow).where(col(SeriesRow.code).in_(wanted))).all()
    return {series.code: series for series in _with_counters(session, rows)}


def list_series(session: Session, *, text: str, active: bool | None, after: str, limit: int) -> list[Series]:
    """Return at most ``limit`` series by code, those behind ``after``; ``text`` is looked for in code and name."""
    statement = _searched(select(SeriesRow), text)
    if active is not None:
        statement = statement.where(SeriesRow.active == active)
    if after:
        statement = statement.where(SeriesRow.code > after)
    return _with_counters(session, session.exec(statement.order_by(SeriesRow.code).limit(limit)).all())


def count_series(session: Session) -> int:
    """Return how many series there are."""
    return session.exec(select(func.count()).select_from(SeriesRow)).one()


def list_allowed(session: Session, *, text: str = "", limit: int) -> dict[DocumentType, list[tuple[str, str]]]:
    """Return, for each type, code and name of at most ``limit`` series that may be its default, by code: one question.

    The same as asking :func:`cgcore.series.guards.allows` of each; a test holds the two together.
    """
    invoices = aliased(SeriesNumberRow)
    serves_invoices = exists().where(
        col(invoices.series_code) == SeriesRow.code,
        col(invoices.document_type) == DocumentType.SALES_INVOICE.value,
        col(invoices.enabled),
    )
    parts: list[Select[Any]] = []
    for entry in DOCUMENT_TYPES:
        part = (
            select(SeriesNumberRow.document_type, SeriesRow.code, SeriesRow.name)
            .join(SeriesNumberRow, col(SeriesNumberRow.series_code) == SeriesRow.code)
            .where(SeriesNumberRow.document_type == entry.code.value, col(SeriesNumberRow.enabled))
            .where(col(SeriesRow.active), SeriesRow.kind != SeriesKind.CORRECTIVE.value)
        )
        if entry.code is DocumentType.PROFORMA_INVOICE:
            part = part.where(~serves_invoices)
        if text:
            part = part.where(_contains(text))
        # As a table of its own: SQLite takes neither order nor limit in a part of a union.
        parts.append(select_columns(part.order_by(SeriesNumberRow.series_code).limit(limit).subquery()))
    every = union_all(*parts).subquery()
    found: dict[DocumentType, list[tuple[str, str]]] = {entry.code: [] for entry in DOCUMENT_TYPES}
    for kind, code, name in session.connection().execute(select_columns(every).order_by(every.c.code)):
        found[DocumentType(kind)].append((code, name))
    return found


def load_counters(session: Session, code: str) -> dict[DocumentType, Counter]:
    """Return every counter kept for a series, also of types it no longer serves."""
    if not is_storable(code):
        return {}
    rows = session.exec(select(SeriesNumberRow).where(SeriesNumberRow.series_code == code)).all()
    return {DocumentType(row.document_type): _counter(row) for row in rows}


def list_every_counter(session: Session) -> dict[str, dict[DocumentType, Counter]]:
    """Return every counter kept, by series, as :func:`load_counters`."""
    found: dict[str, dict[DocumentType, Counter]] = {}
    for row in session.exec(select(SeriesNumberRow)):
        found.setdefault(row.series_code, {})[DocumentType(row.document_type)] = _counter(row)
    return found


def add_series(session: Session, draft: SeriesDraft) -> None:
    """Insert a series with its counters."""
    session.add(
        SeriesRow(
            code=draft.code,
            code_key=code_key(draft.code),
            name=draft.name,
            kind=draft.kind.value,
            active=draft.active,
        )
    )
    session.flush()
    _write_counters(session, draft.code, draft.next_numbers)


def save_series(session: Session, draft: SeriesDraft, version: int) -> bool:
    """Replace the series read at ``version``; False, and nothing written, when it stands at another one."""
    values = {"name": draft.name, "kind": draft.kind.value, "active": draft.active, "version": version + 1}
    changed = session.connection().execute(
        update(SeriesRow).where(col(SeriesRow.code) == draft.code, col(SeriesRow.version) == version).values(values)
    )
    if changed.rowcount != 1:
        return False
    _write_counters(session, draft.code, draft.next_numbers)
    return True


def delete_series(session: Session, code: str, version: int) -> bool:
    """Delete the series read at ``version`` and its counters; False when it stands at another one."""
    found = delete(SeriesRow).where(col(SeriesRow.code) == code, col(SeriesRow.version) == version)
    return session.connection().execute(found).rowcount == 1


def raise_last_used(session: Session, code: str, document_type: DocumentType, number: int, year: int) -> None:
    """Remember that a sent document bore ``number``; a lower one of the same year changes nothing."""
    told = {"of_series": code, "of_type": document_type.value, "number": number, "year": year}
    session.connection().execute(_raising(), told)


@cache
def _raising() -> Update:
    # Made once: it runs for each document that leaves, between two messages.
    row = col(SeriesNumberRow.last_used), col(SeriesNumberRow.last_used_year)
    number, year = bindparam("number", type_=Integer()), bindparam("year", type_=Integer())
    return (
        update(SeriesNumberRow)
        .where(
            col(SeriesNumberRow.series_code) == bindparam("of_series"),
            col(SeriesNumberRow.document_type) == bindparam("of_type"),
            or_(row[1] < year, (row[1] == year) & (row[0] < number)),
        )
        .values(last_used=number, last_used_year=year)
    )


def _write_counters(session: Session, code: str, next_numbers: Mapping[DocumentType, int]) -> None:
    stored = {
        row.document_type: row
        for row in session.exec(select(SeriesNumberRow).where(SeriesNumberRow.series_code == code)).all()
    }
    for document_type, number in next_numbers.items():
        row = stored.pop(document_type.value, None) or SeriesNumberRow(
            series_code=code, document_type=document_type.value
        )
        row.enabled, row.next_number = True, number
        session.add(row)
    for row in stored.values():
        row.enabled = False
        session.add(row)
    session.flush()


def _searched(statement: SelectOfScalar[SeriesRow], text: str) -> SelectOfScalar[SeriesRow]:
    return statement.where(_contains(text)) if text else statement


def _contains(text: str) -> ColumnElement[bool]:
    return contains(text, SeriesRow.code, SeriesRow.name)


def _with_counters(session: Session, rows: Sequence[SeriesRow]) -> list[Series]:
    numbers: dict[str, list[SeriesNumberRow]] = {row.code: [] for row in rows}
    if numbers:
        for number in session.exec(select(SeriesNumberRow).where(col(SeriesNumberRow.series_code).in_(numbers))):
            numbers[number.series_code].append(number)
    return [_series(row, numbers[row.code]) for row in rows]


def _series(row: SeriesRow, numbers: Sequence[SeriesNumberRow]) -> Series:
    return Series(
        code=row.code,
        name=row.name,
        kind=SeriesKind(row.kind),
        active=row.active,
        counters={DocumentType(number.document_type): _counter(number) for number in numbers if number.enabled},
        used=any(number.last_used for number in numbers),
        version=row.version,
    )


def _counter(row: SeriesNumberRow) -> Counter:
    return Counter(row.next_number, row.last_used, row.last_used_year)


def load_own_defaults(session: Session, user_id: int) -> dict[DocumentType, str]:
    """Return what a user has chosen, by type."""
    rows = session.exec(select(SeriesDefaultRow).where(SeriesDefaultRow.user_id == user_id)).all()
    return {DocumentType(row.document_type): row.series_code for row in rows}


def load_company_defaults(session: Session) -> dict[DocumentType, str]:
    """Return the company's defaults, by type."""
    rows = session.exec(select(CompanySeriesRow)).all()
    return {DocumentType(row.document_type): row.series_code for row in rows}


def save_own_defaults(session: Session, user_id: int, choices: Mapping[DocumentType, str | None]) -> None:
    """Store or, for None, remove a user's choice of each type named; the others stay."""
    for document_type, code in choices.items():
        row = session.get(SeriesDefaultRow, (user_id, document_type.value))
        if code is None:
            if row is not None:
                session.delete(row)
            continue
        if row is None:
            row = SeriesDefaultRow(user_id=user_id, document_type=document_type.value, series_code=code)
        row.series_code = code
        session.add(row)
    session.flush()


def save_company_defaults(session: Session, choices: Mapping[DocumentType, str | None]) -> None:
    """Store or, for None, remove the company's default of each type named; the others stay."""
    for document_type, code in choices.items():
        row = session.get(CompanySeriesRow, document_type.value)
        if code is None:
            if row is not None:
                session.delete(row)
            continue
        if row is None:
            row = CompanySeriesRow(document_type=document_type.value, series_code=code)
        row.series_code = code
        session.add(row)
    session.flush()


def delete_own_defaults(session: Session, types: Iterable[DocumentType]) -> None:
    """Remove every user's own choice of ``types``."""
    codes = [document_type.value for document_type in types]
    session.connection().execute(delete(SeriesDefaultRow).where(col(SeriesDefaultRow.document_type).in_(codes)))


def list_choices_of_types(session: Session, types: Iterable[DocumentType]) -> list[OwnChoice]:
    """Return every user's own choice of ``types``, by user name."""
    codes = [document_type.value for document_type in types]
    return _own_choices(session, col(SeriesDefaultRow.document_type).in_(codes))


def list_choices_of_series(session: Session, code: str) -> list[OwnChoice]:
    """Return every default that points at a series, the company's first."""
    company = session.exec(select(CompanySeriesRow).where(CompanySeriesRow.series_code == code)).all()
    return [
        *(OwnChoice("", DocumentType(row.document_type), row.series_code) for row in company),
        *_own_choices(session, col(SeriesDefaultRow.series_code) == code),
    ]


def _own_choices(session: Session, condition: ColumnElement[bool]) -> list[OwnChoice]:
    statement = (
        select(UserRow.username, SeriesDefaultRow.document_type, SeriesDefaultRow.series_code)
        .join(UserRow, col(UserRow.id) == SeriesDefaultRow.user_id)
        .where(condition)
        .order_by(UserRow.username_key, SeriesDefaultRow.document_type)
    )
    return [OwnChoice(name, DocumentType(kind), code) for name, kind, code in session.exec(statement)]
