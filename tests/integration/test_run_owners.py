"""A run belongs to a process: what becomes of it when that one is killed, stopped, or cannot store; and two at once."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from cgcore.activity import Action
from cgcore.identity.actor import Actor
from cgcore.process import has_ended, new_owner
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.settings import Settings
from cgcore.storage.database import Database
from cgcore.storage.runs import ProbeRunStore
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job, RunSection
from cgcore.workbench.verdicts import verdict_texts
from tests.servers.driving import drive
from tests.servers.house import add_user
from tests.servers.identity import set_clock

_STEP = Step("smtp", "dns", Status.OK, ms=3)
_ELSEWHERE = ":".join([new_owner().partition(":")[0], "another-space", "1", "1", "abc"])  # another container
_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _open(runs: RunSection, actor: Actor, gate: threading.Event) -> Run:
    def steps() -> Iterator[Step]:
        yield _STEP
        assert gate.wait(20)
        yield _STEP

    return runs.start(actor, Cell.SMTP, "f", Job(steps, lambda _steps, ms: Verdict("ok", "dns", ms)))


def _quick() -> Job:
    return Job(lambda: iter([_STEP]), lambda _steps, ms: Verdict("ok", "dns", ms))


def _key(run: Run | None) -> str:
    assert run is not None
    return run.verdict.key if run.verdict else "running"


def _left_by(workbench: Workbench, actor: Actor, owner: str) -> Run:
    """Store a run of another process, as it stands while that one drives it."""
    run = ProbeRunStore(workbench.database).create(actor.user_id, Cell.SMTP, "f", _NOON, owner)
    assert run is not None
    return run


def test_a_killed_process_leaves_an_interrupted_run(settings: Settings, database: Database, tmp_path: Path) -> None:
    """It is closed by the next process at once, says what to do, and the cell is free again."""
    actor = add_user(Workbench(settings, database), "ana")
    with socket.create_server(("127.0.0.1", 0)) as server, drive(database, tmp_path, actor.user_id, _port(server)) as a:
        a.go()
        run_id = int(a.says("run"))
        # Held: the run goes on for as long as its server is there.
        connection, _ = server.accept()
        before = ProbeRunStore(database).get(actor.user_id, run_id)
        a.process.kill()
        a.process.wait(20)
        connection.close()
        workbench = Workbench(settings, database)
        _ = workbench.runs
        stored = ProbeRunStore(database).get(actor.user_id, run_id)
    again = workbench.runs.start(actor, Cell.TEST_MAIL, "f", _quick())
    *_, ended = workbench.runs.follow(actor, again)
    workbench.close()

    assert before.is_running
    assert (stored.is_running, _key(stored), stored.failed) == (False, "interrupted", True)
    assert stored.verdict is not None
    assert verdict_texts(Cell.TEST_MAIL, stored.verdict)[1].startswith("El programa se detuvo mientras enviaba.")
    assert (ended.number, _key(ended)) == (2, "ok")


def test_a_run_left_open_is_closed_by_whoever_looks(workbench_on_each: Workbench) -> None:
    """Also where its process ends while this one goes on: no page ever sees a run that nobody drives."""
    actor = add_user(workbench_on_each, "ana")
    runs = workbench_on_each.runs
    boot, namespace, _pid, _started, _random = new_owner().split(":")
    gone = ":".join([boot, namespace, "4194304", "1", "abc"])  # no process has a number above the kernel's limit
    left = _left_by(workbench_on_each, actor, gone)
    seen = list(runs.follow(actor, left))

    assert [_key(run) for run in seen] == ["interrupted"]
    assert runs.find_last(actor, Cell.SMTP) == seen[-1]
    assert ProbeRunStore(workbench_on_each.database).get(actor.user_id, left.id) == seen[-1]


def test_an_owner_elsewhere_is_gone_once_it_is_silent(workbench_on_each: Workbench) -> None:
    """Half a minute without a beat, by our own clock; while it beats it is left alone, however old its moments are."""
    actor, clock = add_user(workbench_on_each, "ana"), [0.0]
    runs, store = (
        RunSection(workbench_on_each.context, monotonic=lambda: clock[0]),
        ProbeRunStore(workbench_on_each.database),
    )
    left, seen = _left_by(workbench_on_each, actor, _ELSEWHERE), list[str]()
    for passed in (0, 29, 29, 29):
        clock[0] += passed
        store.beat(_ELSEWHERE)
        runs.beat()
        seen.append(_key(runs.find_last(actor, Cell.SMTP)))
    joined = runs.start(actor, Cell.SMTP, "f", _quick())
    clock[0] += 31
    runs.beat()
    closed = store.get(actor.user_id, left.id)
    runs.close()

    assert seen == ["running"] * 4
    assert joined.id == left.id
    assert _key(closed) == "interrupted"


def test_a_clock_that_goes_back_a_day_ends_and_blocks_nothing(workbench_on_each: Workbench) -> None:
    """A run goes on under it and one of tomorrow that nobody drives is closed; what began tomorrow is not counted."""
    actor, gate, now = add_user(workbench_on_each, "ana"), threading.Event(), [datetime.now(UTC)]
    set_clock(workbench_on_each, lambda: now[0])
    run = _open(workbench_on_each.runs, actor, gate)
    now[0] -= timedelta(days=1)
    workbench_on_each.runs.beat()
    during = workbench_on_each.runs.find_last(actor, Cell.SMTP)
    gate.set()
    *_, ended = workbench_on_each.runs.follow(actor, run)
    store = ProbeRunStore(workbench_on_each.database)

    assert during is not None
    assert during.is_running
    assert _key(ended) == "ok"
    assert store.count_since(actor.user_id, Cell.SMTP, now[0] - timedelta(hours=1), now[0]) == 0
    assert store.count_since(actor.user_id, Cell.SMTP, now[0] - timedelta(hours=1)) == 1


def test_processes_that_start_at_once_make_one_conversation(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """Four processes, one run: the others join it, follow it to its end, and one line stands in the activity log."""
    workbench = Workbench(settings, database)
    actor = add_user(workbench, "ana")
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        drivers = [stack.enter_context(drive(database, tmp_path, actor.user_id, _port(server))) for _ in range(4)]
        for driver in drivers:
            driver.go()
        ids = {driver.says("run") for driver in drivers}
        connection, _ = server.accept()
        connection.close()
        ends = {driver.says("end") for driver in drivers}
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    trail = [entry.action for entry in workbench.activity.list(actor)["items"]]
    workbench.close()

    assert len(ids) == 1
    assert ends == {"ok"}
    assert trail == [Action.TEST_MAIL_SENT]


def test_a_run_that_cannot_be_stored_is_shown_and_stored_later(workbench_on_each: Workbench) -> None:
    """A full disk at the end: the result is there all the same, and is stored once there is room."""
    actor, gate = add_user(workbench_on_each, "ana"), threading.Event()
    runs, store = workbench_on_each.runs, ProbeRunStore(workbench_on_each.database)

    def conclude(_steps: object, verdict: Verdict, session: object) -> dict[str, object]:
        workbench_on_each.context.activity.record(actor, Action.PROBE_RUN, "x" * 200, verdict.key, session=session)  # type: ignore[arg-type]
        return {"filler": "x" * 200_000}

    def steps() -> Iterator[Step]:
        assert gate.wait(20)
        yield replace(_STEP, reply="x" * 2000)

    job = Job(steps, lambda _steps, ms: Verdict("ok", "dns", ms), conclude)
    run = runs.start(actor, Cell.SMTP, "f", job)
    with _full(workbench_on_each.database):
        gate.set()
        *_, shown = runs.follow(actor, run)
        found = runs.find_last(actor, Cell.SMTP)
        stored = store.get(actor.user_id, run.id)
    runs.beat()
    again = runs.start(actor, Cell.SMTP, "f", _quick())

    assert (_key(shown), _key(found), _key(stored)) == ("ok", "ok", "running")
    assert _key(store.get(actor.user_id, run.id)) == "ok"
    assert [entry.action for entry in workbench_on_each.activity.list(actor)["items"]] == [Action.PROBE_RUN]
    assert again.number == 2


def test_an_orphan_on_a_full_disk_is_no_run_that_goes_on(workbench_on_each: Workbench) -> None:
    """It cannot be closed, and is shown as interrupted nevertheless."""
    actor = add_user(workbench_on_each, "ana")
    left = _left_by(workbench_on_each, actor, "")
    with _full(workbench_on_each.database):
        shown = list(workbench_on_each.runs.follow(actor, left))
        found = workbench_on_each.runs.find_last(actor, Cell.SMTP)

    assert ([_key(run) for run in shown], _key(found)) == (["interrupted"], "interrupted")


def test_a_process_that_stops_closes_what_goes_on(workbench_on_each: Workbench) -> None:
    """As interrupted, after a moment; a result that comes in time after all is the one that stays."""
    actor, gate = add_user(workbench_on_each, "ana"), threading.Event()
    runs, store = RunSection(workbench_on_each.context), ProbeRunStore(workbench_on_each.database)
    run = _open(runs, actor, gate)
    runs.close()
    closed = store.get(actor.user_id, run.id)
    gate.set()
    for _ in runs.follow(actor, run):
        pass

    assert (_key(closed), [step.stage for step in closed.steps]) == ("interrupted", ["dns"])
    assert _key(store.get(actor.user_id, run.id)) == "ok"


def test_a_process_that_is_told_to_end_leaves_no_run_open(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """SIGTERM without a last word: the run is closed by whoever starts next."""
    actor = add_user(Workbench(settings, database), "ana")
    with socket.create_server(("127.0.0.1", 0)) as server, drive(database, tmp_path, actor.user_id, _port(server)) as a:
        a.go()
        run_id = int(a.says("run"))
        # Held: the run goes on for as long as its server is there.
        connection, _ = server.accept()
        a.process.send_signal(signal.SIGTERM)
        a.process.wait(20)
        connection.close()
        workbench = Workbench(settings, database)
        found = workbench.runs.find_last(actor, Cell.TEST_MAIL)
    workbench.close()

    assert found is not None
    assert (found.id, _key(found)) == (run_id, "interrupted")


def test_who_lives_and_who_has_ended() -> None:
    """This process lives; nobody, and a number that another process has now, have ended; elsewhere nobody can tell."""
    own = new_owner()
    boot, namespace, pid, _started, random = own.split(":")
    restarted = ":".join([boot, namespace, pid, "1", random])
    earlier = ":".join(["another-boot", namespace, pid, "1", random])

    assert not has_ended(own, here=True)
    assert has_ended("", here=False)
    assert has_ended(restarted, here=False)
    assert (has_ended(earlier, here=True), has_ended(earlier, here=False)) == (True, False)
    assert not has_ended(":".join([boot, "another-space", pid, "1", random]), here=True)
    assert new_owner() != own


def _port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@contextmanager
def _full(database: Database) -> Iterator[None]:
    """Let the database take no more: a disk without room (SQLite), a server that only reads (PostgreSQL)."""
    told = "PRAGMA max_page_count=1" if database.is_sqlite else "SET default_transaction_read_only = on"

    def limit(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(told)
        cursor.close()
        if not database.is_sqlite:
            connection.commit()  # type: ignore[attr-defined]

    event.listen(database.engine, "connect", limit)
    database.engine.dispose()
    try:
        yield
    finally:
        event.remove(database.engine, "connect", limit)
        database.engine.dispose()
