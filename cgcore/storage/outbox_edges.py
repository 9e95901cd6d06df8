"""The edges between the states of a message: each is one conditional UPDATE, which names the state that it leads from.

Whoever finds another state there has come too late. Apart from :mod:`cgcore.storage.outbox`: that is whole messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, text
from sqlalchemy import update as update_table
from sqlmodel import Session, col, update

from cgcore.outbox.states import State, is_edge
from cgcore.storage.outbox_tables import OutboundMessageRow, metadata

__all__ = ["database_now", "move", "move_all"]


def database_now(session: Session) -> datetime:
    """Return the time by which leases and due times count: the database's own, which all processes share."""
    if session.get_bind().dialect.name == "postgresql":
        return session.connection().execute(text("SELECT clock_timestamp()")).scalar_one().astimezone(UTC)
    return datetime.now(UTC)


def move(
    session: Session, name: str, before: State, after: State, fence: int, *, tried: bool = False, **values: Any
) -> bool:
    """Take one message from one state to the next, if it still stands there and the claim is still the last one.

    ``tried``: a try has ended with it, which is counted. Rows that the session has loaded are not refreshed.
    """
    values = _edge(session, before, after, values)
    statement = _moving(before.value, after.value, tuple(sorted(values)), tried)
    placed = {f"new_{column}": value for column, value in values.items()}
    return session.connection().execute(statement, {"at_name": name, "known_fence": fence, **placed}).rowcount == 1


def move_all(session: Session, before: State, after: State, where: Iterable[Any], **values: Any) -> int:
    """Take every message of ``before`` that ``where`` names to ``after``; return how many there were."""
    values = _edge(session, before, after, values)
    moved = update(OutboundMessageRow).where(col(OutboundMessageRow.state) == before.value, *where)
    return session.exec(moved.values(state=after.value, **values)).rowcount


def _edge(session: Session, before: State, after: State, values: dict[str, Any]) -> dict[str, Any]:
    """Return all that is set along an edge; ``ValueError`` where none leads."""
    if not is_edge(before, after):
        raise ValueError(f"no edge leads from {before} to {after}")
    if "changed" not in values:
        values["changed"] = database_now(session)
    if after is not State.CLAIMED and after is not State.IN_FLIGHT:
        values = {"owner": "", "lease_until": None, **values}
    if after is not State.HELD:
        values = {"held_by": "", **values}
    return values


@cache
def _moving(before: str, after: str, columns: tuple[str, ...], tried: bool) -> Any:
    table = metadata.tables["outbound_message"]
    values: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    if tried:
        first = bindparam("new_changed", type_=table.c.changed.type)
        values |= {"attempts": table.c.attempts + 1, "first_tried": func.coalesce(table.c.first_tried, first)}
    stands = (table.c.id == bindparam("at_name"), table.c.fence == bindparam("known_fence"), table.c.state == before)
    return update_table(table).where(*stands).values(state=after, **values)
