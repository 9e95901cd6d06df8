"""The stored outputs of cells."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime

from sqlmodel import Session, col, delete, func, select, update

from cgcore.errors import NotFound
from cgcore.runs import Run, Step, Verdict
from cgcore.storage.database import Database
from cgcore.storage.tables import ProbeRunRow

__all__ = ["ProbeRunStore"]

# Older runs of a cell are forgotten; the trail keeps that they took place.
_KEPT_PER_CELL = 20


class ProbeRunStore:
    """Creates, advances and finds runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, user_id: int, cell: str, fingerprint: str, started: datetime) -> Run:
        """Store a new run without steps, forget the oldest ones of its cell, and return it."""
        with self._database.session() as session:
            of_cell = (ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell)
            newest_first = col(ProbeRunRow.id).desc()
            # The number alone: a row brings all its steps along.
            last = session.exec(select(ProbeRunRow.number).where(*of_cell).order_by(newest_first).limit(1)).first()
            row = ProbeRunRow(
                user_id=user_id, cell=cell, fingerprint=fingerprint, started=started, number=(last or 0) + 1
            )
            session.add(row)
            old = select(ProbeRunRow.id).where(*of_cell).order_by(newest_first).offset(_KEPT_PER_CELL).limit(1000)
            session.exec(delete(ProbeRunRow).where(col(ProbeRunRow.id).in_(old)))
            session.flush()
            return _to_run(row)

    def keep_steps(self, run: Run) -> None:
        """Store the steps so far."""
        self._write(run.id, steps=[step.to_json() for step in run.steps])

    def finish(self, run: Run, session: Session | None = None) -> None:
        """Store the end of a run; with ``session`` as part of the caller's transaction."""
        self._write(
            run.id,
            session,
            steps=[step.to_json() for step in run.steps],
            verdict=run.verdict.to_json() if run.verdict else None,
            result=run.result,
            duration_ms=run.duration_ms,
            finished=run.finished,
        )

    def get(self, user_id: int, run_id: int) -> Run:
        """Return a run of this user. Raises :class:`NotFound`."""
        with self._database.read() as session:
            row = session.get(ProbeRunRow, run_id)
        if row is None or row.user_id != user_id:
            raise NotFound("no such run")
        return _to_run(row)

    def find_last(self, user_id: int, cell: str) -> Run | None:
        """Return the newest run of this user and cell."""
        with self._database.read() as session:
            wanted = select(ProbeRunRow).where(ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell)
            row = session.exec(wanted.order_by(col(ProbeRunRow.id).desc()).limit(1)).first()
        return _to_run(row) if row else None

    def count_since(self, user_id: int, cell: str, moment: datetime) -> int:
        """Return how many runs of this user and cell began after ``moment``."""
        with self._database.read() as session:
            wanted = select(func.count()).where(
                ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell, col(ProbeRunRow.started) > moment
            )
            return session.exec(wanted).one()

    def _write(self, run_id: int, session: Session | None = None, **values: object) -> None:
        with nullcontext(session) if session is not None else self._database.session() as writing:
            writing.exec(update(ProbeRunRow).where(col(ProbeRunRow.id) == run_id).values(**values))


def _to_run(row: ProbeRunRow) -> Run:
    assert row.id is not None  # noqa: S101  read from the database
    return Run(
        id=row.id,
        cell=row.cell,
        fingerprint=row.fingerprint,
        number=row.number,
        started=row.started,
        steps=tuple(Step.from_json(step) for step in row.steps),
        verdict=Verdict.from_json(row.verdict) if row.verdict else None,
        result=row.result,
        finished=row.finished,
        duration_ms=row.duration_ms,
    )
