"""The REST API, put together: FastAPI with our routes, behind the front door.

Apart from its package: importing the package loads no FastAPI.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from cgcore.language import current_language
from cgcore.web.api.handlers import add_handlers
from cgcore.web.api.middleware import DOCS_PATH, PUBLIC_PATHS, SPECIFICATION_PATH, ApiAuthentication
from cgcore.web.api.openapi import build_docs_page, build_specification
from cgcore.web.api.scopes import Allowance, declared_scope
from cgcore.workbench import Workbench

__all__ = ["build_api", "build_app"]

_ROUTES = ("me", "mail_account", "templates", "series", "explain", "discover", "activity", "keys", "messages")


def build_api(
    workbench: Workbench, *, allowance: Allowance | None = None, now: Callable[[], float] = time.monotonic
) -> ApiAuthentication:
    """Return the ASGI application that is mounted at ``/api/v1``; ``now`` says for how long a body came in."""
    return ApiAuthentication(build_app(workbench), workbench, allowance or Allowance(), now=now)


def build_app(workbench: Workbench) -> FastAPI:
    """Return the FastAPI application alone. It trusts what the front door left in the scope."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.workbench = workbench
    # Several texts rendered at once are slower than one after the other: an interpreter computes one thing at a time,
    # and what it changes between keeps everybody else's call waiting.
    app.state.rendering = CapacityLimiter(1)
    add_handlers(app)
    for name in _ROUTES:
        # Not include_router: it nests what it includes, and the checks below must see every route itself.
        app.router.routes.extend(import_module(f"cgcore.web.api.routes.{name}").router.routes)
    _require_scopes(app)
    _add_descriptions(app)
    return app


def _require_scopes(app: FastAPI) -> None:
    """Refuse to start with a route that says neither what it needs nor that it is public."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path not in PUBLIC_PATHS and declared_scope(route) is None:
            raise LookupError(f"route {route.path} declares no scope")


def _add_descriptions(app: FastAPI) -> None:
    @cache
    def build(_language: str) -> tuple[bytes, str]:
        document = build_specification(app)
        return json.dumps(document, ensure_ascii=False).encode(), build_docs_page(document)

    build(current_language())  # a route without words stops the start

    async def show_specification(_request: Request) -> Response:
        return Response(build(current_language())[0], media_type="application/json")

    async def show_docs(_request: Request) -> Response:
        return HTMLResponse(build(current_language())[1])

    add: Any = app.router.add_route
    add(SPECIFICATION_PATH, show_specification, methods=["GET"], include_in_schema=False)
    add(DOCS_PATH, show_docs, methods=["GET"], include_in_schema=False)
