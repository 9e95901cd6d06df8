"""The company's and the users' default series in the database. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, delete
from sqlmodel import Session, col, select

from cgcore.documents import DocumentType
from cgcore.series.defaults import OwnChoice
from cgcore.storage.tables import CompanySeriesRow, SeriesDefaultRow, UserRow

__all__ = [
    "delete_own_defaults",
    "list_choices_of_series",
    "list_choices_of_types",
    "load_company_defaults",
    "load_own_defaults",
    "save_company_defaults",
    "save_own_defaults",
]


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
