"""Gone between any two commits, at every gap there is: sending, copies, and many at once. Counted is what servers have.

A process that is killed stores nothing more and says nothing more. Here nothing is stored from a commit on, whoever
asks, so each gap costs no process; those of real processes are in ``test_outbox_processes``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, event
from sqlmodel import col, update

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.outbox.batch import BatchChoice, select_rows
from cgcore.outbox.message import Message, MessageFilters
from cgcore.outbox.sheet import Sheet, read_sheet
from cgcore.outbox.states import CopyState, State
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboxSlotRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.narrow import NarrowServer
from tests.servers.outbox_house import furnish_sender
from tests.servers.scripted import ScriptedServer, SmtpScript, smtp_server
from tests.servers.sent_folder import SentFolder, find_message_id

_REQUEST = DocumentRequest(
    DocumentType.SALES_INVOICE, "F", "1", ("eva@example.com",), subject="Va {numero}", body="<p>Hola</p>", signature=""
)
_PAST = datetime(2020, 1, 1, tzinfo=UTC)
_MOST_GAPS = 60


@contextmanager
def _gone_after(database: Database, commits: int) -> Iterator[list[bool]]:
    """Let so many transactions be stored; from then on none is, whoever asks. Tells of each that was not."""
    left, struck = itertools.count(commits, -1), list[bool]()

    def stop(connection: Connection) -> None:
        if "cg_writes" in connection.get_execution_options() and next(left) <= 0:
            struck.append(True)
            raise SystemExit

    event.listen(database.engine, "commit", stop)
    try:
        yield struck
    finally:
        event.remove(database.engine, "commit", stop)


def _expire(database: Database) -> None:
    """Let every lease be over, and what waits for its time be due."""
    row = OutboundMessageRow
    with database.session() as session:
        session.exec(update(row).where(col(row.lease_until).is_not(None)).values(lease_until=_PAST))
        session.exec(update(row).values(copy_lease=None, copy_due=_PAST))
        session.exec(update(row).where(col(row.look_due).is_not(None)).values(look_due=_PAST))
        session.exec(update(OutboxSlotRow).values(lease_until=_PAST))


def _list(workbench: Workbench, ana: Actor) -> list[Message]:
    return list(workbench.outbox.list(ana, MessageFilters(), limit=200).messages)


_Run = Callable[[Callable[[Workbench], object]], None]


@pytest.fixture
def run(settings: Settings, database: Database) -> Iterator[_Run]:
    """Have a workbench of its own do something, which may be gone in the middle of it."""
    made: list[Workbench] = []

    def act(work: Callable[[Workbench], object]) -> None:
        made.append(Workbench(settings, database))
        with suppress(SystemExit):
            work(made[-1])

    yield act
    for workbench in made:
        workbench.close()


def _work(workbench: Workbench) -> None:
    workbench.outbox.worker.work_once()


def test_gone_at_any_gap_of_sending_and_copying_nothing_is_lost_or_doubled(
    settings: Settings, database: Database, run: _Run
) -> None:
    """What is left is done by whoever comes next: one dot each, one copy each, and «sent» is there."""
    mailbox, struck, gaps = SentFolder(), [True], 0
    workbench = Workbench(settings, database)
    with smtp_server(SmtpScript()) as sending, ScriptedServer(mailbox) as filing:
        ana = furnish_sender(workbench, sending.port, filing.port)
        while struck and gaps < _MOST_GAPS:
            for number in range(2):
                workbench.outbox.send(ana, replace(_REQUEST, number=f"{gaps}{number}"), f"{gaps}-{number}")
            with _gone_after(database, gaps) as struck:
                run(_work)
            _expire(database)
            run(_work)
            gaps += 1
    messages = _list(workbench, ana)
    dots = Counter(find_message_id(raw) for raw in sending.messages)
    sent = {each.message_id for each in messages if each.state is State.SENT}
    unknown = {each.message_id for each in messages if each.state is State.UNKNOWN}

    assert 10 <= gaps < _MOST_GAPS, "every gap was met, the last run met none"
    assert len(sent) + len(unknown) == len(messages) == 2 * gaps
    assert 2 <= len(unknown) <= 6
    assert sent <= set(dots) <= sent | unknown
    assert max(dots.values()) == 1
    assert {each.copy_state for each in messages if each.state is State.SENT} == {CopyState.STORED}
    assert (set(mailbox.filed), max(mailbox.filed.values())) == (sent, 1)


def test_gone_at_any_gap_between_the_transactions_of_one_message_nobody_gets_it_twice(
    settings: Settings, database: Database, run: _Run
) -> None:
    """The server takes two recipients at once of three: who is said to have it has it, and the others get it."""
    server, struck, gaps = NarrowServer(2), [True], 0
    workbench = Workbench(settings, database)
    with ScriptedServer(server) as sending, ScriptedServer(SentFolder()) as filing:
        ana = furnish_sender(workbench, sending.port, filing.port)
        while struck and gaps < _MOST_GAPS:
            to = tuple(f"c{number}@{gaps}.example.com" for number in range(3))
            workbench.outbox.send(ana, replace(_REQUEST, number=str(gaps), to=to), str(gaps))
            with _gone_after(database, gaps) as struck:
                run(_work)
            _expire(database)
            run(_work)
            gaps += 1
    messages, times = _list(workbench, ana), server.times
    have = {each.address for message in messages for each in message.recipients if each.has_it}
    unknown = [message for message in messages if message.state is State.UNKNOWN]

    assert 8 <= gaps < _MOST_GAPS, "every gap was met, the last run met none"
    assert len(messages) == gaps
    assert {message.state for message in messages} == {State.SENT, State.UNKNOWN}
    assert 2 <= len(unknown) <= 6
    assert have <= set(times)
    assert set(times.values()) == {1}
    assert all(each.has_it for message in messages if message.state is State.SENT for each in message.recipients)
    assert any(each.has_it for message in unknown for each in message.recipients)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the thread that is gone
def test_gone_at_any_gap_of_handing_many_in_all_of_them_leave_or_none(
    settings: Settings, database: Database, run: _Run
) -> None:
    """Whoever hands the same in again sends nobody a second one."""
    workbench, struck, gaps, halves = Workbench(settings, database), [True], 0, set[int]()
    with smtp_server(SmtpScript()) as sending, ScriptedServer(SentFolder()) as filing:
        ana = furnish_sender(workbench, sending.port, filing.port)
        while struck and gaps < _MOST_GAPS:
            sheet, before = read_sheet(_rows(gaps).encode()), len(sending.messages)
            with _gone_after(database, gaps) as struck:
                run(lambda bench, sheet=sheet, gap=gaps: _hand_in(bench, ana, sheet, f"a{gap}"))
            _expire(database)
            run(_work)
            halves.add(len(sending.messages) - before)
            _hand_in(workbench, ana, sheet, f"b{gaps}")
            run(_work)
            assert len(sending.messages) == before + 3
            gaps += 1

    assert 3 <= gaps < _MOST_GAPS
    assert halves == {0, 3}
    assert len(set(sending.messages)) == len(sending.messages) == 3 * gaps


def _rows(gap: int) -> str:
    rows = "".join(f"F;{gap}{number};Cliente {number};c{gap}{number}@example.com\r\n" for number in range(3))
    return f"Serie;Número;Cliente;Para\r\n{rows}"


def _hand_in(workbench: Workbench, ana: Actor, sheet: Sheet, key: str) -> None:
    plan = workbench.batches.plan(ana, DocumentType.SALES_INVOICE, sheet, ())
    workbench.batches.start(ana, plan, select_rows(plan, BatchChoice()), [], key=key)
    workbench.batches.wait()
