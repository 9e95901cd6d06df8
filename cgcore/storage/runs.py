"""The stored outputs of cells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, delete, func, select, update

from cgcore.errors import NotFound
from cgcore.runs import Run, Step, Verdict
from cgcore.storage.database import Database
from cgcore.storage.tables import ProbeRunRow

__all__ = ["ProbeRunStore"]

# Older runs of a cell are forgotten; the activity log keeps that they took place.
_KEPT_PER_CELL = 20


class ProbeRunStore:
    """Creates, advances and finds runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, user_id: int, cell: str, fingerprint: str, started: datetime, owner: str = "") -> Run | None:
        """Store a new run without steps and return it, ``None`` where one of this user and cell goes on.

        Of several processes that ask at once one gets it: the table takes one row without an end. The oldest runs of
        the cell are forgotten.
        """
        with self._database.session() as session:
            of_cell = (ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell)
            newest_first = col(ProbeRunRow.id).desc()
            # The number alone: a row brings all its steps along.
            last = session.exec(select(ProbeRunRow.number).where(*of_cell).order_by(newest_first).limit(1)).first()
            run_id = self._claim(
                session,
                user_id=user_id,
                cell=cell,
                fingerprint=fingerprint,
                started=started,
                number=(last or 0) + 1,
                owner=owner,
            )
            if run_id is None:
                return None
            old = select(ProbeRunRow.id).where(*of_cell).order_by(newest_first).offset(_KEPT_PER_CELL).limit(1000)
            session.exec(delete(ProbeRunRow).where(col(ProbeRunRow.id).in_(old)))
            return _to_run(session.get_one(ProbeRunRow, run_id))

    def keep_steps(self, run: Run) -> None:
        """Store the steps so far."""
        self._write(run.id, steps=[step.to_json() for step in run.steps])

    def finish(self, run: Run, session: Session | None = None) -> None:
        """Store the end of a run; with ``session`` as part of the caller's transaction."""
        self._write(run.id, session, **_end_of(run))

    def interrupt(self, run: Run, *, heard: bool = False) -> bool:
        """Store the end of a run that nobody drives any more.

        False where it has ended meanwhile, or, unless ``heard``, its owner has been heard of since.
        """
        left = [
            col(ProbeRunRow.id) == run.id,
            col(ProbeRunRow.finished).is_(None),
            col(ProbeRunRow.owner) == run.owner,
        ]
        if not heard:
            left.append(col(ProbeRunRow.beats) == run.beats)
        with self._database.session() as session:
            return session.exec(update(ProbeRunRow).where(*left).values(**_end_of(run))).rowcount > 0

    def beat(self, owner: str) -> None:
        """Tell the other processes that ``owner`` still drives its runs."""
        going_on = (col(ProbeRunRow.owner) == owner, col(ProbeRunRow.finished).is_(None))
        with self._database.session() as session:
            session.exec(update(ProbeRunRow).where(*going_on).values(beats=ProbeRunRow.beats + 1))

    def get(self, user_id: int, run_id: int) -> Run:
        """Return a run of this user. Raises :class:`NotFound`."""
        with self._database.read() as session:
            row = session.get(ProbeRunRow, run_id)
        if row is None or row.user_id != user_id:
            raise NotFound("no such run")
        return _to_run(row)

    def find_last(self, user_id: int, cell: str, session: Session | None = None) -> Run | None:
        """Return the newest run of this user and cell, as ``session`` sees it where one is given."""
        wanted = select(ProbeRunRow).where(ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell)
        with nullcontext(session) if session is not None else self._database.read() as reading:
            row = reading.exec(wanted.order_by(col(ProbeRunRow.id).desc()).limit(1)).first()
        return _to_run(row) if row else None

    def list_last(self, user_id: int, cell: str, limit: int, session: Session) -> Sequence[Run]:
        """Return the newest runs of this user and cell, newest first."""
        wanted = select(ProbeRunRow).where(ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell)
        return [_to_run(row) for row in session.exec(wanted.order_by(col(ProbeRunRow.id).desc()).limit(limit)).all()]

    def list_unfinished(self, *, besides: str = "") -> Sequence[Run]:
        """Return every run without an end, but those of the owner ``besides``."""
        with self._database.read() as session:
            wanted = select(ProbeRunRow).where(col(ProbeRunRow.finished).is_(None), ProbeRunRow.owner != besides)
            return [_to_run(row) for row in session.exec(wanted).all()]

    def count_since(self, user_id: int, cell: str, moment: datetime, now: datetime | None = None) -> int:
        """Return how many runs of this user and cell began after ``moment``, and not after ``now``.

        What began in the future was stored by a clock that has been set back since, and never ages.
        """
        with self._database.read() as session:
            wanted = select(func.count()).where(
                ProbeRunRow.user_id == user_id, ProbeRunRow.cell == cell, col(ProbeRunRow.started) > moment
            )
            return session.exec(wanted if now is None else wanted.where(col(ProbeRunRow.started) <= now)).one()

    def _claim(self, session: Session, **values: Any) -> int | None:
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        row = ProbeRunRow(**values).model_dump(exclude={"id", "verdict", "result", "finished"})
        claim = insert(ProbeRunRow).values(**row).on_conflict_do_nothing().returning(col(ProbeRunRow.id))
        return session.scalar(claim)

    def _write(self, run_id: int, session: Session | None = None, **values: object) -> None:
        with nullcontext(session) if session is not None else self._database.session() as writing:
            writing.exec(update(ProbeRunRow).where(col(ProbeRunRow.id) == run_id).values(**values))


def _end_of(run: Run) -> dict[str, object]:
    return {
        "steps": [step.to_json() for step in run.steps],
        "verdict": run.verdict.to_json() if run.verdict else None,
        "result": run.result,
        "duration_ms": run.duration_ms,
        "finished": run.finished,
    }


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
        owner=row.owner,
        beats=row.beats,
    )
