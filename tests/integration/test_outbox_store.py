"""The outbox in both databases: edges, claims, leases, rests, and the bytes."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from cgcore.outbox.judgement import Hold, Outcome
from cgcore.outbox.message import (
    Attempt,
    Claimed,
    Message,
    MessageFilters,
    new_message_name,
)
from cgcore.outbox.pace import build_pace
from cgcore.outbox.states import EDGES, CopyState, RecipientState, State
from cgcore.process import new_owner
from cgcore.storage.database import Database
from cgcore.storage.outbox import database_now, move
from cgcore.storage.outbox_bytes import CHUNK_BYTES, OutboxBytes
from cgcore.storage.outbox_left import BACKUP_AGE, FIRST_LOOK, attend, hold_old
from cgcore.storage.outbox_queue import LEASE, OutboxQueue
from cgcore.storage.outbox_rests import current_pace, let_follow
from cgcore.storage.outbox_tables import OutboundChunkRow, OutboundMessageRow, OutboxAccountRow, OutboxSlotRow
from tests.servers.outbox_house import BEGAN, REASON, House, build_result, finish


@pytest.fixture
def house(database: Database) -> House:
    """A house on each kind of database."""
    return House(database)


def test_every_pair_of_states_is_an_edge_or_refused(house: House) -> None:
    """All pairs: one UPDATE that hits its row where there is an edge, an error where there is none."""
    name = house.put()
    went: set[tuple[State, State]] = set()
    for before, after in itertools.product(State, State):
        house.set(name, state=before.value)
        try:
            with house.database.session() as session:
                if after in EDGES[before]:
                    assert not move(session, name, before, after, 99), "another claim"
                assert move(session, name, before, after, 0)
                assert before is after or not move(session, name, before, after, 0), "it stands elsewhere now"
        except ValueError:
            with house.database.read() as session:
                assert session.get_one(OutboundMessageRow, name).state == before
            continue
        went.add((before, after))

    assert went == {(before, after) for before in EDGES for after in EDGES[before]}


def test_a_key_is_taken_once_however_many_ask(house: House) -> None:
    """Of ten at once one gets it; the others are shown what has it, and another user is another matter."""
    taken: list[Message | None] = []

    def ask() -> None:
        taken.append(house.store.reserve(house.user, "k", "h", new_message_name(datetime.now(UTC)), "me"))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 10
    assert sum(found is None for found in taken) == 1
    assert {found.state for found in taken if found} == {State.STORING}


def test_a_key_whose_storing_was_killed_is_free_again(house: House) -> None:
    """Nothing was promised yet, so the next request with it begins anew."""
    boot, namespace, *_ = new_owner().split(":")
    gone = f"{boot}:{namespace}:4194304:1:abc"
    assert house.store.reserve(house.user, "k", "h", "a" * 32, gone) is None
    assert house.store.reserve(house.user, "k", "other", "b" * 32, new_owner()) is None
    found = house.store.reserve(house.user, "k", "h", "c" * 32, new_owner())

    assert found is not None
    assert (found.id, found.request_hash) == ("b" * 32, "other")


def test_a_message_goes_from_the_queue_to_sent(house: House) -> None:
    """Claimed, marked, finished: the try and each recipient's own result are kept, Bcc among them."""
    name, queue = house.put(), house.queue()
    (claimed,) = house.claim(queue)
    assert (house.get(name).state, claimed.parts, claimed.sender) == (State.CLAIMED, ("blob",), "ana@example.com")
    assert queue.mark_in_flight(claimed)
    assert house.get(name).state is State.IN_FLIGHT
    assert finish(queue, claimed, Outcome(State.SENT), host="mail.test", queue_id="Q1", copy_state=CopyState.PENDING)
    sent = house.get(name)

    assert (sent.state, sent.host, sent.queue_id, sent.copy_state) == (State.SENT, "mail.test", "Q1", "pending")
    assert sent.accepted is not None
    assert [(r.address, r.kind, r.state, r.code) for r in sent.recipients] == [
        ("eva@example.com", "to", "accepted", 250),
        ("leo@example.com", "bcc", "accepted", 250),
    ]
    assert [(a.stage, a.key, a.reply) for a in sent.attempts] == [("final", "", "250 ok")]
    assert not finish(queue, claimed, Outcome(State.QUEUED)), "what is sent never comes back"


def test_nobody_else_serves_an_account_that_is_served(house: House) -> None:
    """One sender an account, over all processes, until it is left or its lease is over."""
    house.put("a")
    first, second = house.queue(), house.queue()

    slot = first.claim_slot()
    assert slot is not None
    assert second.claim_slot() is None
    assert second.claim_messages(slot) == ()
    first.leave(slot)
    assert first.claim_messages(slot) == ()
    assert second.claim_slot() is not None


def test_what_the_gone_have_left_goes_back_only_before_the_mark(house: House) -> None:
    """An expired claim is queued again; expired in flight it is unknown, and never queued by itself."""
    kept, lost = house.put("a"), house.put("b")
    dead, alive = house.queue(), house.queue()
    first, second = house.claim(dead)
    assert dead.mark_in_flight(second)
    assert alive.expire(has_ended=lambda _owner: False) == 0
    assert house.states() == [State.CLAIMED, State.IN_FLIGHT]
    assert alive.expire(has_ended=lambda _owner: True) == 1
    assert (house.get(kept).state, house.get(lost).state) == (State.QUEUED, State.UNKNOWN)
    assert house.get(lost).reason is not None

    assert not dead.mark_in_flight(first), "the frozen one wakes up, and sends no dot"
    (again,) = house.claim(alive)
    assert again.id == kept
    assert not finish(dead, first, Outcome(State.FAILED)), "its late word about the other claim counts for nothing"
    assert house.get(kept).state is State.CLAIMED
    assert finish(dead, second, Outcome(State.SENT)), "its late word about the unknown one does"
    assert house.get(lost).state is State.SENT


def test_a_lease_that_is_renewed_is_left_alone(house: House) -> None:
    """And one that is not counts for a minute of the database's clock."""
    name, queue, other = house.put(), house.queue(), house.queue()
    (claimed,) = house.claim(queue)
    assert queue.mark_in_flight(claimed)
    house.set(name, lease_until=datetime.now(UTC) - timedelta(seconds=1))
    other.renew([name], [])
    queue.renew([name], [])
    other.expire(has_ended=lambda _owner: False)
    before = house.get(name).state
    house.set(name, lease_until=datetime.now(UTC) - timedelta(seconds=1))
    other.expire(has_ended=lambda _owner: False)

    assert (before, house.get(name).state) == (State.IN_FLIGHT, State.UNKNOWN)


def test_a_person_who_sends_an_unknown_one_again_ends_the_old_claim(house: House) -> None:
    """The late word of the old try would speak of another one."""
    name, queue = house.put(), house.queue()
    (claimed,) = house.claim(queue)
    queue.mark_in_flight(claimed)
    house.queue().expire(has_ended=lambda _owner: True)
    with house.database.session() as session:
        assert house.store.resend(session, house.user, name)
    late = finish(queue, claimed, Outcome(State.SENT))
    again = house.get(name)

    assert (late, again.state, again.message_id) == (False, State.QUEUED, f"<{name}@example.com>")
    assert {r.state for r in again.recipients} == {RecipientState.PENDING}


def test_a_claim_counts_for_one_lease(house: House) -> None:
    """Also one that nobody ever renews: it ends by itself."""
    name, queue = house.put(), house.queue()
    before = datetime.now(UTC)
    house.claim(queue)
    with house.database.read() as session:
        until = session.get_one(OutboundMessageRow, name).lease_until

    assert until is not None
    assert before < until <= datetime.now(UTC) + LEASE


def test_what_ends_unsure_is_looked_for_in_the_sent_folder_soon(house: House) -> None:
    """By itself, a minute later."""
    name, queue = house.put(), house.queue()
    (claimed,) = house.claim(queue)
    queue.mark_in_flight(claimed)
    assert finish(queue, claimed, Outcome(State.UNKNOWN), reason=REASON)
    with house.database.read() as session:
        look = session.get_one(OutboundMessageRow, name).look_due

    assert look is not None
    assert look <= datetime.now(UTC) + FIRST_LOOK


def test_a_mark_is_confirmed_for_the_claim_that_it_was_made_for(house: House) -> None:
    """Not for an earlier one of the same process, whose message a person has sent again meanwhile."""
    name, queue = house.put(), house.queue()
    (first,) = house.claim(queue)
    assert queue.mark_in_flight(first)
    assert queue.confirm_mark(first)
    house.queue().expire(has_ended=lambda _owner: True)
    assert not queue.confirm_mark(first)
    with house.database.session() as session:
        assert house.store.resend(session, house.user, name)
    (second,) = house.claim(queue)
    assert queue.mark_in_flight(second)

    assert (queue.confirm_mark(first), queue.confirm_mark(second)) == (False, True)


def test_an_account_rests_with_all_that_waits_and_one_goes_ahead(house: House) -> None:
    """A limit fails nothing: all are held with the reason; after the rest one is tried, and the others follow it."""
    names, queue = [house.put(key) for key in "abc"], house.queue()
    first, *others = house.claim(queue)
    for each in others:
        queue.release(each)
    queue.mark_in_flight(first)
    outcome = Outcome(State.HELD, hold=Hold("sending_quota", 3600))
    assert finish(queue, first, outcome, reason=REASON)
    assert house.states() == [State.HELD] * 3
    late = house.put("d")
    queue.tend_accounts()
    house.leave(queue)
    assert (house.get(late).state, house.get(late).reason) == (State.HELD, REASON)
    assert house.claim(queue) == []

    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    (ahead,) = house.claim(queue)
    assert (ahead.id, queue.count_rests(house.user)) == (names[0], 1)
    queue.mark_in_flight(ahead)
    assert finish(queue, ahead, Outcome(State.SENT))
    assert house.states() == [State.SENT] + [State.QUEUED] * 3
    assert {house.get(name).held_by for name in (*names, late)} == {""}
    assert queue.count_rests(house.user) == 0


def test_a_rest_without_end_waits_for_a_person(house: House) -> None:
    """A refused password is not tried again by itself; resuming lets all go."""
    house.put("a")
    queue = house.queue()
    claimed = house.claim(queue)
    queue.hold_back(claimed, house.user, Hold("bad_credentials", None), REASON)
    house.leave(queue)
    queue.tend_accounts()
    assert house.claim(queue) == []
    with house.database.session() as session:
        account = house.store.find_account(session, house.user)
        resumed = house.store.resume(session, house.user)

    assert (account.paused, account.paused_until, account.reason) == (True, None, REASON)
    assert resumed == 1
    assert len(house.claim(queue)) == 1


def test_a_restored_copy_sends_nothing_by_itself(house: House) -> None:
    """Whatever it waits for, a try, a rest or the pace of its provider, however far ahead; a person lets it go.

    What was handed in since goes, and a worker that starts where one has been all the time holds nothing.
    """
    names = [house.put(key) for key in "abcd"]
    long_ago, tomorrow = datetime.now(UTC) - BACKUP_AGE - timedelta(minutes=1), datetime.now(UTC) + timedelta(hours=18)
    house.set(names[0], created=long_ago, due=long_ago)
    house.set(names[1], created=long_ago, due=tomorrow)
    house.set(names[2], created=long_ago, due=tomorrow, state=State.HELD.value, held_by="account")
    queue = house.queue()
    beside_others = hold_old(house.database)
    house.set_account(served=long_ago)
    attend(house.database)
    after_a_restart = hold_old(house.database)
    house.set_account(served=long_ago, paused=True, paused_until=long_ago)
    held = hold_old(house.database)
    queue.tend_accounts()

    assert (beside_others, after_a_restart, held, hold_old(house.database)) == (0, 0, 3, 0)
    assert house.states() == [State.HELD, State.HELD, State.HELD, State.QUEUED]
    assert {house.get(name).held_by for name in names[:3]} == {"person"}
    assert [claimed.id for claimed in house.claim(queue)] == [names[3]]


def test_what_a_clock_has_noted_before_it_was_set_back_makes_nobody_wait(house: House) -> None:
    """Neither a message nor an account; what waits for its hour by a clock that is right goes on waiting."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    first, later = house.put("a"), house.put("b", delay_s=3600)
    house.set(first, due=tomorrow)
    house.set_account(paused=True, paused_until=tomorrow, halved=tomorrow, crowded=tomorrow)
    with house.database.session() as session:
        session.add(OutboxSlotRow(user_id=house.user, place=0, owner="x", lease_until=tomorrow))
    queue = house.queue()
    before = (queue.has_work(), house.enter(queue))
    queue.cap_waits()
    queue.tend_accounts()
    with house.database.read() as session:
        account = session.get_one(OutboxAccountRow, house.user)
        left = session.exec(select(OutboxSlotRow)).one().lease_until or tomorrow

    assert before == (False, False)
    assert not account.paused
    assert max(account.halved or tomorrow, account.crowded or tomorrow) <= datetime.now(UTC), "days count from here"
    assert left - datetime.now(UTC) <= LEASE, "whoever holds it may be at work, for a lease and no longer"
    house.set_slots(lease_until=None)
    assert [claimed.id for claimed in house.claim(queue)] == [first]
    assert house.get(later).state is State.QUEUED


def test_a_message_that_waits_can_be_taken_back_or_hurried(house: House) -> None:
    """Cancelled or claimed, never both; and nobody touches another one's."""
    name, queue = house.put(delay_s=60), house.queue()
    assert house.claim(queue) == []
    with house.database.session() as session:
        assert not house.store.send_now(session, house.user + 1, name)
        assert house.store.send_now(session, house.user, name)
    (claimed,) = house.claim(queue)
    with house.database.session() as session:
        assert not house.store.cancel(session, house.user, name)
    queue.release(claimed)
    with house.database.session() as session:
        assert not house.store.cancel(session, house.user + 1, name)
        assert house.store.cancel(session, house.user, name)
        assert not house.store.resend(session, house.user, name)

    assert house.get(name).state is State.CANCELLED
    assert not queue.mark_in_flight(claimed)


def test_an_undo_and_a_claim_race_for_one_row(house: House) -> None:
    """Whichever comes first, the other finds the state changed."""
    queue, ends = house.queue(), set[tuple[bool, bool]]()
    for key in range(8):
        name = house.put(str(key))
        barrier, cancelled = threading.Barrier(2), list[bool]()

        def undo(name: str = name, barrier: threading.Barrier = barrier, cancelled: list[bool] = cancelled) -> None:
            barrier.wait(5)
            with house.database.session() as session:
                cancelled.append(house.store.cancel(session, house.user, name))

        thread = threading.Thread(target=undo)
        thread.start()
        barrier.wait(5)
        claimed = house.claim(queue)
        thread.join()
        marked = any(queue.mark_in_flight(each) for each in claimed)
        house.leave(queue)
        ends.add((cancelled[0], marked))

    assert ends <= {(True, False), (False, True)}


def test_messages_are_found_by_state_type_and_text(house: House) -> None:
    """The newest first; the text is looked for in number, customer, subject and recipients."""
    names = [house.put(key) for key in "ab"]
    house.set(names[0], state=State.SENT.value, customer="Ñandú, S.L.")

    def found(filters: MessageFilters, **more: Any) -> list[str]:
        with house.database.read() as session:
            return [message.id for message in house.store.list(session, house.user, filters, **more)]

    assert found(MessageFilters()) == names[::-1]
    assert found(MessageFilters(), before=names[1]) == [names[0]]
    assert found(MessageFilters(), limit=1) == [names[1]]
    assert found(MessageFilters(frozenset({State.SENT}))) == [names[0]]
    assert found(MessageFilters(document_type="quote")) == []
    assert found(MessageFilters(query="ñandú")) == [names[0]]
    assert found(MessageFilters(query="LEO@example")) == names[::-1]
    assert found(MessageFilters(query="100%")) == []


def test_bytes_are_kept_once_and_come_back_as_they_were(house: House) -> None:
    """Pieces of 256 KB under the digest of the whole; the same file again adds none."""
    data = bytes(range(256)) * 2500
    store, pieces = OutboxBytes(house.database), [data[:10], data[10:600_000], data[600_000:]]
    blob, size = store.put(lambda: pieces)
    again = store.put(lambda: [data])
    small = store.put(lambda: [b"x"])
    with house.database.read() as session:
        lengths = [len(row.data) for row in session.exec(select(OutboundChunkRow)).all() if row.blob == blob]

    assert (blob, size) == (hashlib.sha256(data).hexdigest(), len(data)) == again
    assert sorted(lengths) == [len(data) - 2 * CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES]
    assert b"".join(store.read([small[0], blob, small[0]])) == b"x" + data + b"x"


def test_a_part_that_was_half_written_is_completed(house: House) -> None:
    """A process that ended in the middle leaves pieces; the next one writes what is missing."""
    data = b"z" * (CHUNK_BYTES + 5)
    store = OutboxBytes(house.database)
    with house.database.session() as session:
        blob = hashlib.sha256(data).hexdigest()
        session.add(OutboundChunkRow(blob=blob, place=0, data=data[:CHUNK_BYTES]))
    store.put(lambda: [data])

    assert b"".join(store.read([blob])) == data


def test_our_own_limit_of_an_hour_holds_what_is_more_and_fails_nothing(house: House) -> None:
    """Two an hour: the third waits with the reason, until the first is an hour old."""
    for key in "abc":
        house.put(key)
    queue, pace = house.queue(), build_pace(own_per_hour=2)
    assert house.enter(queue)
    taken = house.take(queue, pace=pace)
    for each in taken:
        queue.mark_in_flight(each)
        assert finish(queue, each, Outcome(State.SENT))
    more = house.take(queue, pace=pace)
    held = house.states()
    house.age(taken[0].id, timedelta(minutes=61))
    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    later = house.take(queue, pace=pace)

    assert (len(taken), more, held) == (2, [], [State.SENT, State.SENT, State.HELD])
    assert len(later) == 1


def test_what_is_undone_while_it_is_claimed_is_one_of_both(house: House) -> None:
    """Whoever comes second is told so: what was taken back is never sent, and what leaves is not undone."""
    ends: list[tuple[bool, bool]] = []
    for key in map(str, range(8)):
        name, queue = house.put(key), house.queue()
        gate, claimed = threading.Barrier(2), list[Claimed]()

        def claim(queue: OutboxQueue = queue, gate: threading.Barrier = gate, found: list[Claimed] = claimed) -> None:
            gate.wait()
            found += house.claim(queue)

        worker = threading.Thread(target=claim)
        worker.start()
        gate.wait()
        with house.database.session() as session:
            undone = house.store.cancel(session, house.user, name)
        worker.join()
        marked = any(queue.mark_in_flight(each) for each in claimed)
        ends.append((undone, marked))
        assert house.get(name).state is (State.CANCELLED if undone else State.IN_FLIGHT)
        house.leave(queue)

    assert all(undone is not marked for undone, marked in ends)


def test_a_reply_that_says_too_much_halves_the_pace_until_a_day_has_passed(house: House) -> None:
    """Counted from our own tries; the rest lasts until there is room again, and one goes ahead."""
    names = [house.put(str(number)) for number in range(30)]
    queue, pace = house.queue(), build_pace(per_hour=40)
    house.enter(queue)
    for _ in range(2):
        for each in house.take(queue, pace=pace):
            queue.mark_in_flight(each)
            assert queue.turn(build_result(each, Outcome(State.SENT)), pace=pace).done
    (refused, *others) = house.take(queue, pace=pace)
    for each in others:
        queue.release(each)
    queue.mark_in_flight(refused)
    hold = Outcome(State.HELD, hold=Hold("sending_quota", 3600))
    queue.turn(build_result(refused, hold, reason=REASON), pace=pace)
    house.leave(queue)
    account = house.account()
    rest = (account.paused_until or BEGAN) - datetime.now(UTC)

    assert (account.halvings, account.ceiling) == (1, 20)
    assert timedelta(minutes=55) < rest <= timedelta(hours=1), "twenty of forty have left: no room until the hour ends"
    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    assert house.enter(queue)
    assert house.take(queue, pace=pace) == [], "our own count holds it back"
    assert house.account().reason == {"key": "pace_hour", "stage": "", "ms": 0, "values": {"limit": 20}}
    for name in names[:15]:
        house.age(name, timedelta(minutes=61))
    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    (ahead,) = house.take(queue, pace=pace)
    queue.mark_in_flight(ahead)
    queue.turn(build_result(ahead, Outcome(State.SENT)), pace=pace)
    assert len(house.take(queue, pace=pace)) == 9
    house.set_account(halved=datetime.now(UTC) - timedelta(hours=25))
    for name in names:
        house.age(name, timedelta(minutes=61))
    with house.database.read() as session:
        assert current_pace(house.account(), pace, database_now(session)) == pace


def test_a_pace_of_a_minute_makes_wait_and_holds_nothing(house: House) -> None:
    """Nobody is told of a rest for that, and nobody looks before the minute has passed."""
    for key in "abcd":
        house.put(key)
    queue, pace = house.queue(), build_pace(per_minute=3)
    assert house.enter(queue)
    taken = house.take(queue, pace=pace)
    for each in taken:
        queue.mark_in_flight(each)
        queue.turn(build_result(each, Outcome(State.SENT)), pace=pace)
    more = house.take(queue, pace=pace)
    house.leave(queue)
    before = (queue.has_work(), house.enter(queue))
    house.set_account(not_before=datetime.now(UTC) - timedelta(seconds=1))
    for each in taken:
        house.age(each.id, timedelta(seconds=61))

    assert (len(taken), more, before) == (3, [], (False, False))
    assert house.states()[-1] is State.QUEUED
    assert not house.account().paused
    assert queue.has_work()
    assert house.enter(queue)
    assert len(house.take(queue, pace=pace)) == 1


def test_only_one_goes_ahead_whatever_else_has_come_due(house: House) -> None:
    """What was handed in during the rest, or a moment ago, waits for what becomes of that one."""
    names = [house.put(key) for key in "ab"]
    queue = house.queue()
    claimed = house.claim(queue)
    queue.hold_back(claimed, house.user, Hold("temporary_failure", 60), REASON)
    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    house.put("c")
    (ahead,) = house.take(queue)
    assert ahead.id == names[0]
    queue.mark_in_flight(ahead)
    outcome = Outcome(State.HELD, hold=Hold("temporary_failure", 300))
    queue.turn(build_result(ahead, outcome, reason=REASON))

    assert house.states() == [State.HELD] * 3


def test_a_result_that_comes_in_during_a_rest_lets_nothing_go(house: House) -> None:
    """The one that was on its way when the limit was reached says nothing of what comes after it."""
    for key in "abc":
        house.put(key)
    queue, pace = house.queue(), build_pace(own_per_hour=2)
    assert house.enter(queue)
    first, second = house.take(queue, pace=pace)
    queue.mark_in_flight(first)
    queue.turn(build_result(first, Outcome(State.SENT)), second, more=house.slot, pace=pace)
    resting = house.account()
    queue.turn(build_result(second, Outcome(State.SENT)), pace=pace)

    assert (resting.paused, house.account().paused) == (True, True)
    assert house.states() == [State.SENT, State.SENT, State.HELD]


def test_a_rest_that_begins_while_a_result_waits_for_its_turn_lets_nothing_go(house: House) -> None:
    """Another connection has let the account rest since it was asked whether others wait to follow."""
    queue = house.queue()
    house.put("a")
    queue.hold_back(house.claim(queue), house.user, Hold("temporary_failure", 60), REASON)
    with house.database.session() as session:
        let_follow(session, house.user, datetime.now(UTC))

    assert house.states() == [State.HELD]
    assert (house.account().paused, queue.count_rests(house.user)) == (True, 1)


def test_what_waits_for_its_pace_is_not_taken_for_what_was_left_behind(house: House) -> None:
    """It may wait a day: a worker that starts meanwhile neither hurries it nor gives it to a person."""
    house.put("a")
    last = house.put("b")
    queue, pace = house.queue(), build_pace(per_day=1)
    assert house.enter(queue)
    (first,) = house.take(queue, pace=pace)
    queue.mark_in_flight(first)
    queue.turn(build_result(first, Outcome(State.SENT)), more=house.slot, pace=pace)
    late = house.put("c")
    queue.tend_accounts()
    queue.cap_waits()
    held = hold_old(house.database)

    assert held == 0
    assert house.states() == [State.SENT, State.HELD, State.HELD]
    assert house.get(last).due - datetime.now(UTC) > timedelta(hours=23)
    assert house.get(late).due - datetime.now(UTC) > timedelta(hours=3)
    assert {house.get(name).held_by for name in (last, late)} == {"account"}


def test_one_that_went_ahead_and_was_cut_off_lets_nobody_follow(house: House) -> None:
    """Nothing was said; a refusal of one recipient for now is an answer, and lets the others go."""
    for key in "abc":
        house.put(key)
    queue = house.queue()
    queue.hold_back(house.claim(queue), house.user, Hold("temporary_failure", 60), REASON)
    house.set_account(paused_until=datetime.now(UTC) - timedelta(seconds=1))
    queue.tend_accounts()
    (ahead,) = house.take(queue)
    queue.mark_in_flight(ahead)
    queue.turn(replace(build_result(ahead, Outcome(State.QUEUED)), attempt=Attempt(BEGAN, stage="mail_from")))
    after_cut = house.states()
    (again,) = house.take(queue)
    queue.turn(build_result(again, Outcome(State.QUEUED, due_s=300)))

    assert after_cut == [State.QUEUED, State.HELD, State.HELD]
    assert house.states() == [State.QUEUED] * 3
