"""Documents that people put aside and go on with: several, with their files, each for its owner alone.

Apart from :mod:`cgcore.workbench.outbox.section`: nothing of this is on its way to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.message import new_message_name
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.saved import SavedDocument, SavedFields, SavedFile
from cgcore.storage import outbox_saved as store
from cgcore.storage.outbox_bytes import OutboxBytes, hold
from cgcore.text_rules import is_storable

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["MOST_SAVED", "SavedSection"]

MOST_SAVED = 200
_LONGEST = 4_000_000  # characters of all its texts: pictures are in the body
_MOST_LISTED = 100


class SavedSection:
    """The documents put aside of one installation; each person sees their own."""

    def __init__(self, context: Context) -> None:
        self._context, self._bytes = context, OutboxBytes(context.database)

    def save(
        self, actor: Actor, fields: SavedFields, files: Sequence[Attachment], *, replaces: str = ""
    ) -> SavedDocument:
        """Put a document aside, in place of the one that it was made of; return it under its new name.

        What another tab has saved meanwhile stays beside it: nothing is written over. Raises :class:`InvalidInput`,
        and :class:`OutboxRefused` (``too_many_saved``).
        """
        problems = list(_problems(fields, files))
        if problems:
            raise InvalidInput(*problems)
        blobs = self._bytes.put_all([lambda each=each: [each.data] for each in files])
        kept = [
            SavedFile(each.filename, each.media_type, len(each.data), blob)
            for each, blob in zip(files, blobs, strict=True)
        ]
        name = new_message_name(self._context.clock())
        with self._context.write_as(actor) as (session, actor):
            store.mark_deleted(session, actor.user_id, replaces, deleted=True)
            if store.count_saved(session, actor.user_id) >= MOST_SAVED:
                raise OutboxRefused("too many are put aside", code="too_many_saved")
            if not hold(session, blobs):
                raise OutboxRefused("the storing took too long", code="still_storing")
            saved = store.put_saved(session, name, actor.user_id, fields, kept)
        return SavedDocument(name, actor.user_id, saved, fields, kept)

    def list(self, actor: Actor, *, cursor: str = "", limit: int = 20) -> tuple[Sequence[SavedDocument], str]:
        """Return a page of documents, the newest first, and where the next one begins (``""``: nowhere)."""
        limit = max(1, min(limit, _MOST_LISTED))
        with self._context.read_as(actor) as (session, actor):
            found = store.list_saved(session, actor.user_id, before=cursor, limit=limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else ""

    def get(self, actor: Actor, name: str) -> SavedDocument:
        """Return a document. Raises :class:`NotFound`."""
        with self._context.read_as(actor) as (session, actor):
            found = store.find_saved(session, actor.user_id, name)
        if found is None:
            raise NotFound("no such document")
        return found

    def read_files(self, actor: Actor, name: str) -> Sequence[Attachment]:
        """Return the files of a document with their bytes. Raises :class:`NotFound`."""
        return [
            Attachment(each.name, each.media_type, self._bytes.read_whole([each.blob]))
            for each in self.get(actor, name).files
        ]

    def delete(self, actor: Actor, name: str) -> None:
        """Delete a document; for a day it can be taken back. Raises :class:`NotFound`."""
        self._mark(actor, name, deleted=True)

    def take_back(self, actor: Actor, name: str) -> None:
        """Take the deletion of a document back. Raises :class:`NotFound` once it is forgotten."""
        self._mark(actor, name, deleted=False)

    def _mark(self, actor: Actor, name: str, *, deleted: bool) -> None:
        with self._context.write_as(actor) as (session, actor):
            done = store.mark_deleted(session, actor.user_id, name, deleted=deleted)
        if not done:
            raise NotFound("no such document")


def _problems(fields: SavedFields, files: Sequence[Attachment]) -> Iterator[FieldProblem]:
    """Yield what cannot be stored; whether it could be sent is asked when it is."""
    lines = {"series": fields.series, **fields.texts, "subject": fields.subject or "", "body": fields.body or ""}
    for name, text in lines.items():
        if not is_storable(text):
            yield FieldProblem.of("cgcore.workbench", name, "line_break")
    if sum(map(len, lines.values())) > _LONGEST:
        yield FieldProblem.of("cgcore.workbench", "body", "too_long_text", limit=_LONGEST)
    if fields.document_type not in set(DocumentType):
        yield FieldProblem.of("cgcore.workbench", "type", "unknown_type", name=fields.document_type[:60])
    if any(not is_storable(each.filename) for each in files):
        yield FieldProblem.of("cgcore.workbench", "attachments", "line_break")
