"""Is the process alive and ready: ``/salud``, and Streamlit's address for the same.

Apart from :mod:`cgcore.web.assembly`: it answers before anything else is loaded, and before the gate judges a Host.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.responses import JSONResponse, Response

from cgcore.errors import CloudGestionError, VaultError
from cgcore.web.drain import Drain
from cgcore.web.paths import HEALTH, STREAMLIT_HEALTH

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["HealthChecks"]

_ANSWER_S = 8.0
_LOOKS_AT_ONCE = 4
_DATABASE = {"": "ok", "storage_full": "full", "storage_readonly": "readonly", "storage_damaged": "damaged"}


class HealthChecks:
    """ASGI middleware: answers whoever asks for the health, whatever the Host header says, and passes the rest on.

    200 when requests can be served, else 503, with ``{"status", "instance", "database", "vault"}``; the last two each
    ``ok`` or ``error``. The vault may be ``unopened``, a database that cannot be written ``full``, ``readonly`` or
    ``damaged``, and the status ``draining``. ``/_stcore/health`` is the same question. To the page of somebody who is
    logged in it is Streamlit's to say yes: there it hands out the cookie that uploads need.
    """

    def __init__(self, app: Any, *, get_workbench: Callable[[], Workbench], drain: Drain, instance: str) -> None:
        self._app, self._get_workbench = app, get_workbench
        self._drain, self._instance = drain, instance

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or pass the request on."""
        asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"]
        if asked not in (HEALTH, STREAMLIT_HEALTH):
            await self._app(scope, receive, send)
            return
        answer = await self._look_for_answer()
        if asked == STREAMLIT_HEALTH and answer.status_code == 200 and _has_cookie(scope):
            offer = _Offer(send)
            await self._app(scope, receive, offer.send)
            if offer.was_taken:
                return
        await answer(scope, receive, send)

    async def _look_for_answer(self) -> Response:
        database, vault = "error", "unopened"
        with move_on_after(_ANSWER_S):
            database, vault = await to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._own_threads)
        status = "ok" if database == "ok" and vault != "error" else "error"
        if self._drain.is_under_way:
            status = "draining"
        content = {"status": status, "instance": self._instance, "database": database, "vault": vault}
        return JSONResponse(content, 200 if status == "ok" else 503)

    @cached_property
    def _own_threads(self) -> CapacityLimiter:
        # Requests that wait for a database may hold every other thread.
        return CapacityLimiter(_LOOKS_AT_ONCE)

    def _look(self) -> tuple[str, str]:
        try:
            workbench = self._get_workbench()
        except CloudGestionError:
            return "error", "unopened"
        return _DATABASE.get(workbench.find_database_trouble(), "error"), _look_at_vault(workbench)


class _Offer:
    """Passes an answer on if it is 200 or 503; any other is dropped."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.was_taken = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.was_taken = message["status"] in (200, 503)
        if self.was_taken:
            await self._send(message)


def _has_cookie(scope: Any) -> bool:
    return any(name.lower() == b"cookie" for name, _ in scope["headers"])


def _look_at_vault(workbench: Workbench) -> str:
    # A look must not open what nobody has used yet: that loads cryptography, and the keyring may take seconds.
    if not workbench.is_open("vault"):
        return "unopened"
    try:
        workbench.vault.derive_key("gate")
    except VaultError:
        return "error"
    return "ok"
