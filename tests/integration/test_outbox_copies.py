"""Copies that several clerks could file: one that was asleep files no second one, and none keeps others waiting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.mail.message import Attachment
from cgcore.outbox.message import CopyTask, Message
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import CopyState, State
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.outbox_copies import OutboxCopies
from cgcore.storage.outbox_tables import OutboundChunkRow, OutboundMessageRow, OutboxAccountRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from cgcore.workbench.outbox.copies import CopyClerk
from tests.servers.outbox_house import furnish_sender
from tests.servers.scripted import ScriptedServer, SmtpScript, smtp_server
from tests.servers.sent_folder import SentFolder
from tests.servers.wire import Closed, Wire

_SMALL = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("eva@example.com",), subject="Va {numero}", body="<p>Hola</p>", signature=""
)
_LARGE = replace(_SMALL, attachments=(Attachment("f.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 90),))
_PAST = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class _Desk:
    """Ana's outbox, and what another process has of it."""

    workbench: Workbench
    other: Workbench
    ana: Actor
    folder: SentFolder

    def send(self, *requests: DocumentRequest) -> list[Message]:
        """Hand over, and file nothing yet."""
        section = self.workbench.outbox
        sent = [
            section.send(self.ana, replace(each, number=str(place)), str(place))[0]
            for place, each in enumerate(requests)
        ]
        while (slot := section.worker._queue.claim_slot()) is not None:
            section.worker._sender.serve(slot)
        return sent

    def file(self, *, due: bool = False) -> None:
        if due:
            self.pass_time()
        self.workbench.outbox.worker._copies.work()

    def take_over(self) -> None:
        """Let the leases be over, and another process go on."""
        self.set(copy_lease=_PAST, copy_due=_PAST)
        self.other.outbox.worker._copies.work()

    def pass_time(self) -> None:
        """Let an hour and more have passed for what is to be tried again."""
        _pass(self, timedelta(hours=2))

    def set(self, **values: Any) -> None:
        with self.workbench.database.session() as session:
            session.exec(update(OutboundMessageRow).values(**values))

    def told(self, message: Message) -> Message:
        return self.workbench.outbox.get(self.ana, message.id)


@pytest.fixture
def desk(settings: Settings, database: Database) -> Iterator[_Desk]:
    """Two workbenches over one database, on each kind of it."""
    folder, here, there = SentFolder(), Workbench(settings, database), Workbench(settings, database)
    with smtp_server(SmtpScript()) as sending, ScriptedServer(folder) as filing:
        yield _Desk(here, there, furnish_sender(here, sending.port, filing.port), folder)
    for workbench in (here, there):
        workbench.close()


def _asleep_before(desk: _Desk, monkeypatch: pytest.MonkeyPatch, slept: list[bool]) -> None:
    """The first clerk sleeps behind the search, before it asks whether the copy is still its own."""
    keep = OutboxCopies.keep

    def late(store: OutboxCopies, task: CopyTask) -> bool:
        if not slept:
            slept.append(True)
            desk.take_over()
        return keep(store, task)

    monkeypatch.setattr(OutboxCopies, "keep", late)


def _asleep_behind(desk: _Desk, monkeypatch: pytest.MonkeyPatch, slept: list[bool]) -> None:
    """It sleeps once it has asked: its lease is over all the same when it wakes."""
    keep, clerk, now = OutboxCopies.keep, desk.workbench.outbox.worker._copies, [0.0]
    monkeypatch.setattr(clerk, "_awake", lambda: now[0])

    def late(store: OutboxCopies, task: CopyTask) -> bool:
        kept = keep(store, task)
        if not slept:
            slept.append(True)
            now[0] += 3600.0
            desk.take_over()
        return kept

    monkeypatch.setattr(OutboxCopies, "keep", late)


@pytest.mark.parametrize("asleep", [_asleep_before, _asleep_behind])
@pytest.mark.parametrize("request_", [_SMALL, _LARGE], ids=["at_once", "in_pieces"])
def test_a_clerk_that_was_asleep_behind_its_search_files_no_second_copy(
    desk: _Desk, monkeypatch: pytest.MonkeyPatch, asleep: Callable[..., None], request_: DocumentRequest
) -> None:
    """Another one has taken the copy over and filed it: the last byte does not leave."""
    slept = list[bool]()
    asleep(desk, monkeypatch, slept)
    messages = desk.send(request_, request_)
    desk.file()
    desk.file(due=True)

    assert slept
    assert [desk.folder.filed[each.message_id] for each in messages] == [1, 1]
    assert [desk.told(each).copy_state for each in messages] == [CopyState.STORED] * 2


def test_the_word_of_a_clerk_whose_copy_was_taken_over_counts_for_nothing(desk: _Desk) -> None:
    """Also where the same process has taken it again."""
    (message,) = desk.send(_SMALL)
    store = OutboxCopies(desk.workbench.database, "me")
    (first,) = store.claim()
    desk.set(copy_lease=_PAST, copy_due=_PAST)
    (second,) = store.claim()
    store.finish(first, CopyState.FAILED, key="mailbox_full")
    between = desk.told(message).copy_state
    store.finish(second, CopyState.STORED, uid=4)

    assert (first.tries, second.tries) == (0, 1)
    assert (store.keep(first), store.keep(second)) == (False, False)
    assert (between, desk.told(message).copy_state) == (CopyState.PENDING, CopyState.STORED)


def _damage(desk: _Desk, message: Message) -> None:
    """Lose the bytes of a message."""
    row = OutboundMessageRow
    with desk.workbench.database.session() as session:
        (blob, *_) = session.exec(select(row.parts).where(row.id == message.id)).one()
        for chunk in session.exec(select(OutboundChunkRow).where(OutboundChunkRow.blob == blob)):
            session.delete(chunk)


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let copies be filed in the order in which they were sent, or the other way round where it holds ``True``."""
    backwards = [False]

    def arrange(tasks: list[CopyTask]) -> None:
        tasks.sort(key=lambda task: task.id, reverse=backwards[0])

    monkeypatch.setattr("cgcore.workbench.outbox.copies.shuffle", arrange)
    return backwards


@pytest.mark.parametrize("request_", [_SMALL, _LARGE], ids=["at_once", "in_pieces"])
def test_a_copy_whose_bytes_are_lost_keeps_no_other_waiting(
    desk: _Desk, in_order: list[bool], request_: DocumentRequest
) -> None:
    """It is tried again later. Who was not reached over a session that filed something has a turn soon, uncounted."""
    messages = desk.send(request_, request_, request_)
    _damage(desk, messages[1])
    desk.file()
    dues = _dues(desk, messages)
    in_order[0] = True
    desk.file(due=True)

    assert [tries for _, tries in dues] == [1, 1, 0]
    assert dues[2][0] < dues[1][0]
    assert [desk.told(each).copy_state for each in messages] == [CopyState.STORED, CopyState.PENDING, CopyState.STORED]
    assert desk.told(messages[1]).copy_key == "temporary_failure"
    assert desk.folder.filed == {messages[0].message_id: 1, messages[2].message_id: 1}


def test_a_server_that_hangs_up_at_one_copy_keeps_no_other_waiting(desk: _Desk, in_order: list[bool]) -> None:
    """Where it is the first the others wait with it, and are not behind it each time: their order is any."""
    first, *others = desk.send(_SMALL, _SMALL, _SMALL)
    with _hanging_up_at(first.message_id):
        desk.file()
        waiting = _dues(desk, [first, *others])
        in_order[0] = True
        desk.file(due=True)

    assert [tries for _, tries in waiting] == [1, 1, 1]
    assert desk.folder.filed == {each.message_id: 1 for each in others}
    assert desk.told(first).copy_state is CopyState.PENDING


@pytest.mark.parametrize("where", ["AUTHENTICATE", "SELECT"])
def test_a_mailbox_that_is_entered_in_vain_is_entered_less_and_less_often(
    desk: _Desk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Once for all of a user's copies, however many there are and whatever can be claimed at once."""
    monkeypatch.setattr("cgcore.storage.outbox_copies._AT_ONCE", 3)
    entered, enter = list[int](), CopyClerk._file_over

    def count(clerk: CopyClerk, request: Any, left: list[CopyTask]) -> Any:
        entered.append(len(left))
        return enter(clerk, request, left)

    monkeypatch.setattr(CopyClerk, "_file_over", count)
    messages = desk.send(*[_SMALL] * 8)
    with _hanging_up_at(where):
        for _ in range(120):  # an hour, looked at every half a minute
            desk.file()
            _pass(desk, timedelta(seconds=30))

    assert len(entered) == 4
    assert {tries for _, tries in _dues(desk, messages)} == {4}
    assert {desk.told(each).copy_key for each in messages} <= {"connection_dropped", "temporary_failure"}


@pytest.mark.usefixtures("in_order")
def test_a_copy_that_was_not_reached_still_tells_what_it_waits_for(desk: _Desk) -> None:
    """The next session ends at another one: that is no word about this one."""
    messages = desk.send(_SMALL, _SMALL, _SMALL)
    with _hanging_up_at("AUTHENTICATE"):
        desk.file()
    with _hanging_up_at(messages[1].message_id):
        desk.file(due=True)
    told = desk.told(messages[2])

    assert desk.told(messages[0]).copy_state is CopyState.STORED
    assert (told.copy_state, told.copy_key) == (CopyState.PENDING, "connection_dropped")


def _pass(desk: _Desk, time: timedelta) -> None:
    with desk.workbench.database.session() as session:
        for row in session.exec(select(OutboundMessageRow)):
            row.copy_due = row.copy_due and row.copy_due - time
            session.add(row)


def _dues(desk: _Desk, messages: Sequence[Message]) -> list[tuple[datetime, int]]:
    row = OutboundMessageRow
    with desk.workbench.database.read() as session:
        found = {
            name: (due or _PAST, tries)
            for name, due, tries in session.exec(select(row.id, row.copy_due, row.copy_tries)).all()
        }
    return [found[message.id] for message in messages]


@contextmanager
def _hanging_up_at(words: str) -> Iterator[None]:
    """Let the server hang up on a command with these words in it."""
    play = SentFolder.__call__

    def listen(folder: SentFolder, wire: Wire) -> None:
        exact, read = wire.read_exactly, wire.read_line

        def hear(data: bytes) -> bytes:
            if words.encode() in data and b"SEARCH" not in data:
                raise Closed
            return data

        wire.read_exactly, wire.read_line = lambda size: hear(exact(size)), lambda: hear(read())
        play(folder, wire)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentFolder, "__call__", listen)
        yield


def test_a_folder_that_cannot_be_searched_is_tried_again_without_filing(desk: _Desk) -> None:
    """A second try never files what the first one may have filed; in its turn, with the reason."""
    (message,) = desk.send(_SMALL)
    desk.set(copy_tries=1)
    with _hanging_up_at("SELECT"):
        desk.file()
    told, before = desk.told(message), dict(desk.folder.filed)
    (due, tries), *_ = _dues(desk, [message])
    desk.file(due=True)

    assert (told.copy_state, told.copy_key, tries, before) == (CopyState.PENDING, "temporary_failure", 2, {})
    assert timedelta(minutes=4) < due - datetime.now(UTC) <= timedelta(minutes=5)
    assert desk.told(message).copy_state is CopyState.STORED


@pytest.mark.parametrize(("tries", "state"), [(73, CopyState.PENDING), (74, CopyState.FAILED)])
def test_a_copy_is_given_up_after_three_days(desk: _Desk, tries: int, state: CopyState) -> None:
    """Three times soon, then hourly; the message has left all the same."""
    (message,) = desk.send(_SMALL)
    desk.set(copy_tries=tries)
    with _hanging_up_at("AUTHENTICATE"):
        desk.file()
    told = desk.told(message)

    assert (told.state, told.copy_state, told.copy_key) == (State.SENT, state, "connection_dropped")


def test_there_is_work_where_a_copy_or_a_look_is_due(desk: _Desk) -> None:
    """Either, both, or none."""
    desk.send(_SMALL)
    store, found = OutboxCopies(desk.workbench.database, "me"), list[bool]()
    for state, copy in itertools.product((State.UNKNOWN, State.SENT), (CopyState.PENDING, CopyState.STORED)):
        desk.set(state=state.value, copy_state=copy.value, look_due=_PAST)
        found.append(store.has_work())

    assert found == [True, True, True, False]


# ---- Looks that a person asks for


def test_one_look_of_a_person_runs_at_a_time_over_all_processes(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider locks a mailbox that is entered too often. Whoever has begun one and died is waited for, and not for
    ever; another one's word does not end it.
    """
    (message,) = desk.send(_SMALL)
    desk.set(state=State.UNKNOWN.value)
    search, refused, ended = OutboxCopies.looked, list[str](), list[bool]()

    def look(workbench: Workbench) -> None:
        try:
            workbench.outbox.look_for(desk.ana, message.id)
        except OutboxRefused as refusal:
            refused.append(refusal.code)

    def looked(store: OutboxCopies, task: Any, *, found: bool) -> None:
        if not ended:
            ended.append(found)
            for each in (desk.workbench, desk.other):
                look(each)
            store.end_look(desk.ana.user_id, "another one's")
            look(desk.other)
        search(store, task, found=found)

    monkeypatch.setattr(OutboxCopies, "looked", looked)
    look(desk.workbench)
    during = list(refused)
    look(desk.other)
    after = refused[len(during) :]
    assert OutboxCopies(desk.workbench.database, "gone").begin_look(desk.ana.user_id, "gone")
    look(desk.other)
    with desk.workbench.database.session() as session:
        session.exec(
            update(OutboxAccountRow).where(col(OutboxAccountRow.looking) == "gone").values(looking_until=_PAST)
        )
    look(desk.other)

    assert (during, after) == (["looking"] * 3, [])
    assert refused[len(during) :] == ["looking"]
    assert desk.told(message).looked is not None


def test_a_look_that_fails_lets_the_next_one_begin(desk: _Desk) -> None:
    """Whatever it was that failed."""
    (message,) = desk.send(_SMALL)
    desk.set(state=State.UNKNOWN.value)
    clerk = type(desk.workbench.outbox.worker._copies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clerk, "_look", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            desk.workbench.outbox.look_for(desk.ana, message.id)
    told = desk.other.outbox.look_for(desk.ana, message.id)

    assert told.looked is not None


def test_two_clerks_share_the_looks_that_are_due(desk: _Desk) -> None:
    """What one has taken the other leaves alone."""
    desk.send(_SMALL)
    desk.set(state=State.UNKNOWN.value, look_due=_PAST)
    first, second = (OutboxCopies(desk.workbench.database, name) for name in ("one", "two"))

    assert [len(store.claim_looks()) for store in (first, second)] == [1, 0]
