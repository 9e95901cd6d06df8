"""What may be uploaded: into a tab of one's own, where an uploader is drawn, and no more than one person may keep.

Streamlit itself takes any file of a logged-in browser for any session whose id it names, uploader or not, and keeps it
as long as the session lives.

Apart from :mod:`cgcore.web.assembly`, as each middleware: it is tried alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cgcore.texts import sentence
from cgcore.web.origins import read_headers
from cgcore.web.tabs import Tabs, find_requester

__all__ = ["UploadLimits", "Uploads"]

_PREFIX = "/_stcore/upload_file/"
_CHANGES = frozenset({"PUT", "DELETE"})
# A file is named by its uploader only after the browser has been told that it arrived.
_FRESH_S = 60.0

_Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How many bytes and files one person may keep uploaded at a time, and how many bytes all together."""

    bytes_per_user: int = 100 * 1024 * 1024
    files_per_user: int = 500
    bytes_in_all: int = 1024 * 1024 * 1024


@dataclass(slots=True)
class _Kept:
    user_id: int
    bytes: int
    since: float
    arriving: bool = True


@dataclass
class Uploads:
    """ASGI middleware inside the gate. What a tab has uploaded counts until Streamlit lets go of it with the tab."""

    app: Any
    tabs: Tabs
    limits: UploadLimits = UploadLimits()
    clock: Callable[[], float] = time.monotonic
    _kept: dict[_Place, _Kept] = field(default_factory=dict[_Place, _Kept])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or refuse it before its body is read."""
        place = _find_place(scope)
        if place is None:
            await self.app(scope, receive, send)
            return
        requester = find_requester(scope)
        if requester is None or self.tabs.find_owner(place[0]) != requester.session_hash:
            # Nothing is noted: it may be the name of somebody else's file.
            await _refuse(send, 403, "upload_not_yours")
        elif scope["method"] == "DELETE":
            await self.app(scope, receive, send)
        else:
            self.tabs.begin_upload(*place)
            try:
                await self._take(scope, receive, send, place, requester.user_id)
            finally:
                self.tabs.end_upload(*place)

    async def _take(self, scope: Any, receive: Any, send: Any, place: _Place, user_id: int) -> None:
        length = read_headers(scope).get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            await _refuse(send, 411, "upload_no_length")
        elif not self.tabs.draws_uploader(place[0]):
            await _refuse(send, 403, "upload_no_uploader")
        elif (refusal := self._find_refusal(place, user_id, int(length))) is not None:
            await _refuse(send, *refusal)
        else:
            # Held from here on: several that arrive at once share one allowance.
            kept = self._kept[place] = _Kept(user_id, int(length), self.clock())
            try:
                await self.app(scope, receive, send)
            finally:
                kept.arriving = False

    def _find_refusal(self, place: _Place, user_id: int, size: int) -> tuple[int, str] | None:
        self._recount()
        if self._is_too_much(place, user_id, size):
            self._drop_leftovers(user_id)
        if self._is_too_much(place, user_id, size):
            return 413, "upload_too_much"
        others = sum(kept.bytes for other, kept in self._kept.items() if other != place)
        return (503, "upload_server_full") if others + size > self.limits.bytes_in_all else None

    def _is_too_much(self, place: _Place, user_id: int, size: int) -> bool:
        own = [kept.bytes for other, kept in self._kept.items() if kept.user_id == user_id and other != place]
        return len(own) >= self.limits.files_per_user or sum(own) + size > self.limits.bytes_per_user

    def _recount(self) -> None:
        stored = self.tabs.list_uploads()
        for place, kept in list(self._kept.items()):
            if kept.arriving:
                continue
            if place in stored:
                kept.bytes = stored[place]
            else:
                del self._kept[place]

    def _drop_leftovers(self, user_id: int) -> None:
        """Let go of what no uploader shows any more: Streamlit keeps a file whose uploader has gone from the page."""
        newest = self.clock() - _FRESH_S
        for place, kept in list(self._kept.items()):
            if kept.user_id != user_id or kept.arriving or kept.since > newest:
                continue
            if place[1] not in self.tabs.list_shown_uploads(place[0]):
                self.tabs.drop_upload(*place)
                del self._kept[place]


def _find_place(scope: Any) -> _Place | None:
    if scope["type"] != "http" or scope["method"] not in _CHANGES or not scope["path"].startswith(_PREFIX):
        return None
    tab, _, file = scope["path"].removeprefix(_PREFIX).partition("/")
    return tab, file


async def _refuse(send: Any, status: int, key: str) -> None:
    body = sentence("cgcore.web", key).encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        # The body was not read, and is not going to be.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
