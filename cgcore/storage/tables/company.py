"""The company and its default series."""

from __future__ import annotations

from sqlmodel import Field

from cgcore.storage.tables.base import Row

__all__ = ["CompanyRow", "CompanySeriesRow"]


class CompanyRow(Row, table=True):
    """The one company of the installation (``id`` is always 1)."""

    id: int = Field(default=1, primary_key=True)
    name: str = ""
    tax_id: str = ""
    address: str = ""
    logo_sha256: str | None = Field(default=None, foreign_key="template_image.sha256")
    version: int = 1


class CompanySeriesRow(Row, table=True):
    """The company's default series of one document type; like a user's, it outlives its series and is then reported."""

    document_type: str = Field(primary_key=True)
    series_code: str = Field(index=True)
