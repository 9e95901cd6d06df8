"""How each person sends: read by the pages and by batches, saved by the person alone.

Apart from the section: what it keeps is of people, not of messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.addresses import is_address
from cgcore.outbox.preferences import LONGEST_UNDO_S, OutboxPreferences
from cgcore.storage.outbox_preferences import find_preferences, put_preferences

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["PreferencesSection"]


class PreferencesSection:
    """The preferences of one installation; each person has their own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, actor: Actor) -> OutboxPreferences:
        """Return what the actor has chosen, or what holds until then."""

        def look(session: Session, actor: Actor) -> OutboxPreferences:
            return find_preferences(session, actor.user_id)

        return self._context.recall(actor, ("outbox", "preferences"), look)

    def save(self, actor: Actor, preferences: OutboxPreferences) -> None:
        """Keep the choice. Raises :class:`InvalidInput` (``adviser``, ``undo``)."""
        problems = list(_problems(preferences))
        if problems:
            raise InvalidInput(*problems)
        with self._context.write_as(actor) as (session, actor):
            put_preferences(session, actor.user_id, preferences)


def _problems(preferences: OutboxPreferences) -> Iterator[FieldProblem]:
    if preferences.adviser and not is_address(preferences.adviser):
        yield FieldProblem.of("cgcore.workbench", "adviser", "address_syntax", address=preferences.adviser[:200])
    if not 0 <= preferences.undo_s <= LONGEST_UNDO_S:
        yield FieldProblem.of("cgcore.workbench", "undo", "delay_range", limit=LONGEST_UNDO_S)
