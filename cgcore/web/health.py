"""Is the process alive and ready: ``/salud``.

Apart from :mod:`cgcore.web.assembly`: it answers before anything else is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cgcore.errors import CloudGestionError, VaultError

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["HealthPage"]

_ANSWER_S = 8.0
_LOOKS_AT_ONCE = 4
_DATABASE = {"": "ok", "storage_full": "full", "storage_readonly": "readonly", "storage_damaged": "damaged"}


class HealthPage:
    """Answers whoever asks: 200 when requests can be served, else 503."""

    def __init__(self, get_workbench: Callable[[], Workbench]) -> None:
        self._get_workbench = get_workbench

    async def show(self, _request: Request) -> Response:
        """Return ``{"status", "database", "vault"}``, each ``ok`` or ``error``.

        The vault may be ``unopened``, and a database that cannot be written ``full``, ``readonly`` or ``damaged``.
        """
        database, vault = "error", "unopened"
        with move_on_after(_ANSWER_S):
            database, vault = await to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._own_threads)
        healthy = database == "ok" and vault != "error"
        content = {"status": "ok" if healthy else "error", "database": database, "vault": vault}
        return JSONResponse(content, 200 if healthy else 503)

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


def _look_at_vault(workbench: Workbench) -> str:
    # A look must not open what nobody has used yet: that loads cryptography, and the keyring may take seconds.
    if not workbench.is_open("vault"):
        return "unopened"
    try:
        workbench.vault.derive_key("gate")
    except VaultError:
        return "error"
    return "ok"
