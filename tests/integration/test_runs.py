"""Runs are driven by workers and only read by whoever looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from cgcore.identity.actor import Actor
from cgcore.mail.steps import Leg, Stage, Status, Step, Verdict
from cgcore.runs import Cell
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
    return Verdict(verdict="ok", stage=steps[-1].stage.value, ms=ms, title="Correcto", fix="")


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
    assert seen[-1].verdict.verdict == "ok"
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


def test_users_do_not_see_each_others_runs(workbench: Workbench) -> None:
    """The same cell of another user is another run, and stays unseen."""
    ana, berta, gate = _add_user(workbench, "ana"), _add_user(workbench, "berta"), threading.Event()
    gate.set()

    run = workbench.runs.start(ana, Cell.SMTP, "f", _gated(gate, []))
    list(workbench.runs.follow(ana, run))

    assert workbench.runs.find_last(berta, Cell.SMTP) is None


def test_a_broken_job_ends_without_a_verdict(workbench: Workbench) -> None:
    """Our own fault ends the run, keeps its steps, and frees the cell for the next start."""
    actor = _add_user(workbench, "ana")

    def steps() -> Iterator[Step]:
        yield _STEP
        raise RuntimeError("ours")

    run = workbench.runs.start(actor, Cell.SMTP, "f", Job(steps=steps, judge=_judge))
    *_, last = workbench.runs.follow(actor, run)
    again = workbench.runs.start(actor, Cell.SMTP, "f", Job(steps=lambda: iter([_STEP]), judge=_judge))
    *_, ended = workbench.runs.follow(actor, again)

    assert last.verdict is None
    assert not last.is_running
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
