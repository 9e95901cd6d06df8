"""What every route module uses: the workbench of the application, and the router with its problem answers."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Request

from cgcore.workbench import Workbench

__all__ = ["TAGGED", "Bench", "RenderTurn", "build_router", "problems"]

# The OpenAPI entry of an answer that carries the version it was read at.
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": {"ETag": {"schema": {"type": "string"}}}}}


async def _workbench(request: Request) -> Workbench:
    return request.app.state.workbench


async def _rendering(request: Request) -> CapacityLimiter:
    return request.app.state.rendering


Bench = Annotated[Workbench, Depends(_workbench)]
RenderTurn = Annotated[CapacityLimiter, Depends(_rendering)]
"""Whose turn it is to render: one text at a time in a process."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of problem answers with these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"content": {"application/problem+json": {"schema": schema}}} for status in statuses}


def build_router() -> APIRouter:
    """Return a router whose routes may answer with any of the front door's refusals."""
    return APIRouter(
        responses=problems(400, 401, 403, 422, 429, 500, 503), generate_unique_id_function=lambda route: route.name
    )
