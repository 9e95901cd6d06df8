"""The outbox's line on «Resumen». Apart from the section: who only looks loads nothing of what builds and sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.identity.actor import Actor
from cgcore.outbox.states import State
from cgcore.storage.bounces import count_bounced
from cgcore.storage.outbox import OutboxStore
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["OutboxGlance"]

_WAITING = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT)


class OutboxGlance:
    """What of a person's messages has not ended well yet."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def overview(self, actor: Actor) -> OverviewLine | None:
        """Return what waits, is held, is unsure, and came back within the last days; ``None`` where nothing is."""
        return self._context.recall(actor, ("outbox", "overview"), self._look)

    def _look(self, session: Session, actor: Actor) -> OverviewLine | None:
        counts = OutboxStore(self._context.database).count_states(session, actor.user_id)
        told = {
            "unknown": counts.get(State.UNKNOWN, 0),
            "held": counts.get(State.HELD, 0),
            "bounced": count_bounced(session, actor.user_id),
            "waiting": sum(counts.get(state, 0) for state in _WAITING),
        }
        values = {name: count for name, count in told.items() if count}
        if not values:
            return None
        state = (
            SectionState.WARNING
            if "unknown" in values or "held" in values or "bounced" in values
            else SectionState.RUNNING
        )
        return OverviewLine(SectionName.OUTBOX, state, "outbox", values)
