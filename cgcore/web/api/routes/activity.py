"""The caller's own activity."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Query

from cgcore.identity.actor import Role
from cgcore.web.api.objects import ActivityLine, ActivityList
from cgcore.web.api.routes.base import Bench, build_router
from cgcore.web.api.scopes import Reader
from cgcore.workbench.activity import detail_words

__all__ = ["router"]

router = build_router()


@router.get("/activity")
def list_activity(
    workbench: Bench,
    actor: Reader,
    cursor: Annotated[str, Query(max_length=18, pattern="^[0-9]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ActivityList:
    """What this user did, the newest first."""
    # An administrator's key reads its owner's activity too, not everybody's.
    page = workbench.activity.list(replace(actor, role=Role.USER), cursor or None, limit)
    items = [ActivityLine.model_validate(entry.as_json(detail_words(entry))) for entry in page["items"]]
    return ActivityList(items=items, next=page["next"])
