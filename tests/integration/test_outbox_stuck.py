"""What could wait for ever for somebody who is gone: the one that went ahead, and storings that nobody goes on with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select, update

from cgcore.outbox.batch import Batch, BatchState
from cgcore.outbox.judgement import Hold, Outcome
from cgcore.outbox.message import MessageFilters, NewMessage, Recipient, new_message_name
from cgcore.outbox.states import Kind, State
from cgcore.storage import outbox_batches
from cgcore.storage.database import Database
from cgcore.storage.outbox_queue import OutboxQueue
from cgcore.storage.outbox_tables import OutboundBatchRow
from cgcore.workbench import Workbench
from tests.servers.outbox_house import REASON, House, finish

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
