"""The page in which Streamlit runs, in the language of the person; and the answer where there is no such page.

Apart from :mod:`cgcore.web.assembly`: the one place that knows how the page of Streamlit is made.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match

from cgcore.language import current_language, speaking
from cgcore.once import once
from cgcore.texts import lookup, sentence
from cgcore.web.assets import AssetFolder, accepts_gzip
from cgcore.web.html import Page, render_page
from cgcore.web.origins import read_headers
from cgcore.web.tabs import find_requester

__all__ = ["AppPage", "AppPages"]

_HERE = "cgcore.web"

# What Streamlit answers besides its page, asked for by that page.
_STREAMLIT = ("/_stcore/", "/static/", "/media/", "/component/", "/favicon.png", "/manifest.json")
_COMPANION = "/companion.js"
_READS = frozenset({"GET", "HEAD"})
_NOSCRIPT = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)
_LICENCE = re.compile(r"\A\s*<!--.*?-->\s*", re.DOTALL)
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
# A pointer for programs to an interface that is switched off.
_AGENT_LINK = re.compile(r"<!--(?:(?!-->).)*?agent API.*?-->\s*<link rel=\"service-desc\"[^>]*>\s*", re.DOTALL)


@dataclass
class AppPage:
    """``source``, Streamlit's own page, made ours: in the language of the person, the modules wanted soon named.

    ``addresses`` are those of the pages of the app, without the slash; ``admin_addresses`` those among them that only
    administrators have; ``first`` is a name of the one at «/».
    """

    source: Path
    assets: AssetFolder
    addresses: Collection[str] = ()
    admin_addresses: Collection[str] = ()
    first: str = ""

    @property
    def html(self) -> bytes:
        """The document in the language of the person. What a newer Streamlit words otherwise stays as it is."""
        return self._in_language(current_language())[0]

    @property
    def packed(self) -> bytes:
        """The document, compressed."""
        return self._in_language(current_language())[1]

    @once
    def _in_language(self) -> Callable[[str], tuple[bytes, bytes]]:
        return cache(self._make)

    def _make(self, language: str) -> tuple[bytes, bytes]:
        with speaking(language):
            page = self._write()
        return page, gzip.compress(page, 6, mtime=0)

    def _write(self) -> bytes:
        page = _LICENCE.sub("", self.source.read_text("utf-8"), count=1)
        page = page.replace('<html lang="en">', f'<html lang="{escape(sentence(_HERE, "language"))}">', 1)
        page = _TITLE.sub(
            f"<title>{escape(sentence(_HERE, 'product'))} · {escape(sentence(_HERE, 'section'))}</title>", page, count=1
        )
        page = _NOSCRIPT.sub(f"<noscript><p>{escape(sentence(_HERE, 'noscript'))}</p></noscript>", page, count=1)
        page = _AGENT_LINK.sub("", page, count=1)
        links = "".join(
            f'    <link rel="modulepreload" crossorigin href="./static/{name}">\n'
            for name in self.assets.wanted_files
            if f"./static/{name}" not in page
        )
        return page.replace("</head>", links + self._companion_tag() + "  </head>", 1).encode()

    def _companion_tag(self) -> str:
        texts = {
            "labels": dict(lookup("cgcore.web", "browser_labels")),
            "words": dict(lookup("cgcore.web", "browser_words")),
            "away": sentence(_HERE, "server_away"),
            "beginnings": dict(lookup("cgcore.web", "browser_beginnings")),
            "uploads": dict(lookup("cgcore.web", "browser_uploads")),
            "copied": sentence(_HERE, "copied"),
            "copy_by_hand": sentence(_HERE, "copy_by_hand"),
        }
        address = f".{_COMPANION}?v={hashlib.sha256(self.companion).hexdigest()[:12]}"
        told = escape(json.dumps(texts, ensure_ascii=False))
        return f'    <script defer src="{address}" data-texts="{told}"></script>\n'

    @once
    def companion(self) -> bytes:
        """The script that stands beside Streamlit's own."""
        return files("cgcore.web").joinpath("companion.js").read_bytes()


class AppPages:
    """ASGI middleware inside the gate: answers for every address that is a page, or none.

    Streamlit answers any address with its page, and says in it, in English, that there is none. ``routes`` are our
    own addresses, and pass.
    """

    def __init__(self, app: Any, *, page: AppPage, routes: Callable[[], list[BaseRoute]]) -> None:
        self._app = app
        self._page = page
        self._find_routes = routes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http" or scope["method"] not in _READS or self._passes(scope):
            await self._app(scope, receive, send)
        else:
            await self._answer(scope)(scope, receive, send)

    @once
    def _routes(self) -> list[BaseRoute]:
        return self._find_routes()

    def _passes(self, scope: Any) -> bool:
        if scope["path"].startswith(_STREAMLIT) or "/_stcore/" in scope["path"]:
            return True
        return any(route.matches(scope)[0] is not Match.NONE for route in self._routes)

    def _answer(self, scope: Any) -> Response:
        name = scope["path"].removeprefix("/")
        if scope["path"] == _COMPANION:
            # Its address changes with it.
            keep = {"cache-control": "private, max-age=31536000, immutable"}
            return Response(self._page.companion, media_type="text/javascript", headers=keep)
        bare = name.rstrip("/")
        if name and bare == self._page.first:
            return RedirectResponse("/", 303)
        if bare != name and bare in self._page.addresses:
            return RedirectResponse("/" + bare, 303)
        if name and (name not in self._page.addresses or not self._may_see(scope, name)):
            return _no_such_page()
        headers = {"cache-control": "private, no-cache", "vary": "accept-encoding"}
        if not accepts_gzip(read_headers(scope)):
            return HTMLResponse(self._page.html, headers=headers)
        return HTMLResponse(self._page.packed, headers={**headers, "content-encoding": "gzip"})

    def _may_see(self, scope: Any, name: str) -> bool:
        requester = find_requester(scope)
        return name not in self._page.admin_addresses or (requester is not None and requester.is_admin)


def _no_such_page() -> Response:
    page = Page(
        sentence(_HERE, "no_page_title"), sentence(_HERE, "no_page_intro"), link=("/", sentence(_HERE, "no_page_back"))
    )
    return HTMLResponse(render_page(page), 404, headers={"cache-control": "no-store"})
