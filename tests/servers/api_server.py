"""The REST API alone on a real socket, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette

from cgcore.language import current_language
from cgcore.web.api import app as api_application
from cgcore.web.api import build_api
from cgcore.web.api.openapi import build_specification
from cgcore.web.assembly import mount_api
from cgcore.workbench import Workbench
from tests.servers.daemon import free_ports

__all__ = ["ApiServer", "serve_api"]


class ApiServer:
    """A running API: where it is, and clients for it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, key: str = "", **headers: str) -> httpx.Client:
        """Return a client that sends ``key``."""
        own = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers={**own, **headers}, timeout=20)


@contextmanager
def serve_api(workbench: Workbench, **options: Any) -> Iterator[ApiServer]:
    """Serve the API of ``workbench`` under ``/api/v1``, as the product mounts it, until the block ends."""
    port = free_ports(1)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_application, "build_specification", _describe_once)
        app = Starlette(routes=[mount_api(build_api(workbench, **options))])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off"))
    started = threading.Event()
    server.startup = _told(server.startup, started)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="api-server")
    thread.start()
    assert started.wait(20)
    try:
        yield ApiServer(f"http://127.0.0.1:{port}/api/v1")
    finally:
        server.should_exit = True
        thread.join(20)


_DESCRIBED: dict[tuple[str, tuple[int, ...]], tuple[list[Any], dict[str, Any]]] = {}


def _describe_once(app: FastAPI) -> dict[str, Any]:
    """Every server describes the same routes when it starts, which takes longer than most tests of it."""
    routes = list(app.routes)  # kept, so that no other route gets the number of one of these
    key = current_language(), tuple(map(id, routes))
    if key not in _DESCRIBED:
        _DESCRIBED[key] = routes, build_specification(app)
    return _DESCRIBED[key][1]


def _told(startup: Any, event: threading.Event) -> Any:
    async def start(*arguments: Any, **options: Any) -> None:
        await startup(*arguments, **options)
        event.set()

    return start
