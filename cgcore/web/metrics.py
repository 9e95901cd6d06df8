"""``/metrics`` for Prometheus, and the counting of requests.

Apart from :mod:`cgcore.web.assembly`, as each middleware: it is tried alone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response

from cgcore.errors import StorageError
from cgcore.metrics import CONTENT_TYPE, Family, write_families
from cgcore.once import once
from cgcore.web.paths import FILES, HEALTH, METRICS, STREAMLIT_HEALTH

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["MetricsPage", "RequestMetrics", "serve_metrics"]

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"via", b"x-real-ip"})
# With a port or without; another name may begin in the same way.
_LOCAL = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?", re.IGNORECASE)
_HEAD_S = 5.0
_MAX_HEAD = 8192


class MetricsPage:
    """Writes what there is to know: of this process, and of the database where it answers."""

    def __init__(self, get_workbench: Callable[[], Workbench], instance: str) -> None:
        self._get_workbench, self._instance = get_workbench, instance

    async def write(self) -> str:
        """Return the text."""
        return await to_thread.run_sync(self._collect, limiter=self._own_thread)

    @once
    def _own_thread(self) -> CapacityLimiter:
        # Requests that wait for a database may hold every other thread.
        return CapacityLimiter(1)

    def _collect(self) -> str:
        workbench = self._get_workbench()
        families = [
            Family("cg_info", "gauge", "Which process this is.", [("cg_info", {"instance": self._instance}, 1.0)]),
            *workbench.context.metrics.list_families(),
        ]
        try:
            families += workbench.list_totals()
            up = 1.0
        except StorageError:
            up = 0.0
        families.append(
            Family("cg_database_up", "gauge", "Whether the database answers.", [("cg_database_up", {}, up)])
        )
        return write_families(families)


class RequestMetrics:
    """ASGI middleware: counts requests, and answers ``/metrics`` to this machine alone.

    To whom a proxy passes something on, or who asks for another name, it is an address like any other: behind the gate.
    """

    def __init__(self, app: Any, *, get_workbench: Callable[[], Workbench], page: MetricsPage) -> None:
        self._app, self._get_workbench, self._page = app, get_workbench, page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or pass the request on and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == METRICS and scope["method"] == "GET" and _is_local(scope):
            await Response(await self._page.write(), media_type=CONTENT_TYPE)(scope, receive, send)
        else:
            await self._count(scope, receive, send)

    async def _count(self, scope: Any, receive: Any, send: Any) -> None:
        began, kind = time.perf_counter(), _kind_of(scope["path"])
        metrics = self._get_workbench().context.metrics

        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                metrics.count("cg_requests_total", kind=kind, status=str(message["status"]))
                metrics.observe("cg_request_seconds", time.perf_counter() - began, kind=kind)
            await send(message)

        await self._app(scope, receive, note)


@asynccontextmanager
async def serve_metrics(page: MetricsPage, place: tuple[str, int] | None) -> AsyncGenerator[None, None]:
    """Answer every ``GET /metrics`` at ``place`` for the block; for None nothing is opened. Raises :class:`OSError`."""
    if place is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
            method, target = head.split(b" ", 2)[:2]
            asked = method == b"GET" and target.partition(b"?")[0] == METRICS.encode()
            body = (await page.write()).encode() if asked else b""
            status = "200 OK" if asked else "404 Not Found"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, *place, limit=_MAX_HEAD)
    try:
        yield
    finally:
        server.close()


def _kind_of(path: str) -> str:
    if path in (HEALTH, STREAMLIT_HEALTH):
        return "health"
    if path.startswith("/api/v1/"):
        return "api"
    return "file" if path.startswith(("/static/", "/component/", "/_stcore/", FILES)) else "page"


def _is_local(scope: Any) -> bool:
    host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
    if any(name.lower() in _FORWARDED for name, _ in scope["headers"]) or not _LOCAL.fullmatch(host):
        return False
    try:
        return bool(scope.get("client")) and ip_address(scope["client"][0]).is_loopback
    except ValueError:
        return False
