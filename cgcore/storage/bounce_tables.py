"""The tables of what came back. Apart from those of the outbox: a report may be about no message of ours."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Column, UniqueConstraint
from sqlmodel import Field

from cgcore.storage.tables import Row, UtcDateTime

__all__ = ["BounceNoticeRow", "BounceSearchRow"]


class BounceSearchRow(Row, table=True):
    """Whether a user's inbox is searched for reports on what was sent, and how far it has been.

    ``places`` are uidvalidity, uidnext and the message that ended a connection, by folder, of the ``mailbox`` (user and
    host). ``asked`` is the last look, ``looked`` the last that was answered, ``key`` why the last one was not.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    active: bool = False
    mailbox: str = ""
    places: dict[str, list[int]] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    asked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    key: str = ""
    account_version: int = 0
    owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BounceNoticeRow(Row, table=True):
    """What a report says of one recipient. ``report`` and ``place`` name it: however often it is read, it is kept once.

    Without ``message_id`` it belongs to no message that is known.
    """

    __table_args__ = (UniqueConstraint("user_id", "report", "place"),)

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", ondelete="CASCADE")
    message_id: str | None = Field(
        default=None, foreign_key="outbound_message.id", index=True, nullable=True, ondelete="CASCADE"
    )
    report: str
    place: int
    kind: str
    address: str = ""
    status: str = ""
    key: str = ""
    reply: str = ""
    at: datetime = Field(sa_type=UtcDateTime)
