"""The append-only trail, and the vault's shared records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field

from cgcore.clock import utc_now
from cgcore.storage.tables.base import Row, UtcDateTime

__all__ = ["ActivityRow", "VaultRecordRow"]


class ActivityRow(Row, table=True):
    """One line of the trail. ``actor_name`` is kept as it was then; ``detail`` never holds a secret.

    Both indexes end in ``id``, the order of the page, so that a first page reads only its own rows. Triggers of the
    database keep it append-only (migration 0001): no repository has an update or a delete, and neither has a mistake.
    """

    __table_args__ = (
        Index("ix_activity_actor_id_id", "actor_id", "id"),
        Index("ix_activity_action_id", "action", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    actor_id: int | None = None
    actor_name: str = ""
    action: str
    object: str = ""
    result: str = "ok"
    ip: str = ""
    key_id: str = ""
    detail: str = ""


class VaultRecordRow(Row, table=True):
    """One encrypted record of the vault, where replicas share them (PostgreSQL). ``name`` is a SHA-256 (hex)."""

    name: str = Field(primary_key=True)
    record: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
