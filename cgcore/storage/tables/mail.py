"""The mail account, the stored outputs of its probes, and what was sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, LargeBinary
from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["MailAccountRow", "OutboundMessageRow", "ProbeRunRow"]


class MailAccountRow(Row, table=True):
    """Every field of «Cuenta mail» but the password, which lives in the vault."""

    user_id: int = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    user: str = ""
    smtp_host: str = ""
    smtp_port: int | None = None
    smtp_security: str = "starttls"
    imap_host: str = ""
    imap_port: int | None = None
    imap_security: str = "ssl"
    imap_pin: str = ""
    read_receipt: bool = False
    sent_folder: str = ""
    password_set: bool = False
    # A keyed digest that tells whether a typed password is the stored one; the key is not in the database.
    password_mark: str = ""
    version: int = 1
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class ProbeRunRow(Row, table=True):
    """One run of one cell: its steps as they were stored, and its verdict once there is one."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    cell: str = Field(index=True)
    number: int = 1
    fingerprint: str
    steps: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    verdict: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    started: datetime = Field(sa_type=UtcDateTime)
    finished: datetime | None = Field(default=None, sa_type=UtcDateTime)
    duration_ms: int = 0


class OutboundMessageRow(Row, table=True):
    """A message that was handed to a mail server, or is about to be. ``state``: queued, sent, failed, unknown."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    idempotency_key: str = Field(unique=True, index=True)
    kind: str = "test"
    recipient: str = ""
    subject: str = ""
    state: str = "queued"
    raw: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    attempts: int = 0
    queue_id: str = ""
    sent_copy_state: str = ""
    created: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
