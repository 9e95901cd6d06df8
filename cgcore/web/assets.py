"""The browser's part of Streamlit, handed out fast: from memory, compressed once, kept by the browser for good."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from anyio import to_thread

from cgcore.once import once
from cgcore.web.origins import read_headers

__all__ = ["AssetFolder", "Assets", "accepts_gzip"]

_PREFIX = "/static/"
# Nothing to gain in what is packed already (fonts, pictures).
_PACKABLE = frozenset({".js", ".css", ".json", ".svg"})
_IMPORTED = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")
_ACCEPTS_GZIP = re.compile(r"(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0+)?\s*(?:,|$))", re.IGNORECASE)
# The name of each file holds a digest of its content, so another content has another name.
_KEEP = (b"cache-control", b"private, max-age=31536000, immutable")


@dataclass(frozen=True, slots=True)
class _Asset:
    type: bytes
    plain: bytes
    packed: bytes


@dataclass
class AssetFolder:
    """The files below ``folder``, read and packed when they are first asked for.

    ``wanted`` names the modules (without digest: ``TextInput``) that every page needs soon after it is opened.
    """

    folder: Path
    wanted: Iterable[str] = ()
    _ready: dict[str, _Asset] = field(default_factory=dict[str, _Asset])

    @once
    def _names(self) -> frozenset[str]:
        # Only what was found by looking is ever opened: no address leads out of the folder.
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return frozenset(path.relative_to(self.folder).as_posix() for path in files)

    def find(self, name: str) -> _Asset | None:
        """Return the file at ``name`` (relative, with slashes), or None where there is none."""
        if name not in self._ready:
            if name not in self._names:
                return None
            plain = (self.folder / name).read_bytes()
            packed = gzip.compress(plain, 6, mtime=0) if Path(name).suffix in _PACKABLE else b""
            kind = guess_type(name)[0] or "application/octet-stream"
            self._ready[name] = _Asset(kind.encode("ascii"), plain, packed)
        return self._ready[name]

    @once
    def wanted_files(self) -> tuple[str, ...]:
        """The names of the wanted modules and of what they import.

        A page that does not name them makes the browser learn of each only when the first element of its kind arrives,
        one layer of imports after the other.
        """
        found: dict[str, None] = {}
        waiting = [name for stem in self.wanted for name in self._names if name.startswith(f"js/{stem}.")]
        while waiting:
            name = waiting.pop()
            if name in self._names and name not in found:
                found[name] = None
                waiting += [f"js/{other}" for other in _IMPORTED.findall((self.folder / name).read_text("utf-8"))]
        return tuple(found)


def accepts_gzip(headers: dict[str, str]) -> bool:
    """Return whether whoever asks takes gzip (RFC 9110, 12.5.3)."""
    return _ACCEPTS_GZIP.search(headers.get("accept-encoding", "")) is not None


class Assets:
    """ASGI middleware inside the gate: answers for the files of ``assets`` itself."""

    def __init__(self, app: Any, *, assets: AssetFolder) -> None:
        self._app = app
        self._assets = assets

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_PREFIX):
            await self._answer(scope, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Any, send: Any) -> None:
        asset = await to_thread.run_sync(self._assets.find, scope["path"].removeprefix(_PREFIX))
        if asset is None:
            # Streamlit would answer with its page.
            await _send(send, 404, [(b"content-type", b"text/plain")], b"")
            return
        packed = asset.packed and accepts_gzip(read_headers(scope))
        headers = [(b"content-type", asset.type), _KEEP]
        if asset.packed:
            headers.append((b"vary", b"accept-encoding"))
        if packed:
            headers.append((b"content-encoding", b"gzip"))
        await _send(send, 200, headers, asset.packed if packed else asset.plain)


async def _send(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
