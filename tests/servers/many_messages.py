"""Many messages like one that was handed in, in one transaction: rendering each would be most of a test's time."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlmodel import Session, col, select

from cgcore.storage.database import Database
from cgcore.storage.outbox_tables import (
    OutboundBlobRow,
    OutboundChunkRow,
    OutboundMessageRow,
    OutboundRecipientRow,
)

__all__ = ["multiply"]


def multiply(database: Database, name: str, times: int, *, address: str = "c{number}@example.com") -> None:
    """Make of one waiting message ``times``: each has a Message-ID and bytes of its own, and its own ``address``."""
    with database.session() as session:
        row = session.exec(select(OutboundMessageRow).where(OutboundMessageRow.id == name)).one()
        raw = b"".join(_chunk(session, blob) for blob in row.parts)
        for number in range(1, times):
            _add(session, row, raw, number)
            session.flush()
            to = address.format(number=number)
            session.add(OutboundRecipientRow(message_id=_name(row, number), place=0, address=to, kind="to"))


def _chunk(session: Session, blob: str) -> bytes:
    chunk = OutboundChunkRow
    return b"".join(session.exec(select(chunk.data).where(chunk.blob == blob).order_by(col(chunk.place))).all())


def _name(row: OutboundMessageRow, number: int) -> str:
    return f"{row.id[:26]}{number:06x}"


def _add(session: Session, row: OutboundMessageRow, raw: bytes, number: int) -> None:
    name = _name(row, number)
    message_id = f"<{number:06x}{row.message_id[7:]}"
    assert raw.count(row.message_id.encode()) == 1
    own = raw.replace(row.message_id.encode(), message_id.encode()).replace(row.id.encode(), name.encode())
    blob = hashlib.sha256(own).hexdigest()
    values: dict[str, Any] = row.model_dump() | {"id": name, "idempotency_key": f"more-{number}", "parts": [blob]}
    values |= {"message_id": message_id, "sha256": blob, "size": len(own), "number": f"{number}"}
    session.add(OutboundBlobRow(blob=blob, touched=row.created, whole=True))
    session.add(OutboundChunkRow(blob=blob, place=0, data=own))
    session.add(OutboundMessageRow(**values))
