"""The tables of mail besides accounts: the company's servers, and the daily watch.

Apart from the others: nothing of what a person types is in them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables import Row, UtcDateTime

__all__ = ["MailPresetRow", "MailWatchRow"]


class MailPresetRow(Row, table=True):
    """The mail servers of one domain of the company's (ASCII), which an administrator has proven."""

    domain: str = Field(primary_key=True)
    smtp_host: str = ""
    smtp_port: int = 0
    smtp_security: str = ""
    imap_host: str = ""
    imap_port: int = 0
    imap_security: str = ""
    username_form: str = "address"
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class MailWatchRow(Row, table=True):
    """The daily watch of one account. ``looks`` counts: whoever counts on from what it has read has the look.

    ``since`` is when it began, or was switched last; ``memory`` is what the last look found, without secrets.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    enabled: bool = True
    since: datetime = Field(sa_type=UtcDateTime)
    looked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looks: int = 0
    memory: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
