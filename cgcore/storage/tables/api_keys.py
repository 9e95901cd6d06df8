"""API keys and the last calls made with them."""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["ApiCallDayRow", "ApiCallRow", "ApiKeyRow"]


class ApiKeyRow(Row, table=True):
    """A key without the key: its public id, the digest of its secret, its last four characters.

    ``retires``: when a replaced key falls silent, if its successor (``replaced_by``) is not used before.
    """

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    device: str = ""
    digest: str
    last4: str
    scopes: str = "read write send"
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_ip: str = ""
    revoked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retires: datetime | None = Field(default=None, sa_type=UtcDateTime)
    replaced_by: str | None = Field(default=None, index=True)


class ApiCallRow(Row, table=True):
    """One call made with a key; only the last ones are kept."""

    id: int | None = Field(default=None, primary_key=True)
    key_id: str = Field(foreign_key="api_key.id", index=True, ondelete="CASCADE")
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    method: str
    path: str
    status: int
    ms: int
    ip: str = ""


class ApiCallDayRow(Row, table=True):
    """How many calls a key made on one day (UTC)."""

    key_id: str = Field(primary_key=True, foreign_key="api_key.id", ondelete="CASCADE")
    day: date = Field(primary_key=True)
    calls: int = 0
