"""Bounces as people see them: the switch on «Cuenta mail», and the reports that name no message.

Apart from :mod:`cgcore.workbench.outbox.bounces`, which reads the inbox: a page that shows this loads nothing of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.identity.actor import Actor
from cgcore.outbox.notices import BounceSearch, Notice
from cgcore.storage.bounces import find_search, hurry_search, list_unassigned, switch_search

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.workbench.context import Context

__all__ = ["BounceSection"]


class BounceSection:
    """Whether the inbox of each person is searched, and what was found that belongs to no message."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, actor: Actor) -> BounceSearch:
        """Return whether the actor's inbox is searched, and how that goes."""

        def look(session: Session, actor: Actor) -> BounceSearch:
            return find_search(session, actor.user_id)

        return self._context.recall(actor, ("bounces", "search"), look)

    def switch(self, actor: Actor, *, active: bool) -> None:
        """Begin to search the actor's inbox, or end it."""
        with self._context.write_as(actor) as (session, actor):
            if switch_search(session, actor.user_id, active=active):
                action = Action.BOUNCE_SEARCH_BEGUN if active else Action.BOUNCE_SEARCH_ENDED
                self._context.activity.record(actor, action, session=session)

    def hurry(self, actor: Actor) -> None:
        """Let the inbox be searched now, where it is searched at all."""
        with self._context.write_as(actor) as (session, actor):
            hurry_search(session, actor.user_id)

    def list_unassigned(self, actor: Actor) -> Sequence[Notice]:
        """Return the reports that name no message, the newest first."""

        def look(session: Session, actor: Actor) -> Sequence[Notice]:
            return list_unassigned(session, actor.user_id)

        return self._context.recall(actor, ("bounces", "unassigned"), look)
