"""What could wait for ever for somebody who is gone: the one that went ahead, and storings that nobody goes on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select, update

from cgcore.documents import DocumentType
from cgcore.outbox.batch import Batch, BatchState
from cgcore.outbox.judgement import Hold, Outcome
from cgcore.outbox.message import MessageFilters, NewMessage, Recipient, new_message_name
from cgcore.outbox.states import Kind, State
from cgcore.storage import outbox_batches
from cgcore.storage.database import Database
from cgcore.storage.outbox_left import hold_restored
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_tables import OutboundBatchRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.outbox_house import REASON, House, finish, furnish_sender
from tests.servers.scripted import ScriptedServer, SmtpScript, imap_server
from tests.servers.wire import Closed, Wire

_SECOND = timedelta(seconds=1)


@pytest.fixture
def house(database: Database) -> House:
    """Three messages whose account rests, on each kind of database."""
    house = House(database)
    for key in "abc":
        house.put(key)
    queue = house.queue()
    queue.hold_back(house.claim(queue), house.user, Hold("sending_quota", 3600), REASON)
    house.leave(queue)
    return house


def _go_ahead(house: House, queue: OutboxQueue) -> None:
    """Let the rest be over, and one go ahead."""
    house.set_account(paused_until=datetime.now(UTC) - _SECOND)
    queue.tend_accounts()
    assert sorted(house.states()) == [State.HELD, State.HELD, State.QUEUED]


def _killed(house: House, queue: OutboxQueue) -> State:
    """Its worker is gone, behind the dot."""
    (ahead,) = house.claim(queue)
    assert queue.mark_in_flight(ahead)
    house.queue().expire(has_ended=lambda _owner: True)
    return State.UNKNOWN


def _taken_back(house: House, _queue: OutboxQueue) -> State:
    """Its person does not want it to go any more."""
    with house.database.session() as session:
        assert house.store.cancel(session, house.user, _ahead(house))
    return State.CANCELLED


def _stopped(house: House, _queue: OutboxQueue) -> State:
    """It was stopped with the others of its batch."""
    house.set(_ahead(house), batch="b")
    with house.database.session() as session:
        assert outbox_batches.stop(session, house.user, "b") == 1
    return State.HELD


def _ahead(house: House) -> str:
    with house.database.read() as session:
        (found,) = house.store.list(session, house.user, MessageFilters(frozenset({State.QUEUED})))
    return found.id


@pytest.mark.parametrize("ended", [_killed, _taken_back, _stopped])
def test_where_the_one_that_went_ahead_says_nothing_the_next_one_goes(
    house: House, ended: Callable[[House, OutboxQueue], State]
) -> None:
    """Over one connection, and alone again; the others follow that one. A worker that waits notices it by itself."""
    queue = house.queue()
    _go_ahead(house, queue)
    went = ended(house, queue)
    alive = house.queue()
    noticed = alive.has_work()
    alive.tend_accounts()
    between = sorted(house.states())
    alive.tend_accounts()
    again = sorted(house.states())
    (next_one,) = house.claim(alive)
    alive.mark_in_flight(next_one)
    finish(alive, next_one, Outcome(State.SENT))

    assert noticed
    assert between == again == sorted([went, State.HELD, State.QUEUED])
    assert sorted(house.states()) == sorted([went, State.SENT, State.QUEUED])


def test_while_one_is_ahead_no_other_goes(house: House) -> None:
    """Whatever it waits for, or whoever has it."""
    queue = house.queue()
    _go_ahead(house, queue)
    house.set(_ahead(house), due=datetime.now(UTC) + timedelta(hours=4))
    waits = queue.has_work()
    queue.tend_accounts()
    assert (waits, sorted(house.states())) == (False, [State.HELD, State.HELD, State.QUEUED])
    house.set(_ahead(house), due=datetime.now(UTC) - _SECOND)
    (ahead,) = house.claim(queue)
    queue.tend_accounts()
    assert sorted(house.states()) == [State.CLAIMED, State.HELD, State.HELD]
    queue.mark_in_flight(ahead)
    queue.tend_accounts()
    assert sorted(house.states()) == [State.HELD, State.HELD, State.IN_FLIGHT]


_ELSEWHERE = "another-kernel:1:1:1:abc"


def test_a_key_whose_storing_ended_on_another_machine_is_free_after_an_hour(
    workbench_on_each: Workbench, database: Database
) -> None:
    """Nobody here can tell that it did; also without any start. Who was only asleep finds it gone, and is told so."""
    house = House(database)
    name = new_message_name(datetime.now(UTC))
    assert house.store.reserve(house.user, "k", "h", name, _ELSEWHERE) is None
    workbench_on_each.outbox.worker._let_go()
    young = house.store.reserve(house.user, "k", "h", "b" * 32, "me")
    house.set(name, created=datetime.now(UTC) - timedelta(minutes=61))
    workbench_on_each.outbox.worker._let_go()
    late = NewMessage(
        name, "k", "h", "sales_invoice", "F", "7", "", "Va", "ana@example.com", "<a@example.com>", 3, "sha", ("blob",),
        (Recipient("eva@example.com", Kind.TO),), 0.0, "",
    )  # fmt: skip
    with database.session() as session:
        queued = house.store.enqueue(session, late, house.user)
    again = house.store.reserve(house.user, "k", "h", "c" * 32, "me")

    assert young is not None
    assert (queued, again) == (False, None)


def test_a_batch_whose_storing_ended_on_another_machine_has_failed_after_an_hour(
    workbench_on_each: Workbench, database: Database
) -> None:
    """It is not «being stored» for ever; and who was only asleep finds out before anything leaves."""
    house, worker = House(database), workbench_on_each.outbox.worker
    old, young = (
        Batch(name, house.user, datetime.now(UTC), BatchState.STORING, name, _ELSEWHERE, []) for name in ("old", "new")
    )
    with database.session() as session:
        for batch in (old, young):
            assert outbox_batches.add_batch(session, batch)
        row = OutboundBatchRow
        past = datetime.now(UTC) - timedelta(minutes=61)
        session.exec(update(row).where(col(row.id) == old.id).values(created=past))
    worker._let_go()
    with database.session() as session:
        states = dict(session.exec(select(OutboundBatchRow.id, OutboundBatchRow.state)).all())
        late = [outbox_batches.end_batch(session, each.id, BatchState.READY) for each in (old, young)]

    assert states == {"old": "failed", "new": "storing"}
    assert late == [False, True]


def test_a_try_that_was_lost_behind_the_dot_is_counted(house: House) -> None:
    """And a copy of the data that is put back says of it what a killed worker leaves; of the others none leaves."""
    queue = house.queue()
    with house.database.session() as session:
        house.store.resume(session, house.user)
    first, second, _ = house.claim(queue)
    assert queue.mark_in_flight(first)
    held = hold_restored(house.database)
    told = house.get(first.id)

    assert (told.state, told.tries, told.reason and told.reason["key"]) == (State.UNKNOWN, 1, "delivery_unknown")
    assert (held, house.get(second.id).state, house.get(second.id).held_by) == (2, State.HELD, "person")
    assert not queue.mark_in_flight(second)


@pytest.mark.parametrize("ending", [b"", b"421 4.4.2 Idle for too long\r\n"], ids=["hangs_up", "says_421"])
def test_a_line_that_ended_while_it_lay_idle_costs_no_try(workbench_on_each: Workbench, ending: bytes) -> None:
    """The next message goes over another one at once."""

    def end_behind_the_first(wire: Wire) -> None:
        read, keep, kept = wire.read_line, wire.keep, list[bytes]()

        def read_line() -> bytes:
            line = read()
            if kept and line[:4].upper() == b"MAIL":
                if ending:
                    wire.send(ending)
                raise Closed
            return line

        wire.read_line = read_line
        wire.keep = lambda message: (kept.append(message), keep(message))[1]
        SmtpScript()(wire)

    with ScriptedServer(end_behind_the_first) as server, imap_server() as filing:
        ana = furnish_sender(workbench_on_each, server.port, filing.port)
        request = DocumentRequest(
            DocumentType.SALES_INVOICE, "F", "1", ("eva@example.com",), subject="Va", body="<p>Hola</p>", signature=""
        )
        for number in range(3):
            workbench_on_each.outbox.send(ana, replace(request, number=str(number)), str(number))
        workbench_on_each.outbox.worker.work_once()
        told = workbench_on_each.outbox.list(ana, MessageFilters()).messages

    assert [(each.state, each.tries) for each in told] == [(State.SENT, 1)] * 3
    assert (server.connections, len(server.messages)) == (3, 3)
