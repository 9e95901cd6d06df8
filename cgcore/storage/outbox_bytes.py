"""The bytes of messages, as pieces under the SHA-256 of their part: written once, read piece by piece."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, func, select, update

from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now
from cgcore.storage.outbox_statements import read_pieces
from cgcore.storage.outbox_tables import OutboundBlobRow, OutboundChunkRow

__all__ = ["CHUNK_BYTES", "OutboxBytes", "hold"]

CHUNK_BYTES = 256 * 1024
_ASKED = 400  # values in one question
_PER_COMMIT = 4  # 1 MB: other writers get their turn in between
_AT_ONCE = 4  # pieces of a message that are read in one question: most invoices have three


class OutboxBytes:
    """Stores parts and reads them again. The pieces of a part are whole, or the part is written again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, pieces: Callable[[], Iterable[bytes]]) -> tuple[str, int]:
        """Store a part; return its name (SHA-256, hex) and its size. ``pieces`` is called again and gives the same."""
        (found,) = self._put([pieces])
        return found

    def put_all(self, parts: Sequence[Callable[[], Iterable[bytes]]]) -> Sequence[str]:
        """Store the parts of a message, small ones in one transaction; return their names in their order.

        What is there already is not written again. It stays for a day, whoever else lets go of it: by then it has to
        be named by what is kept (:func:`hold`).
        """
        return [blob for blob, _ in self._put(parts)]

    def read(self, parts: Sequence[str]) -> Iterator[bytes]:
        """Yield the bytes of ``parts``, one after the other, in pieces of at most :data:`CHUNK_BYTES`."""
        counts = self._count_all(list(dict.fromkeys(parts)))
        if sum(counts.values()) <= _AT_ONCE:
            yield from self.read_at_once(parts)
            return
        for blob in parts:
            for place in range(counts.get(blob, 0)):
                with self._database.read() as session:
                    wanted = select(OutboundChunkRow.data).where(
                        OutboundChunkRow.blob == blob, OutboundChunkRow.place == place
                    )
                    data = session.exec(wanted).one()
                yield data

    def read_whole(self, parts: Sequence[str]) -> bytes:
        """Return the bytes of ``parts``, which are in memory once on the way."""
        whole = io.BytesIO()
        whole.writelines(self.read(parts))
        return whole.getvalue()

    def read_at_once(self, parts: Sequence[str]) -> Sequence[bytes]:
        """Return the bytes of a message that is known to be small; a hole in them is found out by the digest."""
        with self._database.read() as session:
            found = read_pieces(session, dict.fromkeys(parts))
        return [piece for blob in parts for piece in found.get(blob, ())]

    def _count_all(self, blobs: Sequence[str]) -> dict[str, int]:
        with self._database.read() as session:
            counted = select(OutboundChunkRow.blob, func.count()).where(col(OutboundChunkRow.blob).in_(blobs))
            return dict(session.exec(counted.group_by(col(OutboundChunkRow.blob))).all())

    def _put(self, parts: Sequence[Callable[[], Iterable[bytes]]]) -> Sequence[tuple[str, int]]:
        named = [(*_name(pieces), pieces) for pieces in parts]
        wanted = {blob: pieces for blob, _, pieces in named}
        there = self._find_whole(wanted)
        gone = self._write({blob: pieces for blob, pieces in wanted.items() if blob not in there}, there)
        if gone:
            # Let go of between the look and the write.
            self._write({blob: wanted[blob] for blob in gone}, ())
        return [(blob, size) for blob, size, _ in named]

    def _find_whole(self, blobs: Iterable[str]) -> Sequence[str]:
        with self._database.read() as session:
            row = OutboundBlobRow
            return session.exec(select(row.blob).where(col(row.blob).in_(list(blobs)), col(row.whole))).all()

    def _write(self, parts: Mapping[str, Callable[[], Iterable[bytes]]], there: Sequence[str]) -> Set[str]:
        """Write ``parts``, and note that the ones that are ``there`` are wanted; return those that are not any more."""
        gone: set[str] = set()
        waiting: list[dict[str, object]] = []
        begun, there = list(parts), list(there)
        for blob, pieces in parts.items():
            for place, data in enumerate(_chunks(pieces())):
                waiting.append({"blob": blob, "place": place, "data": data})
                if len(waiting) == _PER_COMMIT:
                    gone |= self._commit(begun, there, waiting)
                    begun, there, waiting = [], [], []
        with self._database.session() as session:
            gone |= _begin(session, begun, there)
            self._insert(session, waiting)
            if parts:
                now = {"touched": database_now(session), "whole": True}
                session.exec(update(OutboundBlobRow).where(col(OutboundBlobRow.blob).in_(list(parts))).values(**now))
        return gone

    def _commit(self, begun: Sequence[str], there: Sequence[str], rows: Sequence[dict[str, object]]) -> Set[str]:
        with self._database.session() as session:
            gone = _begin(session, begun, there)
            self._insert(session, rows)
        return gone

    def _insert(self, session: Session, rows: Sequence[dict[str, object]]) -> None:
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        for row in rows:
            # Two requests may bring the same file at once; what is there is the same bytes by their name.
            session.connection().execute(insert(OutboundChunkRow).values(**row).on_conflict_do_nothing())


def hold(session: Session, blobs: Iterable[str]) -> bool:
    """Keep stored parts until the caller's transaction, which names them somewhere, has ended; False: some are gone.

    Without it they may be let go of between the storing and the naming.
    """
    wanted = sorted(set(blobs))
    found = 0
    for start in range(0, len(wanted), _ASKED):
        some = col(OutboundBlobRow.blob).in_(wanted[start : start + _ASKED])
        found += len(session.exec(select(OutboundBlobRow.blob).where(some).with_for_update(read=True)).all())
    return found == len(wanted)


def _begin(session: Session, begun: Sequence[str], there: Sequence[str]) -> Set[str]:
    """Note that parts are being written, or wanted; from then on nobody lets go of them for a day."""
    now = database_now(session)
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for blob in sorted(begun):
        made = insert(OutboundBlobRow).values(blob=blob, touched=now, whole=False)
        session.connection().execute(made.on_conflict_do_update(index_elements=["blob"], set_={"touched": now}))
    if not there:
        return frozenset()
    noted = update(OutboundBlobRow).where(col(OutboundBlobRow.blob).in_(there), col(OutboundBlobRow.whole))
    kept = session.exec(noted.values(touched=now).returning(col(OutboundBlobRow.blob))).scalars().all()
    return frozenset(there) - frozenset(kept)


def _name(pieces: Callable[[], Iterable[bytes]]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces():
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), CHUNK_BYTES):  # a piece may be a whole file
            held += view[start : start + CHUNK_BYTES]
            if len(held) >= CHUNK_BYTES:
                yield bytes(held[:CHUNK_BYTES])
                del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
