"""Where exceptions become problem documents: ours, the validator's and the router's, each in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cgcore.errors import (
    CloudGestionError,
    FieldProblem,
    InvalidInput,
    NotAllowed,
    NotFound,
    StaleVersion,
    StorageBusy,
    StorageError,
    Throttled,
    VaultError,
)
from cgcore.web.api.problems import ApiProblem, ProblemCode, field_problem
from cgcore.web.api.requests import path_below

__all__ = ["add_handlers", "problem_of", "too_many_requests"]

_PLAIN: dict[type[Exception], ProblemCode] = {
    NotAllowed: ProblemCode.NOT_ALLOWED,
    NotFound: ProblemCode.NOT_FOUND,
    VaultError: ProblemCode.VAULT_UNAVAILABLE,
}

# When to ask again after a database that does not answer.
_AWAY_S = 10

_BY_STATUS = {
    400: ProblemCode.BAD_REQUEST,
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
}


def add_handlers(app: FastAPI) -> None:
    """Let every exception of ``app`` end as a problem document; only our own faults are logged by the server."""
    app.add_exception_handler(ApiProblem, _answer_problem)
    app.add_exception_handler(CloudGestionError, _answer_error)
    app.add_exception_handler(DBAPIError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unexpected)


def too_many_requests(retry_after: float) -> ApiProblem:
    """Return the refusal that asks to wait ``retry_after`` seconds (RFC 6585, section 4)."""
    seconds = max(1, math.ceil(retry_after))
    return ApiProblem(ProblemCode.TOO_MANY_REQUESTS, headers={"Retry-After": str(seconds)}, seconds=seconds)


async def _answer_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)  # noqa: S101 (the registration above says so)
    return error.to_response()


async def _answer_error(_request: Request, error: Exception) -> Response:
    return problem_of(error).to_response()


async def _answer_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found: Iterable[Mapping[str, Any]] = error.errors()
    problems = [_field_problem(entry) for entry in found]
    broken = next((entry for entry in found if entry["type"] == "json_invalid"), None)
    if broken is not None:
        return ApiProblem(ProblemCode.INVALID_JSON, position=broken["loc"][-1]).to_response()
    return ApiProblem(ProblemCode.INVALID_INPUT, errors=problems).to_response()


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _BY_STATUS.get(error.status_code, ProblemCode.BAD_REQUEST)
    headers = {"Allow": _allowed_methods(request)} if code is ProblemCode.METHOD_NOT_ALLOWED else error.headers
    return ApiProblem(code, headers=headers).to_response()


def _allowed_methods(request: Request) -> str:
    """Return every method of the path (RFC 9110, section 10.2.1); the router knows only those of one route."""
    path = path_below(request.scope)
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


async def _answer_unexpected(_request: Request, _error: Exception) -> Response:
    return ApiProblem(ProblemCode.INTERNAL).to_response()


def problem_of(error: Exception) -> ApiProblem:
    """Return the refusal that ``error`` stands for; what is nobody's refusal is an internal fault."""
    if isinstance(error, ApiProblem):
        return error
    if isinstance(error, InvalidInput):
        return ApiProblem(ProblemCode.INVALID_INPUT, errors=error.problems)
    if isinstance(error, StaleVersion):
        return ApiProblem(ProblemCode.STALE_VERSION, extra={"version": error.version})
    if isinstance(error, Throttled):
        return too_many_requests(error.retry_after)
    if isinstance(error, (StorageError, DBAPIError)):
        return _store_unavailable(error)
    code = next((code for kind, code in _PLAIN.items() if isinstance(error, kind)), ProblemCode.INTERNAL)
    return ApiProblem(code)


# What does not pass by itself: nobody is told when to come back.
_STANDING = {"storage_full": ProblemCode.STORE_FULL, "storage_readonly": ProblemCode.STORE_READ_ONLY}


def _store_unavailable(error: Exception) -> ApiProblem:
    """Return the 503 of a database that is busy or does not answer; both may be over soon (RFC 9110, 10.2.3)."""
    busy = isinstance(error, StorageBusy)
    code = ProblemCode.STORE_BUSY if busy else ProblemCode.STORE_UNAVAILABLE
    if isinstance(error, StorageError) and error.code in _STANDING:
        return ApiProblem(_STANDING[error.code])
    return ApiProblem(code, headers={"Retry-After": str(math.ceil(error.retry_after if busy else _AWAY_S))})


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    # The first part of a place is where it was looked for (body, query, path, header), not a field.
    place = [str(part) for part in entry["loc"]]
    name = ".".join(part for part in place[1:] if part != "[key]") or place[0]
    return field_problem(name, entry["type"], entry.get("ctx") or {})
