"""Pictures and downloads: each for the log-in whose page has drawn it.

Streamlit names a file by its content and gives it to whoever asks. Alone, beside the uploads: those come in, these go
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cgcore.texts import sentence
from cgcore.web.paths import FILES
from cgcore.web.tabs import Tabs, find_requester

__all__ = ["Files", "refuse_file"]


@dataclass(frozen=True, slots=True)
class Files:
    """ASGI middleware inside the gate. Somebody else's file is answered like one that does not exist."""

    app: Any
    tabs: Tabs

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 404."""
        if scope["type"] == "http" and scope["path"].startswith(FILES):
            requester = find_requester(scope)
            file = scope["path"].removeprefix(FILES)
            if requester is None or not self.tabs.may_have(requester.session_hash, file):
                await refuse_file(send)
                return
        await self.app(scope, receive, send)


async def refuse_file(send: Any) -> None:
    """Answer 404: there is no such file, not for this log-in, or there is no log-in any more."""
    body = sentence("cgcore.web", "no_file").encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
