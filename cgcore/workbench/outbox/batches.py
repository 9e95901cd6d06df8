"""«Varios»: a sheet and files become a plan, the plan a batch of messages; nothing leaves before all of it is stored.

Apart from :mod:`cgcore.workbench.outbox.section`, which knows one document: the storing of many takes its time, in a
thread that no tab can stop.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cgcore.activity import Action
from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.errors import CloudGestionError, FieldProblem, InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.batch import INTERRUPTED, Batch, BatchEntry, BatchLine, BatchPlan, BatchState, Before, Selection
from cgcore.outbox.matching import join_key, match_files, part_name
from cgcore.outbox.message import MessageFilters, NewMessage, new_message_name
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.rows import DocumentRow, HouseSeries, find_columns, list_headings, read_rows
from cgcore.outbox.sheet import Sheet, write_sheet
from cgcore.outbox.states import CopyState, Kind, State
from cgcore.process import has_ended, new_owner
from cgcore.series.defaults import effective_default
from cgcore.series.guards import allows
from cgcore.storage import outbox_batches, series
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_bytes import hold
from cgcore.workbench.outbox.compose import DocumentRequest, check_request, document_values, request_hash

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context
    from cgcore.workbench.outbox.section import OutboxSection

__all__ = ["BatchProgress", "BatchSection"]

_log = logging.getLogger(__name__)

_MOST_SERIES = 2000
_MOST_LISTED = 20
_CLOSE_S = 6.0
_TELLING = 5  # accepted ones that tell a pace
_WORTH_TELLING_S = 60
_MOVING = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT)
_EMPTY = Sheet((), ())


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a batch is: ``stored`` of its messages while it is being stored, then how many stand in each state.

    ``ends`` is when the last one will have left, at the pace so far; ``None`` where that cannot be told. ``returned``
    are those of the sent ones that came back, ``copies`` how the copies of the others stand, and ``filing`` how many
    of those are about to be filed for the first time.
    """

    batch: Batch
    stored: int
    counts: Mapping[State, int]
    ends: datetime | None = None
    returned: int = 0
    copies: Mapping[CopyState, int] = field(default_factory=dict[CopyState, int])
    filing: int = 0

    @property
    def is_moving(self) -> bool:
        """Whether something of it changes by itself."""
        moving = any(self.counts.get(state) for state in _MOVING)
        return self.batch.state is BatchState.STORING or moving or self.filing > 0


class BatchSection:
    """The batches of one installation; each person sees their own."""

    def __init__(self, context: Context, *, outbox: OutboxSection) -> None:
        self._context, self._outbox = context, outbox
        self._store = OutboxStore(context.database)
        self._owner = new_owner()
        self._stored: dict[str, int] = {}
        self._threads: list[threading.Thread] = []
        self._closing = False

    def close(self) -> None:
        """Give up what is being stored: nothing of it has left."""
        self._closing = True
        for thread in self._threads:
            thread.join(_CLOSE_S)

    # ---- What is to be sent

    def plan(self, actor: Actor, kind: DocumentType, sheet: Sheet | None, file_names: Sequence[str]) -> BatchPlan:
        """Return how ``sheet`` and the files are understood, with what is wrong with each row and what was sent before.

        Nothing is stored by that.
        """
        with self._context.read_as(actor) as (session, actor):
            house = _house_series(session, actor)
            rows = [_checked(row, house) for row in read_rows(sheet or _EMPTY, kind, house)]
            before = _find_before(session, actor, rows)
        matching = match_files([row.key for row in rows], file_names, house.every_code)
        return BatchPlan(find_columns((sheet or _EMPTY).header), rows, matching, before, file_names)

    def find_before(self, actor: Actor, request: DocumentRequest) -> Before | None:
        """Return how a document was handed in before to one of the same addresses: from this tab, another one, a sheet
        or the API; what was refused or taken back does not count."""
        asked = (request.document_type, request.series, request.number, tuple(request.to))
        return self._context.recall(
            actor,
            ("outbox", "before", *asked),
            lambda session, actor: _find_before(session, actor, [request]).get(0),
        )

    def sheet_for(self, actor: Actor, kind: DocumentType, file_names: Sequence[str]) -> str:
        """Return a sheet with a row for each file, for a person to fill in; its headings are those that are known."""
        with self._context.read_as(actor) as (session, actor):
            codes = _house_series(session, actor).every_code
        parted = [part_name(name.rpartition(".")[0], codes) or ("", "") for name in file_names]
        return write_sheet(list_headings(kind), [[*pair, "", ""] for pair in parted])

    def count_empty(self, actor: Actor, plan: BatchPlan, selection: Selection) -> Mapping[str, int]:
        """Return the variables that are empty where the texts use them, each with the number of rows that go so."""
        rows = [plan.rows[place] for place in selection.going]
        used = {kind: self._outbox.list_used(actor, kind) for kind in {row.document_type for row in rows}}
        return Counter(
            name for row in rows for name in sorted(used[row.document_type]) if not document_values(row).get(name)
        )

    def preview_request(
        self, actor: Actor, row: DocumentRow, file: Attachment | None, delay_s: float = 0.0
    ) -> DocumentRequest:
        """Return the document of a row, with the texts of its template and the copy that the actor's adviser gets."""
        preferences = self._outbox.preferences.get(actor)
        how = preferences.copy_kind(row.document_type.value)
        adviser = (preferences.adviser,)
        return DocumentRequest(
            document_type=row.document_type,
            series=row.series,
            number=row.number,
            to=row.to,
            customer=row.customer,
            cc=(*row.cc, *(adviser if how is Kind.CC else ())),
            bcc=(*row.bcc, *(adviser if how is Kind.BCC else ())),
            variables=row.variables,
            delay_s=delay_s,
            attachments=(file,) if file else (),
        )

    def start(
        self,
        actor: Actor,
        plan: BatchPlan,
        selection: Selection,
        files: Sequence[Attachment],
        *,
        key: str,
        name: str = "",
        delay_s: float = 0.0,
    ) -> Batch:
        """Store what was selected and let it go; return the batch at once, it is stored in a thread.

        Every message is on the disk before the first one leaves; where one cannot be stored, none leaves. The same
        ``key`` is the same batch. ``files`` are those of the plan, in its order.
        """
        requests: list[DocumentRequest] = []
        lines: list[BatchLine] = []
        now = self._context.clock()
        for place, row in enumerate(plan.rows):
            file = selection.going.get(place)
            message = ""
            if place in selection.going:
                # Later names sort behind earlier ones: they leave in the order of the sheet.
                message = new_message_name(now + timedelta(milliseconds=len(requests)))
                requests.append(self.preview_request(actor, row, None if file is None else files[file], delay_s))
            lines.append(_line(row, "" if file is None else plan.file_names[file], message, selection, place))
        batch = Batch(key, actor.user_id, now, BatchState.STORING, name, self._owner, lines)
        with self._context.write_as(actor) as (session, actor):
            is_new = outbox_batches.add_batch(session, batch)
        if is_new:
            self._stored[batch.id] = 0
            thread = threading.Thread(
                target=self._keep, args=(actor, batch, requests), name="outbox-batch", daemon=True
            )
            self._threads = [*(each for each in self._threads if each.is_alive()), thread]
            thread.start()
        return self.get(actor, key).batch

    def wait(self) -> None:
        """Wait for what this process is storing: for tests, and for whoever has no page to look at."""
        for thread in self._threads:
            thread.join()

    # ---- Looking

    def get(self, actor: Actor, name: str) -> BatchProgress:
        """Return a batch and how far it is. Raises :class:`NotFound`."""
        with self._context.read_as(actor) as (session, actor):
            batch = outbox_batches.find_batch(session, actor.user_id, name)
            accepted = outbox_batches.find_pace(session, name) if batch else (0, None, None)
            returned = outbox_batches.count_returned(session, name) if batch else 0
            copies = outbox_batches.count_copies(session, name) if batch else {}
            # Last of all: what was sent meanwhile is told as sent, and never as fewer than those of a special kind.
            counts = outbox_batches.count_batch(session, name) if batch else {}
        if batch is None:
            raise NotFound("no such batch")
        left = sum(counts.get(state, 0) for state in _MOVING)
        ends = self._end(actor, left, *accepted) if left else None
        by_state = {state: copies.get((state, False), 0) + copies.get((state, True), 0) for state in CopyState}
        filing = copies.get((CopyState.PENDING, False), 0)
        return BatchProgress(self._settled(batch), self._stored.get(name, 0), counts, ends, returned, by_state, filing)

    def _end(
        self, actor: Actor, left: int, count: int, first: datetime | None, last: datetime | None
    ) -> datetime | None:
        """Return when the last one leaves: by the pace so far, and never sooner than by that of the provider."""
        least = self._outbox.forecast(actor, []).ends_s
        if count < _TELLING or first is None or last is None:
            return self._context.clock() + timedelta(seconds=least) if least >= _WORTH_TELLING_S else None
        so_far = (last - first) / (count - 1) * left
        return self._context.clock() + max(so_far, timedelta(seconds=least))

    def list(self, actor: Actor) -> Sequence[Batch]:
        """Return the last batches, the newest first."""
        with self._context.read_as(actor) as (session, actor):
            found = outbox_batches.list_batches(session, actor.user_id, _MOST_LISTED)
        return [self._settled(batch) for batch in found]

    def entries(self, actor: Actor, batch: Batch) -> Sequence[BatchEntry]:
        """Return the rows of a batch with their messages as they stand."""
        filters = MessageFilters(batch=batch.id)
        with self._context.read_as(actor) as (session, actor):
            messages = self._store.list(session, actor.user_id, filters, limit=len(batch.lines) + 1)
        by_name = {message.id: message for message in messages}
        return [BatchEntry(line, by_name.get(line.message)) for line in batch.lines]

    # ---- What people change; each returns how many messages that were, and raises NotFound

    def stop(self, actor: Actor, name: str) -> int:
        """Hold what waits; what is on its way ends."""
        return self._change(actor, name, outbox_batches.stop, Action.DOCUMENTS_STOPPED)

    def go_on(self, actor: Actor, name: str) -> int:
        """Let what was stopped go."""
        return self._change(actor, name, outbox_batches.go_on, Action.SENDING_RESUMED)

    def cancel_rest(self, actor: Actor, name: str) -> int:
        """Take back what waits."""
        return self._change(actor, name, outbox_batches.cancel_rest, Action.DOCUMENTS_CANCELLED)

    def retry_failed(self, actor: Actor, name: str) -> int:
        """Send what was refused again, and nothing else."""
        return self._change(actor, name, outbox_batches.retry_failed, Action.DOCUMENTS_RESENT)

    def _change(self, actor: Actor, name: str, change: Callable[[Session, int, str], int], action: Action) -> int:
        with self._context.write_as(actor) as (session, actor):
            batch = outbox_batches.find_batch(session, actor.user_id, name)
            if batch is None:
                raise NotFound("no such batch")
            count = change(session, actor.user_id, name)
            if count:
                self._context.activity.record(actor, action, batch.name, "ok", session=session)
        self._outbox.wake()
        return count

    def _settled(self, batch: Batch) -> Batch:
        """Return a batch whose storing nobody goes on with as the failed one that it is."""
        if batch.state is not BatchState.STORING or batch.id in self._stored:
            return batch
        is_left = batch.owner == self._owner or has_ended(batch.owner, here=self._context.database.is_sqlite)
        return replace(batch, state=BatchState.FAILED, reason=INTERRUPTED) if is_left else batch

    # ---- The thread

    def _keep(self, actor: Actor, batch: Batch, requests: Sequence[DocumentRequest]) -> None:
        line = 0
        try:
            messages: list[NewMessage] = []
            for kept, request in zip(batch.going, requests, strict=True):
                line = kept.line
                if self._closing:
                    return
                digest = request_hash(request)
                messages.append(self._outbox.store(actor, request, kept.message, f"{batch.id}-{line}", digest))
                self._stored[batch.id] = len(messages)
            line = 0
            with self._context.write_as(actor) as (session, present):
                if not outbox_batches.end_batch(session, batch.id, BatchState.READY):
                    return
                if not hold(session, (part for message in messages for part in message.parts)):
                    raise OutboxRefused("the storing took more than a day", code="still_storing")
                outbox_batches.enqueue_all(session, messages, present.user_id, batch.id)
                self._context.activity.record(present, Action.DOCUMENTS_HANDED_IN, batch.name, "ok", session=session)
            self._outbox.wake()
        except Exception as failure:
            self._give_up(batch, _reason(failure, line))
        finally:
            self._stored.pop(batch.id, None)

    def _give_up(self, batch: Batch, reason: Mapping[str, Any]) -> None:
        try:
            with self._context.database.session() as session:
                outbox_batches.end_batch(session, batch.id, BatchState.FAILED, reason)
        except CloudGestionError as failure:
            # It is told as interrupted then.
            _log.warning("a batch could not be ended (%s)", failure.code)


def _reason(failure: Exception, line: int) -> Mapping[str, Any]:
    if isinstance(failure, InvalidInput):
        return {"key": "row", "line": line, "problems": [problem.text.as_json() for problem in failure.problems]}
    if isinstance(failure, CloudGestionError):
        return {"key": failure.code, "line": line}
    _log.error("a batch could not be stored", exc_info=failure)
    return {"key": "own_fault"}


def _line(row: DocumentRow, file: str, message: str, selection: Selection, place: int) -> BatchLine:
    return BatchLine(
        line=row.line,
        document_type=row.document_type.value,
        series=row.series,
        number=row.number,
        customer=row.customer,
        to=tuple(row.to),
        file=file,
        message=message,
        behind=str(selection.behind.get(place, "")),
    )


def _house_series(session: Session, actor: Actor) -> HouseSeries:
    every = series.list_series(session, text="", active=True, after="", limit=_MOST_SERIES)
    company, own = series.load_company_defaults(session), series.load_own_defaults(session, actor.user_id)
    codes: dict[DocumentType, list[str]] = {}
    defaults: dict[DocumentType, str] = {}
    for entry in DOCUMENT_TYPES:
        kind = entry.code
        codes[kind] = [each.code for each in every if each.serves(kind)]
        available = [each.code for each in every if allows(kind, each)]
        defaults[kind] = effective_default(own.get(kind), company.get(kind), available[:2]).code
    return HouseSeries(codes, defaults)


def _checked(row: DocumentRow, house: HouseSeries) -> DocumentRow:
    """Return a row with everything that keeps it from being sent, in words of the sheet."""
    found = [*row.problems, *check_request(_bare_request(row))]
    if row.series and row.series not in house.codes.get(row.document_type, ()):
        found.append(FieldProblem.of("cgcore.workbench", "series", "unknown_series", name=row.series[:60]))
    return replace(row, problems=found)


def _bare_request(row: DocumentRow) -> DocumentRequest:
    return DocumentRequest(
        row.document_type, row.series, row.number, row.to, row.customer, row.cc, row.bcc, variables=row.variables
    )


def _find_before(session: Session, actor: Actor, rows: Sequence[DocumentRow | DocumentRequest]) -> Mapping[int, Before]:
    """Return which rows were handed in before: the same document to one of the same addresses; the last time counts."""
    keys = [join_key(row.series, row.number) for row in rows]
    known: dict[tuple[str, str, str], Before] = {}
    for kind, key, before in outbox_batches.list_before(session, actor.user_id, sorted(set(keys))):
        for address in before.addresses:
            known[kind, key, address.casefold()] = before
    found: dict[int, Before] = {}
    for place, row in enumerate(rows):
        for address in row.to:
            bare = address.rpartition("<")[2].rstrip("> ").strip().casefold()
            if before := known.get((row.document_type.value, keys[place], bare)):
                found[place] = before
    return found
