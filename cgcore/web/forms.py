"""What the log-in pages share: reading a form, answering with a page, calling the workbench off the event loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from cgcore.errors import StorageError, Throttled
from cgcore.texts import sentence
from cgcore.vault.secret import Secret
from cgcore.web.cookies import build_cookie, build_expired_cookie, read_cookie
from cgcore.web.html import Page, render_page
from cgcore.web.perimeter import Perimeter, read_headers
from cgcore.web.texts import text

if TYPE_CHECKING:
    from cgcore.workbench import Workbench
    from cgcore.workbench.identity import IdentitySection

__all__ = ["FormPages", "say_wait", "show", "show_away", "show_throttled"]

Answer = TypeVar("Answer")

_MAX_BODY = 16 * 1024
_MAX_FIELDS = 20
# Each password check takes 19 MiB and a processor for 20 ms; a crowd of them waits in line.
_CHECKS_AT_ONCE = 4
_AWAY_S = 5


class FormPages:
    """The ground of the log-in pages."""

    def __init__(self, get_workbench: Callable[[], Workbench], perimeter: Perimeter) -> None:
        self._get_workbench = get_workbench
        self._perimeter = perimeter

    @property
    def _identity(self) -> IdentitySection:
        return self._get_workbench().identity

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(_CHECKS_AT_ONCE)

    async def _call(self, use_case: Callable[[], Answer]) -> Answer:
        return await to_thread.run_sync(use_case, limiter=self._limiter)

    async def _read_form(self, request: Request) -> dict[str, str] | Response:
        """Return the fields of a form, or the refusal of one that is no form of ours."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                return PlainTextResponse(text("form_too_big"), 413)
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError:
            return PlainTextResponse(text("form_too_big"), 413)

    def _find_token(self, request: Request) -> Secret:
        return read_cookie(request.headers.get("cookie", ""), secure=self._is_secure(request))

    def _find_ip(self, request: Request) -> str:
        return self._perimeter.find_client_ip(request.scope, read_headers(request.scope))

    def _is_secure(self, request: Request) -> bool:
        return self._perimeter.is_secure(request.scope, read_headers(request.scope))

    def _let_in(self, request: Request, token: Secret, target: str) -> Response:
        response = RedirectResponse(target, 303)
        response.headers.append("set-cookie", build_cookie(token, secure=self._is_secure(request)))
        return response

    def _show_out(self, request: Request, target: str) -> Response:
        response = RedirectResponse(target, 303)
        response.headers.append("set-cookie", build_expired_cookie(secure=self._is_secure(request)))
        return response


def show(page: Page, status: int = 200) -> Response:
    """Return the page as a response."""
    return HTMLResponse(render_page(page), status)


def show_throttled(page: Page, refused: Throttled) -> Response:
    """Return the page with the wait in it: 429 and ``Retry-After`` in whole seconds (RFC 9110, 10.2.3)."""
    response = show(page, 429)
    response.headers["retry-after"] = str(_whole_seconds(refused))
    return response


def show_away(page: Callable[[str], Page], failure: StorageError) -> Response:
    """Return the page with what the database fails with, nothing typed lost: 503 and ``Retry-After``."""
    response = show(page(sentence("cgcore.storage", failure.code)), 503)
    response.headers["retry-after"] = str(math.ceil(getattr(failure, "retry_after", _AWAY_S)))
    return response


def say_wait(refused: Throttled) -> str:
    """Return the sentence that says how long to wait."""
    seconds = _whole_seconds(refused)
    return text("enter_wait_one") if seconds == 1 else text("enter_wait", seconds=seconds)


def _whole_seconds(refused: Throttled) -> int:
    """Return the wait in seconds, rounded up: who comes back then is heard."""
    return max(1, math.ceil(refused.retry_after))
