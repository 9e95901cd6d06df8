"""How long the bytes of messages are kept, and that nothing stays which nobody names.

Who stores a part first notes that it is wanted, and holds it in the transaction that names it
(:func:`cgcore.storage.outbox_bytes.hold`). Here only what nobody has wanted for a day is let go of, after the look,
under the lock of its row, that nothing names it. So a part is there whenever a message or a draft is.

Apart from :mod:`cgcore.storage.outbox_bytes`: only the housekeeping comes here.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import timedelta

from sqlmodel import Session, col, delete, func, or_, select, update

from cgcore.outbox.states import CopyState, State
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_saved import purge_saved
from cgcore.storage.outbox_tables import OutboundBlobRow, OutboundChunkRow, OutboundMessageRow, SavedDocumentRow

__all__ = ["UNWANTED_FOR", "OutboxRetention"]

UNWANTED_FOR = timedelta(days=1)
"""How long a part stays that nothing names: whoever is storing it has to be ready by then."""

_AT_ONCE = 20
_DONE = (State.SENT.value, State.FAILED.value)


class OutboxRetention:
    """Lets go of bytes; the rows of messages stay for ever."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def release(self, kept_for: timedelta) -> int:
        """Let messages go of their bytes that were decided ``kept_for`` ago (zero: never); return how many.

        One that was cancelled keeps them for a day. What waits, is held or is unsure keeps them as long as it is so,
        and so does one whose copy is still to be filed.
        """
        row = OutboundMessageRow
        with self._database.session() as session:
            now = database_now(session)
            old = [(col(row.state) == State.CANCELLED.value) & (col(row.changed) < now - UNWANTED_FOR)]
            if kept_for:
                filed = col(row.copy_state) != CopyState.PENDING.value
                old.append(col(row.state).in_(_DONE) & filed & (col(row.changed) < now - kept_for))
            gone = update(row).where(col(row.bytes_removed).is_(None), or_(*old))
            return session.exec(gone.values(parts=[], bytes_removed=now)).rowcount

    def sweep(self) -> int:
        """Remove the parts that nothing names and nobody has wanted for a day; return how many.

        Before that, documents that were put aside and deleted a day ago are forgotten.
        """
        with self._database.session() as session:
            purge_saved(session)
        count, after = 0, ""
        while found := self._find_unnamed(after):
            with self._database.session() as session:
                count += _remove(session, found)
            after = found[-1]
        return count

    def _find_unnamed(self, after: str) -> Sequence[str]:
        row = OutboundBlobRow
        with self._database.read() as session:
            old = database_now(session) - UNWANTED_FOR
            wanted = select(row.blob).where(col(row.touched) < old, row.blob > after)
            for named in _named(session):
                wanted = wanted.where(col(row.blob).not_in(named))
            return session.exec(wanted.order_by(row.blob).limit(_AT_ONCE)).all()


def _remove(session: Session, blobs: Sequence[str]) -> int:
    """Remove those of ``blobs`` that are still wanted by nobody; what somebody is naming now is passed over."""
    row = OutboundBlobRow
    old = database_now(session) - UNWANTED_FOR
    mine = select(row.blob).where(col(row.blob).in_(blobs), col(row.touched) < old)
    locked = session.exec(mine.with_for_update(skip_locked=True)).all()
    unnamed = frozenset(locked) - _find_named(session, locked)
    session.exec(delete(OutboundChunkRow).where(col(OutboundChunkRow.blob).in_(unnamed)))
    session.exec(delete(row).where(col(row.blob).in_(unnamed)))
    return len(unnamed)


def _find_named(session: Session, blobs: Sequence[str]) -> Set[str]:
    return frozenset(
        blob
        for named in _named(session)
        for blob in session.scalars(named.where(named.selected_columns[0].in_(blobs))).all()
    )


def _named(session: Session):
    """Return the selects that find every part which messages and documents put aside name."""
    each = func.json_each if session.get_bind().dialect.name == "sqlite" else func.json_array_elements_text
    for row in (OutboundMessageRow, SavedDocumentRow):
        value = each(row.parts).table_valued("value", joins_implicitly=True)
        yield select(value.c.value).select_from(row, value)
