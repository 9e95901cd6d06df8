"""Mail templates, signatures, their history and their images."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["MailTemplateRow", "SignatureRow", "TemplateImageRow", "TemplateVersionRow"]


class MailTemplateRow(Row, table=True):
    """Subject and body of one user for one document type, in the editor's format. No row: the built-in default."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    document_type: str = Field(primary_key=True)
    subject: str = ""
    body: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class SignatureRow(Row, table=True):
    """The one signature of a user, in the editor's format. No row: the built-in default."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    html: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class TemplateVersionRow(Row, table=True):
    """An earlier state of a template (or of the signature, with an empty ``document_type``)."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    document_type: str = Field(default="", index=True)
    subject: str = ""
    body: str = ""
    version: int = 1
    saved: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class TemplateImageRow(Row, table=True):
    """An image by its content."""

    sha256: str = Field(primary_key=True)
    type: str
    width: int
    height: int
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
