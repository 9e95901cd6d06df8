"""Users, their log-ins, and what guards them."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["GrantRow", "LoginSessionRow", "OneTimeCodeRow", "ThrottleRow", "UserRow"]


class UserRow(Row, table=True):
    """A person who logs in. ``username_key`` is the case-folded name, and unique."""

    id: int | None = Field(default=None, primary_key=True)
    username: str
    username_key: str = Field(unique=True, index=True)
    full_name: str = ""
    mail: str = ""
    role: str = "user"
    password_hash: str = ""
    locale: str = "es"
    active: bool = True
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    version: int = 1


class LoginSessionRow(Row, table=True):
    """One log-in of one browser; the cookie's token is stored only as its SHA-256 (hex)."""

    token_hash: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    created: datetime = Field(sa_type=UtcDateTime)
    last_seen: datetime = Field(sa_type=UtcDateTime)
    expires: datetime = Field(sa_type=UtcDateTime)
    revoked: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ip: str = ""
    user_agent: str = ""


class ThrottleRow(Row, table=True):
    """Failures of one account or one source, and when it may try again."""

    key: str = Field(primary_key=True)
    failures: int = 0
    last_failure: datetime = Field(sa_type=UtcDateTime)
    next_allowed: datetime = Field(sa_type=UtcDateTime)


class OneTimeCodeRow(Row, table=True):
    """A code that works once: first use, password reset, pairing. Only its SHA-256 (hex) is stored."""

    code_hash: str = Field(primary_key=True)
    purpose: str = Field(index=True)
    user_id: int | None = Field(default=None, foreign_key="user.id", ondelete="CASCADE")
    created: datetime = Field(sa_type=UtcDateTime)
    expires: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GrantRow(Row, table=True):
    """The right to do one action once, given after the password was asked again."""

    id: str = Field(primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    session_hash: str
    action: str
    expires: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(default=None, sa_type=UtcDateTime)
