"""The product's own addresses without Streamlit and without a socket."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # It asks for a successor of httpx that the client does not need yet.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from starlette.applications import Starlette
from starlette.websockets import WebSocketDisconnect

from cgcore.server_facts import ServerFacts
from cgcore.web.app_page import AppPage
from cgcore.web.assembly import Assembly
from cgcore.web.assets import AssetFolder
from cgcore.web.origins import AllowedOrigins
from cgcore.workbench import Workbench

__all__ = ["SITE", "NoTabs", "TestClient", "WebSocketDisconnect", "answer_lifespan", "open_product"]

SITE = "http://localhost:8501"


class NoTabs:
    """No page is open: there is no Streamlit."""

    def find_owner(self, tab: str) -> str | None:  # noqa: ARG002
        """Nobody's."""
        return None

    def may_have(self, session_hash: str, file: str) -> bool:  # noqa: ARG002
        """Nobody has any."""
        return False

    def draws_uploader(self, tab: str) -> bool:  # noqa: ARG002
        """None is drawn."""
        return False

    def list_uploads(self) -> dict[tuple[str, str], int]:
        """None is kept."""
        return {}

    def list_shown_uploads(self, tab: str) -> list[str]:  # noqa: ARG002
        """None is shown."""
        return []

    def begin_upload(self, tab: str, file: str) -> None:
        """Nobody sends any."""

    def end_upload(self, tab: str, file: str) -> None:
        """None comes."""

    def drop_upload(self, tab: str, file: str) -> None:
        """There is none."""


def open_product(
    workbench: Workbench,
    origins: AllowedOrigins | None = None,
    base_url: str = SITE,
    assets: AssetFolder | None = None,
    page: AppPage | None = None,
) -> TestClient:
    """Return a browser before gate, headers, assets and routes over ``workbench``; it follows no redirect."""
    origins = origins or AllowedOrigins()
    facts = ServerFacts("127.0.0.1")
    assembly = Assembly(lambda: workbench, origins, find_address=lambda: SITE, read_facts=lambda: facts, tabs=NoTabs())
    page = page or AppPage(Path("none.html"), assets or AssetFolder(Path("none")))
    middleware = assembly.middleware(page=page, component_pages=[], last_message=b"")
    app = Starlette(routes=assembly.routes(), middleware=middleware)
    return TestClient(app, base_url=base_url, follow_redirects=False, headers={"origin": base_url})


async def answer_lifespan(receive: Any, send: Any) -> None:
    """Answer start and stop, as an app that has nothing to do at either."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})
