"""The bytes of messages, as pieces under the SHA-256 of their part: written once, read piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, func, select

from cgcore.storage.database import Database
from cgcore.storage.outbox_tables import OutboundChunkRow

__all__ = ["CHUNK_BYTES", "OutboxBytes"]

CHUNK_BYTES = 256 * 1024
_PER_COMMIT = 16  # 4 MB: other writers get their turn in between
_AT_ONCE = 4  # pieces of a message that are read in one question: most invoices have three


class OutboxBytes:
    """Stores parts and reads them again. The pieces of a part are whole, or the part is written again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, pieces: Callable[[], Iterable[bytes]]) -> tuple[str, int]:
        """Store a part; return its name (SHA-256, hex) and its size. ``pieces`` is called twice and gives the same.

        What is there already is not written again, so it costs the reading of its names.
        """
        blob, size = _name(pieces)
        if self._count(blob) != -(-size // CHUNK_BYTES):
            self._write([(blob, pieces)])
        return blob, size

    def put_all(self, parts: Sequence[Callable[[], Iterable[bytes]]]) -> Sequence[str]:
        """Store the parts of a message, small ones in one transaction; return their names in their order."""
        named = [(*_name(pieces), pieces) for pieces in parts]
        sizes = {blob: -(-size // CHUNK_BYTES) for blob, size, _ in named}
        there = self._count_all(list(sizes))
        missing = {blob: pieces for blob, _, pieces in named if there.get(blob, 0) != sizes[blob]}
        if missing:
            self._write(missing.items())
        return [blob for blob, _, _ in named]

    def read(self, parts: Sequence[str]) -> Iterator[bytes]:
        """Yield the bytes of ``parts``, one after the other, in pieces of at most :data:`CHUNK_BYTES`."""
        counts = self._count_all(list(dict.fromkeys(parts)))
        if sum(counts.values()) <= _AT_ONCE:
            yield from self._read_all(parts, counts)
            return
        for blob in parts:
            for place in range(counts.get(blob, 0)):
                with self._database.read() as session:
                    wanted = select(OutboundChunkRow.data).where(
                        OutboundChunkRow.blob == blob, OutboundChunkRow.place == place
                    )
                    data = session.exec(wanted).one()
                yield data

    def _read_all(self, parts: Sequence[str], counts: Mapping[str, int]) -> Iterator[bytes]:
        chunk = OutboundChunkRow
        with self._database.read() as session:
            wanted = select(chunk.blob, chunk.place, chunk.data).where(col(chunk.blob).in_(set(parts)))
            found = {(blob, place): data for blob, place, data in session.exec(wanted)}
        for blob in parts:
            for place in range(counts.get(blob, 0)):
                yield found.get((blob, place), b"")  # a hole is found out by the digest

    def _count(self, blob: str) -> int:
        with self._database.read() as session:
            wanted = select(OutboundChunkRow.place).where(OutboundChunkRow.blob == blob)
            last = session.exec(wanted.order_by(col(OutboundChunkRow.place).desc()).limit(1)).first()
        return 0 if last is None else last + 1

    def _count_all(self, blobs: Sequence[str]) -> dict[str, int]:
        with self._database.read() as session:
            counted = select(OutboundChunkRow.blob, func.count()).where(col(OutboundChunkRow.blob).in_(blobs))
            return dict(session.exec(counted.group_by(col(OutboundChunkRow.blob))).all())

    def _write(self, parts: Iterable[tuple[str, Callable[[], Iterable[bytes]]]]) -> None:
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        waiting: list[dict[str, object]] = []
        for blob, pieces in parts:
            for place, data in enumerate(_chunks(pieces())):
                waiting.append({"blob": blob, "place": place, "data": data})
                if len(waiting) == _PER_COMMIT:
                    self._commit(insert, waiting)
                    waiting = []
        if waiting:
            self._commit(insert, waiting)

    def _commit(self, insert: Callable[..., postgresql.Insert | sqlite.Insert], rows: list[dict[str, object]]) -> None:
        with self._database.session() as session:
            for row in rows:
                # Two requests may bring the same file at once; what is there is the same bytes by their name.
                session.connection().execute(insert(OutboundChunkRow).values(**row).on_conflict_do_nothing())


def _name(pieces: Callable[[], Iterable[bytes]]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces():
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
