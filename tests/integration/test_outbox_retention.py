"""How long bytes are kept, in both databases: what nothing names goes, and never under somebody who is storing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select, update

from cgcore.clock import utc_now
from cgcore.outbox.message import NewMessage, Recipient, new_message_name
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import CopyState, Kind, State
from cgcore.storage.database import Database
from cgcore.storage.outbox import OutboxStore
from cgcore.storage.outbox_bytes import CHUNK_BYTES, OutboxBytes, hold
from cgcore.storage.outbox_retention import OutboxRetention
from cgcore.storage.outbox_tables import OutboundBlobRow, OutboundChunkRow, OutboundMessageRow
from tests.servers.outbox_house import Shelf

_DAY = timedelta(days=1)
_LARGE = b"z" * (20 * CHUNK_BYTES + 1)  # more than one transaction


class _House(Shelf):
    """A user, messages with bytes, and who lets go of them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.bytes, self.retention = OutboxBytes(database), OutboxRetention(database)

    def put(self, *parts: bytes) -> Sequence[str]:
        return self.bytes.put_all([lambda part=part: [part] for part in parts])

    def name(self, parts: Sequence[str]) -> str:
        """Put a message of stored parts into the queue; return its id, ``""`` where they are gone."""
        name = new_message_name(utc_now())
        assert self.store.reserve(self.user, name, "hash", name, "me") is None
        message = NewMessage(
            name, name, "hash", "sales_invoice", "F", "7", "Ruiz", "Factura", "a@example.com", f"<{name}@example.com>",
            3, "sha", parts, (Recipient("eva@example.com", Kind.TO),), 0.0, "Sent",
        )  # fmt: skip
        with self.database.session() as session:
            if not hold(session, parts):
                return ""
            assert self.store.enqueue(session, message, self.user)
        return name

    def age(self) -> None:
        """Let two days pass since anybody wanted anything; of what somebody is storing just now at the next call."""
        with self.database.session() as session:
            free = session.exec(select(OutboundBlobRow.blob).with_for_update(skip_locked=True)).all()
            aged = update(OutboundBlobRow).where(col(OutboundBlobRow.blob).in_(free))
            session.exec(aged.values(touched=utc_now() - 2 * _DAY))

    def chunks(self) -> int:
        with self.database.read() as session:
            return session.exec(select(func.count()).select_from(OutboundChunkRow)).one()


@pytest.fixture
def house(database: Database) -> _House:
    """A house on each kind of database."""
    return _House(database)


def test_what_nothing_names_goes_after_a_day_and_the_rest_stays(house: _House) -> None:
    """A storing that came to nothing, piece by piece; a file that a message shares with it stays for the message."""
    head, shared = house.put(b"head", b"shared")
    message = house.name([head, shared])
    lost = house.put(b"lost", b"shared", _LARGE)
    before = house.chunks()
    fresh = house.retention.sweep()
    house.age()
    gone, again = house.retention.sweep(), house.retention.sweep()

    assert (before, fresh, gone, again) == (2 + 1 + 21, 0, 2, 0)
    assert house.chunks() == 2
    assert b"".join(house.bytes.read(house.get(message).parts)) == b"headshared"
    assert house.name(lost) == ""


def test_what_is_stored_again_stays_though_it_is_old(house: _House) -> None:
    """A second message with a file of long ago: it is wanted from that moment on, before anything names it."""
    (first,) = house.put(_LARGE)
    house.age()
    parts = house.put(b"head", _LARGE)
    removed = house.retention.sweep()
    message = house.name(parts)

    assert (removed, parts[1]) == (0, first)
    assert b"".join(house.bytes.read(house.get(message).parts)) == b"head" + _LARGE


def test_what_is_being_named_in_this_moment_is_not_let_go_of(house: _House) -> None:
    """The sweep passes over it, or waits, whatever the age: the transaction that names it has not ended yet."""
    parts = house.put(b"one", b"two")
    house.age()
    sweep = threading.Thread(target=house.retention.sweep)
    with house.database.session() as session:
        assert hold(session, parts)
        name = new_message_name(utc_now())
        row = OutboundMessageRow(
            id=name,
            user_id=house.user,
            idempotency_key="k",
            request_hash="",
            document_type="quote",
            state="queued",
            due=utc_now(),
            parts=list(parts),
        )
        session.add(row)
        session.flush()
        sweep.start()
        if not house.database.is_sqlite:
            sweep.join()
    sweep.join()

    assert b"".join(house.bytes.read(house.get(name).parts)) == b"onetwo"


def test_storing_and_letting_go_at_once_leaves_every_message_whole(house: _House) -> None:
    """One file for all, and all grows old all the time: who comes too late is told, nobody has half a message."""
    done, names, failures = threading.Event(), list[tuple[str, bytes]](), list[Exception]()

    def let_go() -> None:
        while not done.is_set():
            house.age()
            house.retention.sweep()

    def store(worker: int) -> None:
        try:
            for number in range(12):
                head = f"{worker}-{number}".encode()
                if name := house.name(house.put(head, b"shared" * 1000)):
                    names.append((name, head))
        except Exception as failure:
            failures.append(failure)

    sweeper, storing = threading.Thread(target=let_go), [threading.Thread(target=store, args=(n,)) for n in range(3)]
    for thread in (sweeper, *storing):
        thread.start()
    for thread in storing:
        thread.join()
    done.set()
    sweeper.join()

    assert failures == []
    for name, head in names:
        assert b"".join(house.bytes.read(house.get(name).parts)) == head + b"shared" * 1000


def test_bytes_go_when_their_time_is_over_and_the_row_stays(house: _House) -> None:
    """Of what was sent or refused; what waits, is held or unsure keeps them, and so does a copy still to be filed."""
    old = utc_now() - timedelta(days=91)
    ends: dict[str, dict[str, Any]] = {
        "sent": {"state": State.SENT.value},
        "failed": {"state": State.FAILED.value},
        "cancelled": {"state": State.CANCELLED.value, "changed": utc_now() - 2 * _DAY},
        "young": {"state": State.SENT.value, "changed": utc_now() - timedelta(days=89)},
        "undone": {"state": State.CANCELLED.value, "changed": utc_now()},
        "copy": {"state": State.SENT.value, "copy_state": CopyState.PENDING.value},
        "held": {"state": State.HELD.value},
        "unknown": {"state": State.UNKNOWN.value},
        "queued": {"state": State.QUEUED.value},
    }
    messages = {what: house.name(house.put(what.encode())) for what in ends}
    for what, values in ends.items():
        house.set(messages[what], **{"changed": old, **values})
    house.age()
    for_ever = house.retention.release(timedelta(0))
    released, again = house.retention.release(timedelta(days=90)), house.retention.release(timedelta(days=90))
    house.retention.sweep()
    found = {what: house.get(name) for what, name in messages.items()}

    assert (for_ever, released, again) == (1, 2, 0)
    assert {what for what, each in found.items() if each.bytes_removed} == {"sent", "failed", "cancelled"}
    assert house.chunks() == 6
    assert found["sent"].sha256 == "sha"
    kept = {what: b"".join(house.bytes.read(each.parts)) for what, each in found.items() if not each.bytes_removed}
    assert all(data == what.encode() for what, data in kept.items())


def test_what_has_no_bytes_any_more_is_not_sent_again(house: _House) -> None:
    """An empty message would leave; the person hands the document in anew."""
    message = house.name(house.put(b"head"))
    house.set(message, state=State.FAILED.value, bytes_removed=utc_now(), parts=[])
    with house.database.session() as session:
        again = house.store.resend(session, house.user, message)

    assert (again, house.get(message).state) == (False, State.FAILED)


def test_a_digest_names_its_part(house: _House) -> None:
    """However it is cut into pieces, and once for two of a message."""
    parts = house.put(b"ab", b"", b"ab")

    assert parts == [hashlib.sha256(text).hexdigest() for text in (b"ab", b"", b"ab")]
    assert house.name(parts)
    assert b"".join(house.bytes.read(parts)) == b"abab"


def test_a_message_whose_time_is_over_says_so(workbench_on_each: Any) -> None:
    """Its bytes are asked for, or it is to go again: what is known of it is still there."""
    from tests.servers.house import add_user

    workbench = workbench_on_each
    ana = add_user(workbench, "ana")
    house_of = OutboxStore(workbench.database)
    name = new_message_name(utc_now())
    house_of.reserve(ana.user_id, "k", "", name, "me")
    with workbench.database.session() as session:
        values = {"state": State.FAILED.value, "bytes_removed": utc_now(), "document_type": "quote"}
        session.exec(update(OutboundMessageRow).where(col(OutboundMessageRow.id) == name).values(**values))
    for ask in (workbench.outbox.read, workbench.outbox.resend):
        with pytest.raises(OutboxRefused) as refused:
            ask(ana, name)
        assert refused.value.code == "bytes_removed"

    assert workbench.outbox.get(ana, name).state is State.FAILED
