"""The OpenAPI 3.1 description: what FastAPI derives, with our words, our problems and our way to identify."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from cgcore.web.api.front import PUBLIC_PATHS
from cgcore.web.api.objects import Problem
from cgcore.web.api.problems import PROBLEM_MEDIA_TYPE, api_texts
from cgcore.web.api.scopes import declared_scope

__all__ = ["SERVER_PATH", "build_specification"]

SERVER_PATH = "/api/v1"

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def build_specification(app: FastAPI) -> dict[str, Any]:
    """Return the description of ``app``."""
    texts = api_texts()["docs"]
    document = get_openapi(
        title=texts["title"],
        version="1",
        openapi_version="3.1.0",
        description=texts["intro"],
        routes=app.routes,
        servers=[{"url": SERVER_PATH}],
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    components["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    _lift_definitions(components["schemas"])
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _describe(document["paths"][route.path][method.lower()], route)
    return document


def _lift_definitions(schemas: dict[str, Any]) -> None:
    schemas.update(schemas["Problem"].pop("$defs", {}))
    # FastAPI's own error objects: no answer of ours has that shape.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _describe(operation: dict[str, Any], route: APIRoute) -> None:
    operation["summary"] = api_texts()["routes"][route.name]
    operation.pop("description", None)
    if route.path in PUBLIC_PATHS:
        operation["security"] = []
    else:
        operation["security"] = [{name: []} for name in _SECURITY]
        scope = declared_scope(route)
        operation["x-scope"] = scope.value if scope else None
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "If-Match":
            parameter.update(required=True, schema={"type": "string"}, description=api_texts()["docs"]["if_match"])
    for status, answer in operation["responses"].items():
        if PROBLEM_MEDIA_TYPE in answer.get("content", {}):
            answer["description"] = "Problem"
            answer["content"].pop("application/json", None)
            answer["headers"] = _headers_of(status)


def _headers_of(status: str) -> dict[str, Any]:
    names = {"401": "WWW-Authenticate", "429": "Retry-After"}
    return {names[status]: {"schema": {"type": "string"}, "required": True}} if status in names else {}
