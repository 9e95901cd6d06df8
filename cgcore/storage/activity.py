"""The activity log's table: add a line, read a page. There is no update and no delete, here or in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Insert, false, insert
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.activity import ActivityEntry, ActivityFilters, Change, neutral_line, read_changes, write_changes
from cgcore.identity.actor import Actor
from cgcore.storage.database import Database
from cgcore.storage.search import contains
from cgcore.storage.tables import ActivityRow
from cgcore.text_rules import is_searchable

__all__ = ["ActivityLog", "iter_entries", "list_entries"]

_BATCH = 1000
_MAX_OBJECT = 200
_MAX_DETAIL = 1000
_MAX_CHANGES = 4000


class ActivityLog:
    """Appends lines to the activity log."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock

    def record(
        self,
        actor: Actor | None,
        action: str,
        object: str = "",
        result: str = "ok",
        detail: str = "",
        ip: str = "",
        session: Session | None = None,
        changes: Sequence[Change] = (),
    ) -> None:
        """Append one line. ``actor`` is None where nobody is signed in (a failed log-in).

        ``result`` is ``ok``, a diagnosis key or a problem code. With ``session`` the line is part of the caller's
        transaction: it stands if, and only if, the change does. Nothing given here may hold a secret.
        """
        row = ActivityRow(**self._line(actor, action, object, result, detail, ip, changes))
        if session is not None:
            session.add(row)
            return
        with self._database.session() as own_session:
            own_session.add(row)

    def write(
        self, session: Session, actor: Actor, action: str, object: str = "", result: str = "ok", detail: str = ""
    ) -> None:
        """Append one line at once, by a statement: inside a savepoint, or where a row of the session costs too much."""
        line = self._line(actor, action, object, result, detail, "", ())
        session.connection().execute(_insertion(), line)

    def _line(
        self,
        actor: Actor | None,
        action: str,
        object: str,
        result: str,
        detail: str,
        ip: str,
        changes: Sequence[Change],
    ) -> dict[str, Any]:
        return {
            "at": self._clock(),
            "actor_id": actor.user_id if actor else None,
            "actor_name": actor.username if actor else "",
            "action": neutral_line(action, _MAX_OBJECT),
            "object": neutral_line(object, _MAX_OBJECT),
            "result": neutral_line(result, _MAX_OBJECT),
            "detail": neutral_line(detail, _MAX_DETAIL),
            "changes": write_changes(changes, _MAX_CHANGES),
            "ip": neutral_line(ip or (actor.ip if actor else ""), _MAX_OBJECT),
            "key_id": actor.key_id if actor else "",
        }

    def note(self, actor: Actor, action: str, object: str = "") -> None:
        """Append the line of a reading. It is done, and stays done, where the line cannot be stored."""
        self._database.note(
            f"line {action} of the activity log", lambda session: self.record(actor, action, object, session=session)
        )


@cache
def _insertion() -> Insert:
    return insert(ActivityRow).inline()


def list_entries(
    session: Session, filters: ActivityFilters, *, actor_id: int | None, before: int | None, limit: int
) -> list[ActivityEntry]:
    """Return at most ``limit`` lines, the newest first, with ids below ``before``; only ``actor_id``'s own if given."""
    statement = _filtered(filters, actor_id)
    if before is not None:
        statement = statement.where(col(ActivityRow.id) < before)
    rows = session.exec(statement.order_by(col(ActivityRow.id).desc()).limit(limit)).all()
    return [_entry(row) for row in rows]


def iter_entries(session: Session, filters: ActivityFilters, *, actor_id: int | None) -> Iterator[ActivityEntry]:
    """Yield every matching line, the newest first, without holding them all."""
    before: int | None = None
    while batch := list_entries(session, filters, actor_id=actor_id, before=before, limit=_BATCH):
        yield from batch
        before = batch[-1].id


def _filtered(filters: ActivityFilters, actor_id: int | None) -> SelectOfScalar[ActivityRow]:
    statement = select(ActivityRow)
    if actor_id is not None:
        statement = statement.where(ActivityRow.actor_id == actor_id)
    for column, wanted in ((ActivityRow.action, filters.action), (ActivityRow.actor_name, filters.username)):
        if wanted:
            statement = statement.where(col(column) == wanted if is_searchable(wanted) else false())
    if filters.result:
        # «error» stands for every result that is not «ok»: a diagnosis key, a refusal.
        is_ok = col(ActivityRow.result) == "ok"
        statement = statement.where(is_ok if filters.result == "ok" else ~is_ok)
    if filters.since is not None:
        statement = statement.where(col(ActivityRow.at) >= filters.since)
    if filters.until is not None:
        statement = statement.where(col(ActivityRow.at) < filters.until)
    if filters.text:
        places = (ActivityRow.object, ActivityRow.detail, ActivityRow.changes, ActivityRow.actor_name, ActivityRow.ip)
        statement = statement.where(contains(filters.text, *places))
    return statement


def _entry(row: ActivityRow) -> ActivityEntry:
    return ActivityEntry(
        id=row.id or 0,
        at=row.at,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        action=row.action,
        object=row.object,
        result=row.result,
        detail=row.detail,
        ip=row.ip,
        key_id=row.key_id,
        changes=read_changes(row.changes),
    )
