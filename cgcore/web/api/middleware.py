"""The front door: headers, misplaced keys, authentication, and the body's limits, before FastAPI reads a byte.

Whatever is not listed as public needs a key, so a new route is closed until somebody opens it. Authentication
stands here, and not in a dependency, because FastAPI parses a body before it asks its dependencies.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
from typing import Any

from sqlalchemy.exc import DBAPIError

from cgcore.api_keys.calls import CallRecord
from cgcore.errors import CloudGestionError
from cgcore.identity.actor import Actor
from cgcore.language import speak, speaking
from cgcore.web.api.handlers import problem_of, too_many_requests
from cgcore.web.api.problems import ApiProblem, ProblemCode
from cgcore.web.api.requests import (
    MESSAGES_PATH,
    check_depth,
    find_presented_key,
    form_ending,
    holds_key,
    limit_body,
    max_body,
    only_reads,
    path_below,
    read_body,
    replay,
)
from cgcore.web.api.scopes import ACTOR_KEY, ALLOWANCE_KEY, IP_KEY, PAIRING_COST, Allowance
from cgcore.web.origins import AllowedOrigins, read_headers
from cgcore.workbench import Workbench

__all__ = ["DOCS_PATH", "PAIRING_PATH", "PUBLIC_PATHS", "SPECIFICATION_PATH", "ApiAuthentication"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PAIRING_PATH = "/pairing"
SPECIFICATION_PATH = "/openapi.json"
DOCS_PATH = "/docs"
PUBLIC_PATHS = frozenset({SPECIFICATION_PATH, DOCS_PATH, PAIRING_PATH})

# RFC 6750, section 3: no more than the scheme, so that every refused key gets the same answer.
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
# What is read of a caller without a key: up to 9999 bytes.
_SMALL_BODY = re.compile(r"[0-9]{1,4}")
# A key that brings its body for longer may have been revoked by then.
_MOMENT_S = 1.0
_HEADERS = [(b"cache-control", b"no-store, no-transform"), (b"x-content-type-options", b"nosniff")]


class ApiAuthentication:
    """ASGI middleware around the whole API."""

    def __init__(
        self, app: App, workbench: Workbench, allowance: Allowance, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._workbench, self._allowance, self._now = app, workbench, allowance, now
        self._access = workbench.keys.access
        self._origins = AllowedOrigins.of(workbench.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with (
            speaking(read_headers(scope).get("accept-language", "")),
            self._access.reading() if only_reads(scope) else nullcontext(),
        ):
            await self._answer_request(scope, receive, send)

    async def _answer_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        scope = {**scope, ALLOWANCE_KEY: self._allowance}
        answer = _Answer(send)
        try:
            receive = await self._admit(scope, receive)
        except (ApiProblem, CloudGestionError, DBAPIError) as error:
            await problem_of(error).to_response()(scope, receive, answer.send)
        else:
            await self._app(scope, receive, answer.send)
        finally:
            self._record(scope, answer.status, time.perf_counter() - began)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Return the channel of the checked body; the actor is left in ``scope``."""
        path, headers = path_below(scope), read_headers(scope)
        _refuse_misplaced(scope, headers)
        ip = self._origins.find_client_ip(scope, headers)
        if path == PAIRING_PATH:
            self._count_pairing(ip)
        elif path == DOCS_PATH:
            self._require_log_in(headers)
        if path not in PUBLIC_PATHS:
            scope[ACTOR_KEY] = actor = await self._authenticate(headers, ip, receive)
            speak(actor.locale)
        scope[IP_KEY], began = ip, self._now()
        checked = await _checked_body(headers, receive, limit=max_body(path), forms=path == MESSAGES_PATH)
        if self._now() - began > _MOMENT_S:
            self._access.forget_moment()
        return checked

    async def _authenticate(self, headers: dict[str, str], ip: str, receive: Receive) -> Actor:
        key = find_presented_key(headers)
        actor = await self._access.find_actor(key, ip=ip) if key else None
        if actor is None:
            await _refuse_key_in_body(headers, receive)
            raise ApiProblem(ProblemCode.UNAUTHORIZED, headers=_CHALLENGE)
        return actor

    def _require_log_in(self, headers: dict[str, str]) -> None:
        # The gate sends who is not logged in away and signs the others; without the gate nobody reads it.
        if self._workbench.identity.sessions.verify_identity(headers.get("x-cg-user", "")) is None:
            raise ApiProblem(ProblemCode.NOT_FOUND)

    def _count_pairing(self, ip: str) -> None:
        if wait := self._allowance.take(f"ip {ip}", PAIRING_COST):
            raise too_many_requests(wait)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        actor: Actor | None = scope.get(ACTOR_KEY)
        if actor is not None:
            call = CallRecord(
                self._workbench.clock(), scope["method"], path_below(scope), status, round(seconds * 1000), actor.ip
            )
            self._access.record_call(actor.key_id, call)


class _Answer:
    """Sends on, adds the headers of every answer, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await self._send(message)


async def _checked_body(headers: dict[str, str], receive: Receive, *, limit: int, forms: bool) -> Receive:
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return receive
    declared = headers.get("content-length", "")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if forms and media_type in ("multipart/form-data", "application/json"):
        # Files are large: they are read where they are wanted, and looked at as they pass.
        ending = form_ending(headers["content-type"])
        return limit_body(receive, declared=declared, limit=limit, inspect=_refuse_key, ending=ending)
    body = await read_body(receive, declared=declared, limit=limit)
    if not body:
        return replay(body, receive)
    _refuse_key(body)
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise ApiProblem(ProblemCode.UNSUPPORTED_MEDIA_TYPE)
    if not forms:  # a message is read by its own route, outside the event loop, and has no depth of its own
        check_depth(body)
    return replay(body, receive)


def _refuse_key(body: bytes) -> None:
    if holds_key(body):
        raise ApiProblem(ProblemCode.KEY_IN_WRONG_PLACE)


def _refuse_misplaced(scope: Scope, headers: dict[str, str]) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    if holds_key(scope["path"], encoded=(query, headers.get("cookie", ""))):
        raise ApiProblem(ProblemCode.KEY_IN_WRONG_PLACE)


async def _refuse_key_in_body(headers: dict[str, str], receive: Receive) -> None:
    """Tell whoever sends a key in the body alone so. Nobody unknown is read out to: a large body stays unread."""
    declared = headers.get("content-length", "")
    if _SMALL_BODY.fullmatch(declared) and holds_key(await read_body(receive, declared=declared, limit=10**4)):
        raise ApiProblem(ProblemCode.KEY_IN_WRONG_PLACE)
