"""What every table shares: UTC timestamps that stay UTC on both databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

__all__ = ["Row", "UtcDateTime"]


class Row(SQLModel):
    """The base of every table: ``MailAccountRow`` is kept in the table ``mail_account``."""

    @declared_attr  # type: ignore[arg-type]
    def __tablename__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        words = re.findall(r"[A-Z][a-z0-9]*", cls.__name__.removesuffix("Row"))
        return "_".join(word.lower() for word in words)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is put back on reading; a naive value is refused on writing."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
