"""One change of the house at a time: read, judge and write without somebody else in between."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

__all__ = ["take_change_lock"]

_LOCK_ID = 0x6367_6164  # any constant, not the one of the migrations


def take_change_lock(session: Session) -> None:
    """Make this transaction the only one that changes company, series or users until it ends.

    On SQLite a writing session is alone from its start; PostgreSQL is asked for a lock of that meaning.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
