"""The trail's table: add a line, read a page. There is no update and no delete, here or in the database."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import false
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.activity import ActivityEntry, ActivityFilters, read_changes
from cgcore.storage.search import contains
from cgcore.storage.tables import ActivityRow
from cgcore.text_rules import is_searchable

__all__ = ["add_entry", "iter_entries", "list_entries"]

_BATCH = 1000


def add_entry(session: Session, row: ActivityRow) -> None:
    """Append one line in the caller's transaction."""
    session.add(row)


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
