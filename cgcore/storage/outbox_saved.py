"""Documents that people have put aside, in the database; all in the caller's transaction.

Apart from its use case: queries stand in this package only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, func, select, update

from cgcore.outbox.saved import SavedDocument, SavedFields, SavedFile
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_tables import SavedDocumentRow

__all__ = ["UNDONE_FOR", "count_saved", "find_saved", "list_saved", "mark_deleted", "purge_saved", "put_saved"]

UNDONE_FOR = timedelta(days=1)
"""How long a deleted one can be taken back."""

_Row = SavedDocumentRow


def put_saved(session: Session, name: str, user_id: int, fields: SavedFields, files: Sequence[SavedFile]) -> datetime:
    """Store a document under a new name; return when that was."""
    now = database_now(session)
    row = _Row(
        id=name,
        user_id=user_id,
        saved=now,
        fields=asdict(fields),
        files=[{"name": each.name, "type": each.media_type, "size": each.size} for each in files],
        parts=[each.blob for each in files],
    )
    session.add(row)
    session.flush()
    return now


def find_saved(session: Session, user_id: int, name: str) -> SavedDocument | None:
    """Return a document of this user that is not deleted."""
    row = session.get(_Row, name)
    return _to_saved(row) if row is not None and row.user_id == user_id and row.deleted is None else None


def list_saved(session: Session, user_id: int, *, before: str = "", limit: int) -> Sequence[SavedDocument]:
    """Return a user's documents, the newest first; those before ``before`` only."""
    wanted = select(_Row).where(_Row.user_id == user_id, col(_Row.deleted).is_(None))
    if before:
        wanted = wanted.where(_Row.id < before)
    return [_to_saved(row) for row in session.exec(wanted.order_by(col(_Row.id).desc()).limit(limit)).all()]


def count_saved(session: Session, user_id: int) -> int:
    """Return how many documents a user has put aside."""
    return session.exec(select(func.count()).where(_Row.user_id == user_id, col(_Row.deleted).is_(None))).one()


def mark_deleted(session: Session, user_id: int, name: str, *, deleted: bool) -> bool:
    """Delete a document of this user, or take that back; return whether it was there."""
    mine = update(_Row).where(col(_Row.id) == name, col(_Row.user_id) == user_id)
    if deleted:
        mine = mine.where(col(_Row.deleted).is_(None))
    return session.exec(mine.values(deleted=database_now(session) if deleted else None)).rowcount == 1


def purge_saved(session: Session) -> int:
    """Forget what was deleted a day ago."""
    old = database_now(session) - UNDONE_FOR
    return session.exec(delete(_Row).where(col(_Row.deleted) < old)).rowcount


def _to_saved(row: SavedDocumentRow) -> SavedDocument:
    files = [
        SavedFile(str(each["name"]), str(each["type"]), int(each["size"]), blob)
        for each, blob in zip(row.files, row.parts, strict=True)
    ]
    return SavedDocument(row.id, row.user_id, row.saved, SavedFields(**row.fields), files)
