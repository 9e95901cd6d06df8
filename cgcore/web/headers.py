"""The security headers of every response.

Apart from :mod:`cgcore.web.assembly`, as each middleware: it is tried alone.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect

from cgcore.texts import sentence
from cgcore.web.origins import AllowedOrigins, read_headers
from cgcore.web.paths import FILES, OAUTH, STREAMLIT_HEALTH

__all__ = ["SecurityHeaders", "build_policy", "hash_inline_scripts"]

_log = logging.getLogger(__name__)

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_SECURE = re.compile(rb";\s*secure\s*(?:;|$)", re.IGNORECASE)
# Proxies take a head of 4 kB (nginx, proxy_buffer_size); all of ours together stay below 3 kB.
_MAX_FILE_NAME = 1000
_COMPONENT_PREFIX = "/component/"
_NO_STORE_PREFIXES = (
    "/api/",
    "/entrar",
    "/salir",
    "/primer-uso",
    "/nueva-contrasena/",
    "/salud",
    STREAMLIT_HEALTH,
    OAUTH,
    FILES,
)

_FIXED = (
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: browsers then send Origin: null with our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


def hash_inline_scripts(page: Path) -> list[str]:
    """Return the CSP sources of the inline scripts in an HTML file; none when the file cannot be read.

    Without them the page still works but for those scripts, so a moved file is no reason not to start.
    """
    try:
        content = page.read_bytes()
    except OSError:
        _log.warning("no inline scripts allowed: %s is not readable", page.name)
        return []
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(content))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def build_policy(script_hashes: Sequence[str], *, frame_ancestors: str) -> str:
    """Return the Content-Security-Policy (CSP Level 3). Styles are inline in Streamlit, scripts are not."""
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", *script_hashes]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {frame_ancestors}",
        ]
    )


class SecurityHeaders:
    """ASGI middleware, the outermost: adds the headers, and answers 500 itself so that this answer has them too.

    ``app_page`` is the page of the app, ``component_pages`` those of the components framed in it; the scripts
    written into them are allowed by their hash.
    """

    def __init__(
        self, app: Any, *, origins: AllowedOrigins, app_page: Path, component_pages: Sequence[Path] = ()
    ) -> None:
        self._app = app
        self._origins = origins
        self._policy = build_policy(hash_inline_scripts(app_page), frame_ancestors="'none'").encode()
        loaders = [source for page in component_pages for source in hash_inline_scripts(page)]
        # The editor lives in a frame of our own page.
        self._component_policy = build_policy(loaders, frame_ancestors="'self'").encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on and dress the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def dress(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": self._dressed(scope, list(message.get("headers", [])))}
            await send(message)

        try:
            await self._app(scope, receive, dress)
        except ClientDisconnect:
            # A reload, or an upload that somebody has cancelled: nothing broke, and nobody is there to be told.
            _log.info("a browser left in the middle of its request")
        except Exception:
            if started:
                raise
            _log.exception("a request broke")
            await _send_failure(dress)

    def _dressed(self, scope: Any, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        path = scope["path"]
        present = {name.lower() for name, _ in headers}
        policy = self._component_policy if path.startswith(_COMPONENT_PREFIX) else self._policy
        added = [header for header in _FIXED if header[0] not in present]
        if b"content-security-policy" not in present:
            added.append((b"content-security-policy", policy))
        if self._origins.is_secure(scope, read_headers(scope)):
            added.append(_TRANSPORT)
            headers = [_with_secure(*header) for header in headers]
        if path.startswith(_NO_STORE_PREFIXES):
            headers = [header for header in headers if header[0].lower() != b"cache-control"]
            # A proxy that packs an answer renames its ETag (RFC 9111, 5.2.2.6, for those that honour it).
            added.append((b"cache-control", b"no-store, no-transform"))
        return [_shortened(*header) for header in headers] + added


def _with_secure(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header; a cookie in it, whoever sets it, goes over TLS only (RFC 6265, 4.1.2.5)."""
    if name.lower() != b"set-cookie" or _SECURE.search(value):
        return name, value
    return name, value + b"; Secure"


def _shortened(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a header; the name of a download that would not fit is left to the browser."""
    long = len(value) > _MAX_FILE_NAME and name.lower() == b"content-disposition"
    return name, (value.partition(b";")[0] if long else value)


async def _send_failure(send: Any) -> None:
    body = sentence("cgcore.web", "failure").encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
