"""The gate: nobody reaches a page, a file or a websocket without a log-in.

Apart from :mod:`cgcore.web.assembly`, as each middleware: it is tried alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from anyio import to_thread

from cgcore.errors import StorageError, VaultError
from cgcore.language import speak, speaking
from cgcore.once import once
from cgcore.server_facts import PLACE_HEADER
from cgcore.texts import sentence
from cgcore.web.drain import Drain
from cgcore.web.files import refuse_file
from cgcore.web.login_pages import read_cookie
from cgcore.web.origins import AllowedOrigins, read_headers
from cgcore.web.paths import (
    AFTER_CONNECTING,
    AFTER_CONSENT,
    AFTER_NO_CONSENT,
    ENTER,
    FILES,
    OAUTH,
    build_enter_link,
    find_consent,
    is_api,
    is_document,
    is_public,
)
from cgcore.web.tabs import TABS_PER_USER, Requester, with_requester

if TYPE_CHECKING:
    from cgcore.vault.secret import Secret
    from cgcore.workbench import Workbench
    from cgcore.workbench.identity import IdentitySection

__all__ = ["IDENTITY_HEADER", "Gate", "LiveSockets", "Socket"]


_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


class Socket:
    """One open websocket. After :meth:`end` nothing that the app still sends goes out."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._accepted = False
        self._ended = False

    async def send(self, message: Any) -> None:
        """Pass a message of the app on to the browser."""
        if self._ended:
            return
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self._ended = message["type"] == "websocket.close"
        await self._send(message)

    async def end(self, last_message: bytes) -> None:
        """Send ``last_message`` to the page, when there is one and it is listening, and close."""
        if self._ended:
            return
        self._ended = True
        # The browser may be gone already, in whatever way its server finds out.
        with suppress(Exception):
            if self._accepted and last_message:
                await self._send({"type": "websocket.send", "bytes": last_message})
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})


class LiveSockets:
    """The open websockets of this process. Added and removed on the event loop, ended from any thread."""

    def __init__(self, last_message: bytes = b"", per_user: int = TABS_PER_USER) -> None:
        self._last_message = last_message
        self._per_user = per_user
        self._by_user: Counter[int] = Counter()
        self._sockets: defaultdict[str, set[Socket]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, requester: Requester, socket: Socket) -> None:
        """Note an open socket of this log-in."""
        self._loop = asyncio.get_running_loop()
        self._sockets[requester.session_hash].add(socket)
        self._by_user[requester.user_id] += 1

    def remove(self, requester: Requester, socket: Socket) -> None:
        """Forget a socket that has closed."""
        self._sockets[requester.session_hash].discard(socket)
        if not self._sockets[requester.session_hash]:
            del self._sockets[requester.session_hash]
        self._by_user[requester.user_id] -= 1
        if not self._by_user[requester.user_id]:
            del self._by_user[requester.user_id]

    def is_crowded(self, requester: Requester) -> bool:
        """Return whether this user has as many sockets open as one may, over all log-ins."""
        return self._by_user[requester.user_id] >= self._per_user

    def list_log_ins(self) -> list[str]:
        """Return the session hash of each log-in that has a socket open."""
        return list(self._sockets)

    def end(self, session_hashes: Iterable[str]) -> None:
        """End every open socket of these log-ins."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_ending, list(session_hashes))

    def _start_ending(self, session_hashes: list[str]) -> None:
        for session_hash in session_hashes:
            for socket in list(self._sockets.get(session_hash, ())):
                task = asyncio.ensure_future(socket.end(self._last_message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


IDENTITY_HEADER = b"x-cg-user"
_PLACE_HEADER = PLACE_HEADER.encode("ascii")
_RETRY_AFTER_S = 5
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Gate:
    """ASGI middleware for HTTP and websockets: cookie → log-in → signed header; no log-in → ``/entrar``, or closed.

    The app also learns in ``x-cg-place`` which socket was asked. What a client sends by these names is dropped.

    ``get_workbench`` is called at the first request. ``last_message`` is the last websocket message of a log-in that
    ended elsewhere: it takes the tab to the log-in page; ``crowded`` is the only one of a tab too many. While
    ``drain`` is under way open tabs go on, and nobody else comes in: another process takes them, or the next one here.
    """

    def __init__(
        self,
        app: Any,
        *,
        get_workbench: Callable[[], Workbench],
        origins: AllowedOrigins,
        last_message: bytes = b"",
        crowded: bytes = b"",
        drain: Drain | None = None,
    ) -> None:
        self._app = app
        self._drain = drain or Drain()
        self._get_workbench = get_workbench
        self._origins = origins
        self._crowded = crowded
        self._live = LiveSockets(last_message)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the request through, or answer it."""
        if scope["type"] == "http":
            with speaking(read_headers(scope).get("accept-language", "")):
                await self._pass_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._pass_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _pass_request(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._admit(scope, receive, send)
        except _KeyTrouble as trouble:
            await _answer(send, 503, str(trouble))
        except StorageError as failure:
            # A page of ours asks the database before it answers; Streamlit draws what it meets by itself.
            await _answer(send, 503, sentence("cgcore.storage", failure.code), retry_after=_RETRY_AFTER_S)

    async def _admit(self, scope: Any, receive: Any, send: Any) -> None:
        headers, path = read_headers(scope), scope["path"]
        scope = _without_identity(scope)
        if not self._origins.is_host_allowed(headers.get("host", "")):
            await _answer(send, 400, sentence("cgcore.web", "foreign_host"))
        elif self._drain.is_under_way and is_document(path):
            await _answer(send, 503, sentence("cgcore.web", "draining"), retry_after=_RETRY_AFTER_S)
        elif scope["method"] not in _SAFE_METHODS and not is_api(path) and not self._origins.is_same_site(headers):
            await _answer(send, 403, sentence("cgcore.web", "foreign_origin"))
        elif is_public(path):
            await self._app(scope, receive, send)
        elif (known := await self._identify(scope, headers)) is None and path.startswith(FILES):
            # No page to come back to: the browser would keep the log-in page as the file.
            await refuse_file(send)
        elif known is None:
            await _redirect(send, _enter_link(scope))
        else:
            speak(known.locale)
            await self._app(_without_origin(_with_identity(scope, known)), receive, send)

    async def _pass_socket(self, scope: Any, receive: Any, send: Any) -> None:
        if self._drain.is_under_way:
            await _refuse_socket(scope, receive, send, 503)
            return
        headers = read_headers(scope)
        scope = _without_identity(scope)
        known = await self._identify_socket(scope, headers)
        if known is None:
            await _refuse_socket(scope, receive, send, 403)
            return
        if self._live.is_crowded(known.requester):
            await _turn_away(scope, receive, send, self._crowded)
            return
        socket = Socket(send)
        self._live.add(known.requester, socket)
        try:
            await self._app(_with_one_host(_with_identity(scope, known)), receive, socket.send)
        finally:
            self._live.remove(known.requester, socket)

    async def _identify_socket(self, scope: Any, headers: dict[str, str]) -> _Known | None:
        if not self._origins.is_host_allowed(headers.get("host", "")):
            return None
        if not self._origins.is_socket_allowed(headers):
            return None
        try:
            return await self._identify(scope, headers)
        except (_KeyTrouble, StorageError):
            return None

    async def _identify(self, scope: Any, headers: dict[str, str]) -> _Known | None:
        token = read_cookie(headers.get("cookie", ""), secure=self._origins.is_secure(scope, headers))
        if not token:
            return None
        identity = self._identity
        return await to_thread.run_sync(lambda: _look_up(identity, token))

    @once
    def _identity(self) -> IdentitySection:
        identity = self._get_workbench().identity
        identity.sessions.on_sessions_end(self._live.end)
        identity.watch(self._live.list_log_ins)
        return identity


class _KeyTrouble(Exception):
    """Nobody can be vouched for: the master key is missing, wrong or not private. The text says what to do."""


@dataclass(frozen=True, slots=True)
class _Known:
    requester: Requester
    header: bytes
    locale: str


def _look_up(identity: IdentitySection, token: Secret) -> _Known | None:
    actor = identity.sessions.find_actor_by_cookie(token)
    if actor is None:
        return None
    try:
        header = identity.sessions.sign_identity(actor.session_hash)
    except VaultError as error:
        from cgcore.vault.texts import problem_text

        raise _KeyTrouble(str(problem_text(error.code))) from None
    return _Known(Requester(actor.session_hash, actor.user_id, actor.is_admin), header.encode("ascii"), actor.locale)


def _with_identity(scope: Any, known: _Known) -> Any:
    headers = [*scope["headers"], (IDENTITY_HEADER, known.header), *_place(scope)]
    return with_requester({**scope, "headers": headers}, known.requester)


def _place(scope: Any) -> list[tuple[bytes, bytes]]:
    host, port = scope.get("server") or ("", None)
    # A Unix socket has a path and no port.
    return [(_PLACE_HEADER, (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii"))] if port else []


def _without_identity(scope: Any) -> Any:
    kept = [header for header in scope["headers"] if header[0].lower() not in (IDENTITY_HEADER, _PLACE_HEADER)]
    return {**scope, "headers": kept}


async def _refuse_socket(scope: Any, receive: Any, send: Any, status: int) -> None:
    """Answer the handshake of a websocket with ``status``; 403 where the server can answer with nothing else."""
    await receive()
    if status == 403 or "websocket.http.response" not in scope.get("extensions", {}):
        # Before accept: the client sees 403 (ASGI, websocket close).
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-length", b"0"), (b"retry-after", str(_RETRY_AFTER_S).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b""})


async def _turn_away(scope: Any, receive: Any, send: Any, last_message: bytes) -> None:
    """Accept a websocket, so that its page can be told, send ``last_message`` and close."""
    await receive()
    # A browser that offers protocols goes away without one of them (RFC 6455, 4.1).
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope.get("subprotocols", ())), None)})
    if last_message:
        await send({"type": "websocket.send", "bytes": last_message})
    await send({"type": "websocket.close", "code": 1008})


def _with_one_host(scope: Any) -> Any:
    """Return a websocket's scope whose Host is that of its Origin, which was judged before.

    A proxy may ask for another host than the browser did. Streamlit compares the two, and where they differ asks a
    service in the internet for this machine's address.
    """
    origin = next((value for name, value in scope["headers"] if name.lower() == b"origin"), b"")
    if not origin:
        return scope
    kept = [header for header in scope["headers"] if header[0].lower() != b"host"]
    return {**scope, "headers": [*kept, (b"host", origin.rpartition(b"/")[2])]}


def _without_origin(scope: Any) -> Any:
    """Return a request's scope without its Origin, which was judged before: Streamlit would do it in the same way."""
    return {**scope, "headers": [header for header in scope["headers"] if header[0].lower() != b"origin"]}


def _enter_link(scope: Any) -> str:
    if scope["method"] != "GET":
        return ENTER
    if scope["path"].startswith(OAUTH):
        # A code is in the address: it goes nowhere else, and the way begins anew after the log-in.
        has_agreed = find_consent(dict(parse_qsl(scope["query_string"].decode("latin-1"))))
        return AFTER_CONNECTING if has_agreed is None else AFTER_CONSENT if has_agreed else AFTER_NO_CONSENT
    return build_enter_link(scope["path"], scope["query_string"].decode("latin-1"))


async def _redirect(send: Any, location: str) -> None:
    headers = [(b"location", location.encode("ascii")), (b"cache-control", b"no-store"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Any, status: int, words: str, *, retry_after: int = 0) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if retry_after:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
