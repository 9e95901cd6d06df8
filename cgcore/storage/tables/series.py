"""Document series and each user's defaults."""

from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field

from cgcore.storage.tables.base import Row

__all__ = ["SeriesDefaultRow", "SeriesNumberRow", "SeriesRow"]


class SeriesRow(Row, table=True):
    """A series. ``code_key`` is the case-folded code, and unique: «a» and «A» are one series."""

    code: str = Field(primary_key=True)
    code_key: str = Field(unique=True, index=True)
    name: str = ""
    active: bool = True
    kind: str = "ordinaria"
    version: int = 1


class SeriesNumberRow(Row, table=True):
    """A document type of a series, with the number that the next document takes.

    A type that is taken away only loses ``enabled``: its counter and the last number seen stay, so that no number
    is lost when it comes back. ``last_used`` is the highest number that a sent document bore, in ``last_used_year``.
    """

    __table_args__ = (Index("ix_series_number_type_code", "document_type", "series_code"),)

    series_code: str = Field(primary_key=True, foreign_key="series.code", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    enabled: bool = True
    next_number: int = 1
    last_used: int = 0
    last_used_year: int = 0


class SeriesDefaultRow(Row, table=True):
    """A user's own default series of one document type. No row: the company's.

    There is no foreign key to the series on purpose: a default that points at a deleted series stays, and is reported.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    series_code: str = Field(index=True)
