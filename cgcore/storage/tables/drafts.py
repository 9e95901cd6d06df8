"""What somebody has typed and not saved yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field

from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["DraftRow"]


class DraftRow(Row, table=True):
    """The draft of one page in one tab (``tab``: a digest): each form's changed fields, and the version it was read at.

    Never a secret. It is its user's alone, and goes with the user.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    page: str = Field(primary_key=True)
    tab: str = Field(primary_key=True)
    content: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    saved: datetime = Field(sa_type=UtcDateTime)
