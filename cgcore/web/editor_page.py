"""The page in the editor's frame: in the language of the person, with scripts of ours before the editor's own.

Apart from :mod:`cgcore.web.app_page`: these pages belong to components, and change with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.responses import HTMLResponse, Response

from cgcore.once import once
from cgcore.texts import lookup, sentence

__all__ = ["EditorPages"]

# In the order in which they load.
_SCRIPTS = ("/editor.js", "/variables.js", "/images.js")
_KEEP = {"cache-control": "private, max-age=31536000, immutable"}


class EditorPages:
    """ASGI middleware inside the gate: answers for ``pages``, those of components in a frame, and for their scripts.

    ``pages`` are the installed files: ``<package>/frontend/build/index.html``. What an update of the component words
    otherwise stays as it is; what cannot be read is left to Streamlit.
    """

    def __init__(self, app: Any, *, pages: Sequence[Path]) -> None:
        self._app = app
        self._sources = {page.parents[2].name: page for page in pages}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or pass the request on."""
        answer = None
        if scope["type"] == "http" and scope["method"] == "GET":
            if scope["path"] in _SCRIPTS:
                # Their addresses change with them.
                answer = Response(self._scripts[scope["path"]], media_type="text/javascript", headers=_KEEP)
            elif source := self._source_of(scope["path"]):
                answer = await to_thread.run_sync(self._page, source)
        await (answer or self._app)(scope, receive, send)

    def _source_of(self, path: str) -> Path | None:
        parts = path.split("/")
        if len(parts) == 4 and parts[1] == "component" and parts[3] == "index.html":
            return self._sources.get(parts[2].partition(".")[0])
        return None

    def _page(self, source: Path) -> Response | None:
        try:
            page = source.read_text("utf-8")
        except OSError:
            return None
        page = page.replace('<html lang="en">', f'<html lang="{escape(sentence("cgcore.web", "language"))}">', 1)
        page = page.replace(
            "<title>Streamlit Component</title>", f"<title>{escape(sentence('cgcore.web', 'editor_title'))}</title>", 1
        )
        told = escape(json.dumps(dict(lookup("cgcore.web", "editor")), ensure_ascii=False))
        tags = "".join(
            f'<script src="../..{path}?v={hashlib.sha256(script).hexdigest()[:12]}" data-texts="{told}"></script>'
            for path, script in self._scripts.items()
        )
        return HTMLResponse(
            page.replace("</head>", tags + "</head>", 1), headers={"cache-control": "private, no-cache"}
        )

    @once
    def _scripts(self) -> dict[str, bytes]:
        return {path: files("cgcore.web").joinpath(path[1:]).read_bytes() for path in _SCRIPTS}
