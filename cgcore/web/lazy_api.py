"""The REST API, built at its first request: FastAPI is not loaded before somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyio import Lock, to_thread

if TYPE_CHECKING:
    from cgcore.workbench import Workbench

__all__ = ["LazyApi"]


class LazyApi:
    """An ASGI app that becomes the API."""

    def __init__(self, get_workbench: Callable[[], Workbench]) -> None:
        self._get_workbench = get_workbench
        self._app: Any = None
        self._lock = Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the API."""
        if self._app is None:
            async with self._lock:
                self._app = self._app or await to_thread.run_sync(self._build)
        await self._app(scope, receive, send)

    def _build(self) -> Any:
        from cgcore.web.api import build_api

        return build_api(self._get_workbench())
