"""The tables of OAuth2. Apart from the others: their words are those of the protocol.

No token, secret or code stands in them: refresh tokens and client secrets are in the vault, access tokens in memory.
What an attempt needs until its end (``sealed``) is encrypted with a key of the vault's; with its end it is emptied.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary
from sqlmodel import Field

from cgcore.storage.tables import Row, UtcDateTime

__all__ = ["OauthAttemptRow", "OauthClientRow", "OauthGrantRow"]


class OauthClientRow(Row, table=True):
    """The client that an administrator has registered with a provider; its secret is in the vault."""

    provider: str = Field(primary_key=True)
    client_id: str
    tenant: str = ""
    issuer: str = ""
    name: str = ""
    domains: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    scope: str = ""
    secret_ends: date | None = None
    public: bool = False
    codes: bool = False
    version: int = 1
    updated: datetime = Field(sa_type=UtcDateTime)


class OauthAttemptRow(Row, table=True):
    """One way to the provider and back, under the SHA-256 (hex) of its state; valid for minutes, and once.

    ``session_hash`` is the log-in that began it. ``hosts`` are the servers that the token will be for. ``used`` is set
    once, by the callback that may exchange the code. ``state``, ``key`` and ``facts`` say how it stands.

    One by a code that is typed at the provider has ``expires``, and ``due``: from when it may be asked for again, every
    ``interval_s`` seconds. Whoever asks moves that ahead first, so that nobody else does.
    """

    state_digest: str = Field(primary_key=True)
    provider: str
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    session_hash: str
    mailbox: str
    hosts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    redirect_uri: str = ""
    made: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires: datetime | None = Field(default=None, sa_type=UtcDateTime)
    due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    interval_s: int = 0
    state: str = "open"
    key: str = ""
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class OauthGrantRow(Row, table=True):
    """What a user has allowed us at a provider: whose mailbox, which scopes, since when, and whether it still holds.

    ``subject`` names the account at the provider for good (``sub``; ``oid`` and ``tid``), ``address`` is what it was
    called then, ``mailbox`` the user name that it signs in for. ``fence`` grows with each refresh token that is kept:
    who waited knows by it that there is a new one. ``owner`` renews it now, until ``lease_until`` at the latest.
    """

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    provider: str
    client_id: str
    subject: str
    address: str
    mailbox: str
    hosts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    scopes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    obtained: datetime = Field(sa_type=UtcDateTime)
    refreshed: datetime = Field(sa_type=UtcDateTime)
    ends: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state: str = "connected"
    key: str = ""
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    fence: int = 1
    owner: str = ""
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
