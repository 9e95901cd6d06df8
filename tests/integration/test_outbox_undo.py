"""«Deshacer» beside the worker that takes the message in the same moment: taken back or sent, never both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import update

from cgcore.documents import DocumentType
from cgcore.outbox.message import Claimed
from cgcore.outbox.pace import Pace
from cgcore.outbox.states import State
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.outbox_slots import lock_account
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import DocumentRequest
from tests.servers.outbox_house import House, furnish_sender
from tests.servers.scripted import SmtpScript, imap_server, smtp_server

_SECOND = timedelta(seconds=1)
# When its person thinks better of it: no time to undo at all, just handed in, and the time is over in this second.
_MOMENTS = [
    pytest.param(0.0, None, id="at_0_s"),
    pytest.param(10.0, 10.0, id="first"),
    pytest.param(10.0, 0.0, id="last"),
]


@pytest.fixture
def house(database: Database) -> House:
    """A house on each kind of database."""
    return House(database)


def _put(house: House, delay_s: float, left_s: float | None) -> str:
    name = house.put(delay_s=delay_s)
    if left_s is not None:
        house.set(name, due=datetime.now(UTC) + left_s * _SECOND)
    return name


@contextmanager
def _beside(work: Callable[[], object]) -> Iterator[None]:
    """Have something begin while the block is still going on; it has ended when the block has."""
    begun = threading.Event()

    def run() -> None:
        begun.set()
        work()

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(("delay_s", "left_s"), _MOMENTS)
def test_taken_back_a_moment_before_a_worker_looks_it_never_leaves(
    house: House, delay_s: float, left_s: float | None
) -> None:
    """The worker looks while the undoing is being stored: it gets nothing, then and later."""
    name, queue, claimed = _put(house, delay_s, left_s), house.queue(), list[Claimed]()
    with _beside_session(house, name) as done, _beside(lambda: claimed.extend(house.claim(queue))):
        done.set()
    house.leave(queue)
    house.set(name, due=datetime.now(UTC) - _SECOND)

    assert claimed == []
    assert house.claim(queue) == []
    assert house.get(name).state is State.CANCELLED


@contextmanager
def _beside_session(house: House, name: str) -> Iterator[threading.Event]:
    """Undo in a transaction of another thread that ends once it is told to."""
    undone, end = threading.Event(), threading.Event()

    def undo() -> None:
        with house.database.session() as session:
            assert house.store.cancel(session, house.user, name)
            undone.set()
            assert end.wait(30)

    with _beside(undo):
        assert undone.wait(20)
        yield end
        end.set()


@pytest.mark.parametrize(("delay_s", "left_s"), [_MOMENTS[0], _MOMENTS[2]])
def test_taken_a_moment_before_it_is_undone_it_leaves_and_the_person_is_told(
    house: House, delay_s: float, left_s: float | None
) -> None:
    """The undoing waits for the claim that is being stored, and comes too late."""
    name, queue, undone = _put(house, delay_s, left_s), house.queue(), list[bool]()
    assert house.enter(queue)

    def undo() -> None:
        with house.database.session() as session:
            undone.append(house.store.cancel(session, house.user, name))

    with house.database.session() as session:
        account = lock_account(session, house.user)
        (claimed,) = queue._claim(session, account, house.slot, Pace(), datetime.now(UTC))
        thread = threading.Thread(target=undo)
        thread.start()
    thread.join(30)

    assert undone == [False]
    assert queue.mark_in_flight(claimed)
    assert house.get(name).state is State.IN_FLIGHT


def test_closing_the_tab_still_sends(settings: Settings, database: Database) -> None:
    """Whoever has handed it in, and their process, are gone; the delay is the database's."""
    here, there = Workbench(settings, database), Workbench(settings, database)
    request = DocumentRequest(
        DocumentType.SALES_INVOICE, "F", "1", ("eva@example.com",), subject="Va", body="<p>Hola</p>", signature="",
        delay_s=60.0,
    )  # fmt: skip
    with smtp_server(SmtpScript()) as server, imap_server() as filing:
        ana = furnish_sender(here, server.port, filing.port)
        message, _ = here.outbox.send(ana, request, "k")
        here.outbox.close()
        there.outbox.worker.work_once()
        early = len(server.messages)
        with database.session() as session:
            session.exec(update(OutboundMessageRow).values(due=datetime.now(UTC) - _SECOND))
        there.outbox.worker.work_once()
        told = there.outbox.get(ana, message.id)
        sent = len(server.messages)
    for workbench in (here, there):
        workbench.close()

    assert (early, sent, told.state) == (0, 1, State.SENT)
