"""Runs are driven by workers and only read by whoever looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session

from cgcore.activity import Action
from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Cell, Run, Status, Step, Verdict
from cgcore.storage.runs import ProbeRunStore
from cgcore.storage.tables import UserRow
from cgcore.workbench import Workbench
from cgcore.workbench.runs import Job

_STEP = Step(leg=Leg.SMTP, stage=Stage.DNS, status=Status.OK, ms=3)


def _add_user(workbench: Workbench, name: str) -> Actor:
    with workbench.database.session() as session:
        row = UserRow(username=name, username_key=name)
        session.add(row)
        session.flush()
        return Actor(user_id=row.id or 0, username=name)


def _judge(steps: Sequence[Step], ms: int) -> Verdict:
    return Verdict("ok", steps[-1].stage, ms)


def _gated(gate: threading.Event, starts: list[int]) -> Job:
    def steps() -> Iterator[Step]:
        starts.append(1)
        yield _STEP
        assert gate.wait(10)
        yield _STEP

    return Job(steps=steps, judge=_judge)


def test_a_second_start_joins_the_run_under_way(workbench_on_each: Workbench) -> None:
    """A double click makes one run; afterwards its stored output is what everybody reads."""
    actor, gate, starts = _add_user(workbench_on_each, "ana"), threading.Event(), []
    runs = workbench_on_each.runs

    first = runs.start(actor, Cell.SMTP, "f1", _gated(gate, starts))
    second = runs.start(actor, Cell.SMTP, "f2", _gated(gate, starts))
    gate.set()
    seen = list(runs.follow(actor, first))

    assert second.id == first.id
    assert starts == [1]
    assert [len(run.steps) for run in seen][-1] == 2
    assert seen[-1].verdict is not None
    assert seen[-1].verdict.key == "ok"
    assert runs.find_last(actor, Cell.SMTP) == seen[-1]


def test_a_follower_that_leaves_stops_nothing(workbench: Workbench) -> None:
    """Closing the reader in the middle leaves the worker going, and its result is stored."""
    actor, gate = _add_user(workbench, "ana"), threading.Event()
    run = workbench.runs.start(actor, Cell.IMAP, "f", _gated(gate, []))

    reader = workbench.runs.follow(actor, run)
    next(reader)
    del reader
    gate.set()
    *_, last = workbench.runs.follow(actor, run)

    assert last.verdict is not None
    assert len(last.steps) == 2


def test_users_do_not_see_each_others_runs(workbench_on_each: Workbench) -> None:
    """The same cell of another user is another run, and stays unseen."""
    ana, berta, gate = _add_user(workbench_on_each, "ana"), _add_user(workbench_on_each, "berta"), threading.Event()
    gate.set()

    run = workbench_on_each.runs.start(ana, Cell.SMTP, "f", _gated(gate, []))
    list(workbench_on_each.runs.follow(ana, run))

    assert workbench_on_each.runs.find_last(berta, Cell.SMTP) is None


def test_a_broken_job_ends_with_a_verdict_that_says_so(workbench: Workbench) -> None:
    """Our own fault ends the run, keeps its steps, and frees the cell for the next start."""
    actor = _add_user(workbench, "ana")

    def steps() -> Iterator[Step]:
        yield _STEP
        raise RuntimeError("ours")

    run = workbench.runs.start(actor, Cell.SMTP, "f", Job(steps=steps, judge=_judge))
    *_, last = workbench.runs.follow(actor, run)
    again = workbench.runs.start(actor, Cell.SMTP, "f", Job(steps=lambda: iter([_STEP]), judge=_judge))
    *_, ended = workbench.runs.follow(actor, again)

    assert last.verdict is not None
    assert (last.verdict.key, last.failed, last.is_running) == ("broken", True, False)
    assert len(last.steps) == 1
    assert ended.number == 2


def test_a_follower_may_leave_while_nothing_happens(workbench: Workbench) -> None:
    """What ``idle`` raises ends the following, not the run: whoever waits for a silent server can go elsewhere."""
    actor, gate = _add_user(workbench, "ana"), threading.Event()
    run = workbench.runs.start(actor, Cell.IMAP, "f", _gated(gate, []))

    def leave() -> None:
        raise LookupError("elsewhere")

    with pytest.raises(LookupError):
        list(workbench.runs.follow(actor, run, idle=leave))
    gate.set()
    *_, last = workbench.runs.follow(actor, run)

    assert last.verdict is not None
    assert len(last.steps) == 2


def test_stored_runs_are_counted_and_read_by_their_owner_only(workbench_on_each: Workbench) -> None:
    """Those of one cell that began after a moment; steps are there before the end, and nobody else gets at them."""
    ana, berta = _add_user(workbench_on_each, "ana"), _add_user(workbench_on_each, "berta")
    store, noon = ProbeRunStore(workbench_on_each.database), datetime(2026, 11, 24, 12, tzinfo=UTC)
    first = store.create(ana.user_id, Cell.SMTP, "f", noon)
    assert first is not None
    assert store.create(ana.user_id, Cell.SMTP, "f", noon) is None
    store.finish(replace(first, finished=noon))
    run = store.create(ana.user_id, Cell.SMTP, "f", noon + timedelta(seconds=1))
    assert run is not None
    store.keep_steps(replace(run, steps=(_STEP,)))

    assert (run.number, store.get(ana.user_id, run.id).steps) == (2, (_STEP,))
    assert store.count_since(ana.user_id, Cell.SMTP, noon) == 1
    assert (store.count_since(ana.user_id, Cell.IMAP, noon), store.count_since(berta.user_id, Cell.SMTP, noon)) == (
        0,
        0,
    )
    with pytest.raises(NotFound):
        store.get(berta.user_id, run.id)


def test_the_end_of_a_run_and_its_line_in_the_trail_stand_together(workbench_on_each: Workbench) -> None:
    """They are one transaction: a result that cannot be stored leaves neither verdict nor line."""
    actor, activity = _add_user(workbench_on_each, "ana"), workbench_on_each.context.activity

    def conclude(_steps: Sequence[Step], verdict: Verdict, session: Session) -> dict[str, object]:
        activity.record(actor, Action.PROBE_RUN, result=verdict.key, session=session)
        return {"whole": done.is_set() or object()}

    done, ended = threading.Event(), list[Run]()
    for _ in range(2):
        run = workbench_on_each.runs.start(actor, Cell.SMTP, "f", Job(lambda: iter([_STEP]), _judge, conclude))
        ended += [*workbench_on_each.runs.follow(actor, run)][-1:]
        done.set()
    broken, whole = ended

    assert (broken.is_running, broken.verdict and broken.verdict.key, broken.result) == (False, "broken", None)
    assert (whole.verdict is not None, whole.result) == (True, {"whole": True})
    assert [entry.action for entry in workbench_on_each.activity.list(actor)["items"]] == [Action.PROBE_RUN]
