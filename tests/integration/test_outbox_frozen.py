"""A real process that is frozen (SIGSTOP) past its lease, or killed, at every point between two commits, while another
one goes on.

It wakes at each and goes on where it was: no dot, no copy and no batch of it goes twice. Counted is what servers have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import col, update

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.outbox.batch import BatchChoice, BatchState, select_rows
from cgcore.outbox.message import Message, MessageFilters
from cgcore.outbox.sheet import read_sheet
from cgcore.outbox.states import CopyState, State
from cgcore.storage.database import Database
from cgcore.storage.outbox_batches import give_up_old
from cgcore.storage.outbox_tables import OutboundBatchRow, OutboundMessageRow, OutboxSlotRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.conftest import make_settings
from tests.servers.freezing import Freezer, freezing
from tests.servers.narrow import NarrowServer
from tests.servers.outbox_house import furnish_sender
from tests.servers.scripted import ScriptedServer
from tests.servers.sent_folder import SentFolder

_MASTER_KEY = "Y2xhdmUgZGUgcHJ1ZWJhcyBkZSB0cmVpbnRhIHkgZG8="
_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", (), subject="Va {numero}", body="<p>Hola</p>", signature=""
)
_PAST = datetime(2020, 1, 1, tzinfo=UTC)
_MOST_POINTS = 120


@pytest.fixture
def bench(tmp_path: Path, database: Database) -> Iterator[Workbench]:
    """A workbench whose secrets another process can read, over each kind of database."""
    workbench = Workbench(make_settings(tmp_path, sandbox="off", master_key=_MASTER_KEY), database)
    yield workbench
    workbench.close()


@pytest.fixture
def frozen(bench: Workbench) -> Iterator[Freezer]:
    """The other process."""
    with freezing(bench.settings, bench.database) as freezer:
        yield freezer


def _go_on(bench: Workbench) -> None:
    """Let every lease be over and everything be due, and have this process do what there is."""
    row = OutboundMessageRow
    with bench.database.session() as session:
        session.exec(update(row).where(col(row.lease_until).is_not(None)).values(lease_until=_PAST))
        session.exec(update(row).values(copy_lease=_PAST, copy_due=_PAST))
        session.exec(update(row).where(col(row.state) == State.QUEUED.value).values(due=_PAST))
        session.exec(update(OutboxSlotRow).values(lease_until=_PAST))
    bench.outbox.worker.work_once()


def _list(bench: Workbench, ana: Actor) -> list[Message]:
    section, found, after = bench.outbox, list[Message](), ""
    while True:
        page = section.list(ana, MessageFilters(), cursor=after, limit=200)
        found += page.messages
        if not page.next:
            return found
        after = page.next


def _send_two(bench: Workbench, ana: Actor, point: int) -> None:
    """Hand in one that goes in two transactions, and one that goes in one."""
    for number, count in enumerate((3, 1)):
        to = tuple(f"c{each}@{number}.{point}.example.com" for each in range(count))
        bench.outbox.send(ana, replace(_REQUEST, number=f"{point}{number}", to=to), f"{point}-{number}")


def _send_at_each_point(bench: Workbench, ana: Actor, other: Freezer, stop: Callable[[], None]) -> list[Message]:
    """Send two, stop the other process at the next of its points, go on; return all messages once it met none."""
    points = 0
    while points < _MOST_POINTS:
        _send_two(bench, ana, points)
        if not other.begin("work", points):
            break
        stop()
        _go_on(bench)
        points += 1
    _go_on(bench)
    messages = _list(bench, ana)
    assert 30 <= points < _MOST_POINTS, "every point was met, the last time none"
    assert len(messages) == 2 * (points + 1)
    return messages


def _require_once(messages: list[Message], times: Mapping[str, int], mailbox: SentFolder) -> None:
    """Each is sent or unsure, nobody has it twice, who is said to have it has it; of what is sent there is a copy."""
    have = {each.address for message in messages for each in message.recipients if each.has_it}
    sent = [message for message in messages if message.state is State.SENT]

    assert {message.state for message in messages} <= {State.SENT, State.UNKNOWN}
    assert set(times.values()) == {1}
    assert have <= set(times)
    assert all(each.has_it for message in sent for each in message.recipients)
    assert {message.copy_state for message in sent} == {CopyState.STORED}
    assert {message.message_id for message in sent} <= set(mailbox.filed)
    assert set(mailbox.filed.values()) == {1}


@pytest.mark.timeout(300)
def test_frozen_at_any_point_of_sending_and_filing_nothing_goes_twice(bench: Workbench, frozen: Freezer) -> None:
    """Of a message in several transactions too: who is said to have it has it, once; and there is one copy of each."""
    server, mailbox = NarrowServer(2), SentFolder()

    def freeze() -> None:
        _go_on(bench)
        frozen.wake()

    with ScriptedServer(server) as sending, ScriptedServer(mailbox) as filing:
        ana = furnish_sender(bench, sending.port, filing.port)
        messages = _send_at_each_point(bench, ana, frozen, freeze)

    _require_once(messages, server.times, mailbox)


@pytest.mark.timeout(300)
def test_frozen_at_any_point_of_handing_many_in_they_are_handed_in_once(bench: Workbench, frozen: Freezer) -> None:
    """Whether it is waited for, or given up after an hour and handed in again under another key."""
    server, points = NarrowServer(9), 0
    with ScriptedServer(server) as sending, ScriptedServer(SentFolder()) as filing:
        ana = furnish_sender(bench, sending.port, filing.port)
        while points < _MOST_POINTS:
            before, rows, key = len(server.handed), _rows(points), f"a{points}"
            is_frozen = frozen.begin("hand_in", points, ana.user_id, ana.full_name, ana.mail, rows, key)
            if is_frozen:
                _meanwhile(bench, ana, rows, key, gives_up=bool(points % 2))
                _go_on(bench)
                frozen.wake()
            _go_on(bench)
            assert len(server.handed) - before == 3, points
            points += 1
            if not is_frozen:
                break

    assert 8 <= points < _MOST_POINTS
    assert set(server.times.values()) == {1}


@pytest.mark.timeout(300)
def test_killed_at_any_point_of_sending_and_filing_nothing_is_lost_or_doubled(bench: Workbench) -> None:
    """By SIGKILL, each time a process of its own; another one goes on. One dot and one copy each, no untrue word."""
    server, mailbox = NarrowServer(2), SentFolder()
    with (
        freezing(bench.settings, bench.database, "each") as other,
        ScriptedServer(server) as sending,
        ScriptedServer(mailbox) as filing,
    ):
        ana = furnish_sender(bench, sending.port, filing.port)
        messages = _send_at_each_point(bench, ana, other, other.kill)

    assert any(message.state is State.UNKNOWN for message in messages)
    _require_once(messages, server.times, mailbox)


@pytest.mark.timeout(300)
def test_killed_at_any_point_of_handing_many_in_all_of_them_leave_or_none(bench: Workbench) -> None:
    """By SIGKILL; what had not been handed in is handed in again, and nobody gets it twice."""
    server, points, again = NarrowServer(9), 0, set[bool]()
    with (
        freezing(bench.settings, bench.database, "each") as other,
        ScriptedServer(server) as sending,
        ScriptedServer(SentFolder()) as filing,
    ):
        ana = furnish_sender(bench, sending.port, filing.port)
        is_killed = True
        while is_killed and points < _MOST_POINTS:
            before, rows, key = len(server.handed), _rows(points), f"a{points}"
            is_killed = other.begin("hand_in", points, ana.user_id, ana.full_name, ana.mail, rows, key)
            if is_killed:
                other.kill()
            _go_on(bench)
            assert len(server.handed) - before in (0, 3)
            again.add(len(server.handed) == before)
            if len(server.handed) == before:
                _hand_in(bench, ana, rows, f"b{points}")
            _go_on(bench)
            assert len(server.handed) - before == 3, points
            points += 1

    assert 8 <= points < _MOST_POINTS
    assert again == {True, False}
    assert set(server.times.values()) == {1}


def _rows(point: int) -> str:
    rows = "".join(f"F;{point}{each};Cliente {each};c{point}.{each}@example.com\r\n" for each in range(3))
    return f"Serie;Número;Cliente;Para\r\n{rows}"


def _meanwhile(bench: Workbench, ana: Actor, rows: str, key: str, *, gives_up: bool) -> None:
    """Hand the same in once more: by a second click, or under another key where the first one is given up by now."""
    if gives_up:
        with bench.database.session() as session:
            session.exec(update(OutboundBatchRow).values(created=_PAST))
            give_up_old(session)
        failed = [batch.id for batch in bench.batches.list(ana) if batch.state is BatchState.FAILED]
        if key not in failed:
            return
        key += "b"
    _hand_in(bench, ana, rows, key)


def _hand_in(bench: Workbench, ana: Actor, rows: str, key: str) -> None:
    plan = bench.batches.plan(ana, DocumentType.SALES_INVOICE, read_sheet(rows.encode()), ())
    bench.batches.start(ana, plan, select_rows(plan, BatchChoice()), [], key=key)
    bench.batches.wait()
