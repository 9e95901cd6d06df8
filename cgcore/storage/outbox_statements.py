"""The statements between two messages, each made once: making one anew costs more than the database takes for it.

While a worker stores a result the next message is on its way in another thread, and both share one interpreter: so the
statements that every message needs stand here, with places for their values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, insert, select, update
from sqlmodel import Session

from cgcore.outbox.message import Claimed, Recipient
from cgcore.storage.outbox_tables import (
    OutboundAttemptRow,
    OutboundChunkRow,
    OutboundRecipientRow,
    OutboxAccountRow,
    metadata,
)

__all__ = ["add_attempt", "has_to_follow", "keep_recipients", "read_pieces"]


def add_attempt(session: Session, values: Mapping[str, Any]) -> None:
    """Store a try, as its row."""
    session.connection().execute(_attempt(), values)


def keep_recipients(session: Session, claimed: Claimed, recipients: Sequence[Recipient]) -> None:
    """Store what was said of each recipient, in the order of the message; of who had it before nothing was."""
    told = [
        {
            "at_name": claimed.id,
            "at_place": place,
            "new_state": each.state.value,
            "new_code": each.code,
            "new_key": each.key,
            "new_reply": each.reply,
        }
        for place, (before, each) in enumerate(zip(claimed.recipients, recipients, strict=True))
        if not before.has_it
    ]
    if told:
        session.connection().execute(_recipients(), told if len(told) > 1 else told[0])


def has_to_follow(session: Session, user_id: int) -> bool:
    """Return whether messages of an account wait for one that went ahead of them."""
    return session.connection().execute(_following(), {"user": user_id}).first() is not None


def read_pieces(session: Session, parts: Collection[str]) -> dict[str, list[bytes]]:
    """Return the pieces of some small parts, by the name of the part, in their order."""
    found: dict[str, list[bytes]] = {}
    for row in session.connection().execute(_pieces(), {"blobs": list(parts)}).mappings():
        found.setdefault(row["blob"], []).append(row["data"])
    return found


def _table(row: type[Any]) -> Table:
    return metadata.tables[str(row.__tablename__)]


@cache
def _attempt() -> Any:
    return insert(_table(OutboundAttemptRow)).inline()


@cache
def _recipients() -> Any:
    table = _table(OutboundRecipientRow)
    told: dict[str, Any] = {name: bindparam(f"new_{name}") for name in ("state", "code", "key", "reply")}
    return (
        update(table)
        .where(table.c.message_id == bindparam("at_name"), table.c.place == bindparam("at_place"))
        .values(**told)
    )


@cache
def _following() -> Any:
    table = _table(OutboxAccountRow)
    waits = table.c.feeler.is_(True) | (table.c.rests > 0)
    return select(table.c.user_id).where(table.c.user_id == bindparam("user"), table.c.paused.is_(False), waits)


@cache
def _pieces() -> Any:
    table = _table(OutboundChunkRow)
    wanted = select(table.c.blob, table.c.data).where(table.c.blob.in_(bindparam("blobs", expanding=True)))
    return wanted.order_by(table.c.blob, table.c.place)
