"""Several connections of one account, as many as its provider allows, over all processes; in both databases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from cgcore.outbox.judgement import Hold, Outcome
from cgcore.outbox.message import Slot
from cgcore.outbox.pace import Pace, build_pace
from cgcore.outbox.states import State
from cgcore.storage.database import Database
from cgcore.storage.outbox_queue import OutboxQueue
from tests.servers.outbox_house import REASON, House, build_result, finish

_THREE = Pace(connections=3)
_CROWDED = Hold("too_many_connections", 60)


@pytest.fixture
def house(database: Database) -> House:
    """An account with more than enough to send for three connections, which a worker has found that it may have."""
    house = House(database)
    house.put_many(45)
    house.set_account(connections=3)
    return house


def _enter(queue: OutboxQueue) -> Slot:
    slot = queue.claim_slot()
    assert slot is not None
    return slot


def _past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


def test_an_account_has_as_many_connections_as_its_provider_allows_and_no_more(house: House) -> None:
    """Over all processes; each takes messages of its own, and one that is left is another's."""
    queues = [house.queue(), house.queue()]
    slots = [_enter(queues[number % 2]) for number in range(3)]
    taken = [queues[number % 2].claim_messages(slot, pace=_THREE) for number, slot in enumerate(slots)]

    assert [slot.place for slot in slots] == [0, 1, 2]
    assert (queues[0].claim_slot(), queues[1].claim_slot()) == (None, None)
    assert len({each.id for some in taken for each in some}) == sum(map(len, taken)) == 30
    queues[1].leave(slots[1])
    again = _enter(queues[0])
    assert (again.place, again.fence > slots[1].fence) == (1, True)
    assert queues[1].claim_messages(slots[1], pace=_THREE) == (), "what was left is no longer ours"


def test_a_crowd_that_asks_at_once_takes_no_connection_too_many(house: House) -> None:
    """Twelve threads of as many processes, in one moment."""
    gate, found = threading.Barrier(12), list[Slot | None]()

    def ask() -> None:
        queue = house.queue()
        gate.wait()
        found.extend(queue.claim_slot() for _ in range(2))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = [slot.place for slot in found if slot is not None]

    assert 1 <= len(places) <= 3
    assert len(set(places)) == len(places)


def test_a_further_connection_is_for_more_than_one_claim_of_work(house: House) -> None:
    """Nobody signs in a second time for what the first one takes at once."""
    queue = house.queue()
    for _ in range(3):
        slot = _enter(queue)
        queue.claim_messages(slot, pace=_THREE)
        queue.leave(slot)
    first = _enter(queue)
    assert len(queue.claim_messages(first, pace=_THREE)) == 10

    assert house.states().count(State.QUEUED) == 5
    assert (queue.has_work(), queue.claim_slot()) == (True, None)


def test_a_provider_that_nobody_knows_has_one_connection_whatever_it_was_before(house: House) -> None:
    """The account has been saved with another one meanwhile: what is open besides takes nothing more."""
    queue = house.queue()
    first, second = _enter(queue), _enter(queue)
    taken = queue.claim_messages(second)

    assert (taken, house.account().connections) == ((), 1)
    assert len(queue.claim_messages(first)) == 10
    queue.leave(second)
    assert queue.claim_slot() is None


def test_what_the_gone_had_open_is_free_at_once_and_of_others_after_their_lease(house: House) -> None:
    """Also where they had claimed no message yet."""
    dead, alive = house.queue(), house.queue()
    slots = [_enter(dead) for _ in range(3)]
    alive.expire(has_ended=lambda _owner: False)
    assert alive.claim_slot() is None
    alive.expire(has_ended=lambda _owner: True)
    assert _enter(alive).place == 0
    house.set_slots(lease_until=_past())
    late = [dead.claim_messages(slot, pace=_THREE) for slot in slots]

    assert late[0] == (), "another one has it by now"
    assert [_enter(house.queue()).place for _ in range(3)] == [0, 1, 2]


def test_a_connection_that_a_thread_still_uses_stays_its_own(house: House) -> None:
    """Its lease was over while the database was away; and a renewal that comes too late takes nothing back."""
    queue, other = house.queue(), house.queue()
    first = _enter(queue)
    house.set_slots(lease_until=_past())
    second = queue.claim_slot(served=[first])
    assert second is not None
    assert (first.place, second.place, _enter(other).place) == (0, 1, 2)
    assert len(queue.claim_messages(first, pace=_THREE)) == 10

    queue.leave(first)
    queue.renew([], [first, second])
    assert _enter(other).place == 0


def test_a_rest_holds_what_every_connection_has_claimed_and_one_message_goes_ahead(house: House) -> None:
    """What is marked already ends; then nobody sends but one, over one connection, until it has passed."""
    queues = [house.queue(), house.queue()]
    slots = [_enter(queue) for queue in queues]
    first, second = (queue.claim_messages(slot, pace=_THREE) for queue, slot in zip(queues, slots, strict=True))
    assert queues[0].mark_in_flight(first[0])
    assert queues[1].mark_in_flight(second[0])
    finish(queues[0], first[0], Outcome(State.HELD, hold=Hold("sending_quota", 3600)), reason=REASON)

    assert Counter(house.states()) == {State.HELD: 44, State.IN_FLIGHT: 1}
    assert [house.get(each.id).reason for each in second[1:]] == [REASON] * (len(second) - 1)
    assert not queues[1].mark_in_flight(second[1])
    assert queues[1].claim_messages(slots[1], pace=_THREE) == ()
    house.set_account(paused_until=_past())
    queues[0].tend_accounts()
    house.put("late")
    waits = [queue.claim_messages(slot, pace=_THREE) for queue, slot in zip(queues, slots, strict=True)]
    assert waits == [(), ()], "one is on its way still, from before the rest"
    assert finish(queues[1], second[0], Outcome(State.QUEUED, due_s=300), reason=REASON)

    # That was an answer, so all follow; once more, with nothing under way.
    house.set_account(feeler=True)
    (ahead,) = queues[0].claim_messages(slots[0], pace=_THREE)
    assert queues[1].claim_messages(slots[1], pace=_THREE) == ()
    queues[1].leave(slots[1])
    assert queues[1].claim_slot() is None
    queues[0].mark_in_flight(ahead)
    assert finish(queues[0], ahead, Outcome(State.SENT))
    assert _enter(queues[1]).place == 1


def test_what_could_not_sign_in_holds_what_the_other_connections_have_claimed(house: House) -> None:
    """The same password would be refused there too."""
    queue = house.queue()
    first, second = (queue.claim_messages(_enter(queue), pace=_THREE) for _ in range(2))
    queue.hold_back(first, house.user, Hold("bad_credentials", None), REASON)

    assert not queue.mark_in_flight(second[0])
    assert set(house.states()) == {State.HELD}
    assert [house.get(each.id).reason for each in (*first, *second)] == [REASON] * len((*first, *second))


def test_too_many_connections_are_halved_and_a_day_without_that_gives_them_back(house: House) -> None:
    """It is told when signing in or to a message; and never more than the table says."""
    queue = house.queue()
    slots = [_enter(queue) for _ in range(3)]
    claimed = [queue.claim_messages(slot, pace=_THREE) for slot in slots]
    queue.hold_back(claimed[2], house.user, _CROWDED, REASON, pace=_THREE)
    assert (house.account().connections, house.account().crowdings) == (1, 1)
    house.set_account(paused=False, feeler=False)
    with house.database.session() as session:
        house.store.resume(session, house.user)

    assert queue.claim_messages(slots[2], pace=_THREE) == ()
    assert queue.claim_messages(slots[1], pace=_THREE) == ()
    assert len(queue.claim_messages(slots[0], pace=_THREE)) == 10
    for slot in slots[1:]:
        queue.leave(slot)
    assert queue.claim_slot() is None
    house.set_account(crowded=datetime.now(UTC) - timedelta(hours=25))
    assert len(queue.claim_messages(slots[0], pace=_THREE)) == 10
    assert (house.account().connections, _enter(queue).place) == (3, 1)

    (told, *_) = queue.claim_messages(slots[0], pace=_THREE)
    queue.mark_in_flight(told)
    queue.turn(
        build_result(told, Outcome(State.HELD, hold=_CROWDED), reason=REASON), pace=replace(_THREE, connections=8)
    )
    assert (house.account().connections, house.account().crowdings) == (4, 1)


def test_a_limit_counts_what_the_other_connections_have_under_way(house: House) -> None:
    """Twelve an hour: the first takes ten, the second two, and the third finds no room."""
    queue, pace = house.queue(), replace(build_pace(per_hour=12), connections=3)
    slots = [_enter(queue) for _ in range(3)]
    taken = [len(queue.claim_messages(slot, pace=pace)) for slot in slots]

    assert taken == [10, 2, 0]
    assert house.account().paused


def test_connections_are_written_in_one_order_and_before_an_account_is_locked(house: House) -> None:
    """Of two processes that wait for each other's, PostgreSQL would break one off."""
    queue = house.queue()
    slots = [_enter(queue) for _ in range(3)]
    house.set_slots(lease_until=_past())
    renewed = _hear(house.database, lambda: queue.claim_slot(served=slots[::-1]))
    freed = _hear(house.database, lambda: house.queue().expire(has_ended=lambda _owner: True))

    in_order = [("slot", house.user, place) for place in range(3)]
    assert renewed[:5] == [*in_order, ("end",), ("account",)]
    assert [said for said in freed if said[0] == "slot"] == in_order


def _hear(database: Database, do: Callable[[], object]) -> list[tuple[Any, ...]]:
    """Return which connections are written, when an account is asked for, and where transactions end."""
    said = list[tuple[Any, ...]]()

    def execute(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("UPDATE outbox_slot"):
            named = isinstance(values, dict)
            said.append(("slot", *((values["user_id_1"], values["place_1"]) if named else values[2:4])))
        elif "outbox_account" in statement:
            said.append(("account",))

    def end(_connection: Any) -> None:
        said.append(("end",))

    event.listen(database.engine, "before_cursor_execute", execute)
    event.listen(database.engine, "commit", end)
    try:
        do()
    finally:
        event.remove(database.engine, "before_cursor_execute", execute)
        event.remove(database.engine, "commit", end)
    return said
