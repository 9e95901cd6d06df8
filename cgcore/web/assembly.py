"""What the ASGI app is made of besides Streamlit: routes, middleware, start and stop.

Apart from ``streamlit_app.py``: it knows no Streamlit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from anyio import Lock, to_thread
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from cgcore.errors import InvalidInput, InvalidSettings, StorageError, UnsafeStart
from cgcore.mail.oauth_paths import CALLBACK, GO
from cgcore.process import name_instance
from cgcore.server_facts import ServerFacts
from cgcore.settings import Settings, describe_problems, load_settings
from cgcore.texts import sentence
from cgcore.vault.secret import Secret
from cgcore.web.app_page import AppPage, AppPages
from cgcore.web.assets import Assets
from cgcore.web.connections import raise_descriptor_limit
from cgcore.web.drain import REPLICA_DRAIN_S, Drain
from cgcore.web.editor_page import EditorPages
from cgcore.web.files import Files
from cgcore.web.gate import Gate
from cgcore.web.headers import SecurityHeaders
from cgcore.web.health import HealthChecks
from cgcore.web.login_pages import FirstUsePages, LoginPages, NewPasswordPages, show_crowded
from cgcore.web.metrics import MetricsPage, RequestMetrics, serve_metrics
from cgcore.web.oauth_pages import OAuthPages
from cgcore.web.origins import AllowedOrigins
from cgcore.web.paths import CROWDED, ENTER, FIRST_USE, LEAVE, NEW_PASSWORD, OAUTH_END
from cgcore.web.startup import find_refusals
from cgcore.web.tabs import Tabs
from cgcore.web.uploads import Uploads
from cgcore.workbench.start import require_past, sole_server

if TYPE_CHECKING:
    from cgcore.web.nightly import Nightly
    from cgcore.workbench import Workbench

__all__ = [
    "Assembly",
    "LazyApi",
    "NoDelay",
    "announce_code",
    "mount_api",
    "open_first_use",
    "say",
    "start_descriptors",
    "start_settings",
]

_HERE = "cgcore.web"

_FEW_DESCRIPTORS = 512
_SWEEP_S = 30.0
_OUTBOX_AFTER_S = 2.0


def start_descriptors() -> int:
    """Return how many files and connections this process may open, once it may open as many as the system lets it."""
    count = raise_descriptor_limit()
    if count < _FEW_DESCRIPTORS:
        say(sentence(_HERE, "console_few_descriptors", count=count))
    return count


def start_settings() -> Settings:
    """Return the settings of a server that starts, or say what is wrong with them and end the process."""
    try:
        return load_settings()
    except InvalidSettings as refused:
        say(
            sentence(_HERE, "console_settings", reasons="\n".join(f"  - {each}" for each in describe_problems(refused)))
        )
        raise SystemExit(1) from None


def open_first_use(workbench: Workbench, address: str) -> None:
    """At start: create the administrator that the settings name, else print the code that creates one by hand."""
    identity = workbench.identity
    try:
        if identity.accounts.create_configured_admin():
            say(sentence(_HERE, "console_admin_created", username=workbench.settings.admin_user))
    except InvalidInput as refused:
        say(sentence(_HERE, "console_admin_refused", reason=" ".join(problem.message for problem in refused.problems)))
    if identity.accounts.first_use_needed():
        announce_code(identity.accounts.issue_first_use_code(), address)
    else:
        say(sentence(_HERE, "console_ready", address=address))


def announce_code(code: Secret, address: str) -> None:
    """Print the code and where it is typed in."""
    say(sentence(_HERE, "console_first_use", address=address, code=code.reveal()))


def say(words: str) -> None:
    """Write to standard output, at once, also where it is a file."""
    sys.stdout.write(words)
    sys.stdout.flush()


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


def mount_api(app: Any) -> Mount:
    """Return the route that gives ``app`` whatever lies below ``/api/v1``.

    Starlette's own pattern ends at a line break, which a path may hold as %0A: that would be Streamlit's to answer.
    """
    mount = Mount("/api/v1", app)
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


class Assembly:
    """The parts of one app. Where browsers reach it, and how it was started, is asked for once it listens.

    With ``settings`` it is the only server on their data folder.
    """

    def __init__(
        self,
        get_workbench: Callable[[], Workbench],
        origins: AllowedOrigins,
        *,
        find_address: Callable[[], str],
        read_facts: Callable[[], ServerFacts],
        tabs: Tabs,
        settings: Settings | None = None,
    ) -> None:
        self._get_workbench = get_workbench
        self._origins = origins
        self._find_address = find_address
        self._read_facts = read_facts
        self._tabs = tabs
        self._settings = settings
        self._drain = Drain()
        self._nightly: Nightly | None = None
        self._instance = name_instance(settings)
        self._metrics = MetricsPage(get_workbench, self._instance)

    def routes(self) -> list[BaseRoute]:
        """Return our own addresses; they come before Streamlit's."""
        login = LoginPages(self._get_workbench, self._origins)
        first_use = FirstUsePages(self._get_workbench, self._origins, renew_code=self._renew_code)
        new_password = NewPasswordPages(self._get_workbench, self._origins)
        oauth = OAuthPages(self._get_workbench, self._origins)
        return [
            Route(ENTER, login.show_enter, methods=["GET"]),
            Route(ENTER, login.enter, methods=["POST"]),
            Route(LEAVE, login.show_leave, methods=["GET"]),
            Route(LEAVE, login.leave, methods=["POST"]),
            Route(CROWDED, show_crowded, methods=["GET"]),
            Route(FIRST_USE, first_use.show_form, methods=["GET"]),
            Route(FIRST_USE, first_use.create, methods=["POST"]),
            Route(NEW_PASSWORD + "{token}", new_password.show_form, methods=["GET"]),
            Route(NEW_PASSWORD + "{token}", new_password.save, methods=["POST"]),
            Route(GO + "{attempt}", oauth.leave, methods=["GET"]),
            Route(CALLBACK + "{provider}", oauth.come_back, methods=["GET"]),
            Route(OAUTH_END + "{attempt}", oauth.show_end, methods=["GET"]),
            mount_api(LazyApi(self._get_workbench)),
        ]

    def middleware(
        self, *, page: AppPage, component_pages: Sequence[Path], last_message: bytes, crowded: bytes = b""
    ) -> list[Middleware]:
        """Return what every request passes, the outermost first; the arguments are those of the classes."""
        return [
            Middleware(SecurityHeaders, origins=self._origins, app_page=page.source, component_pages=component_pages),
            Middleware(RequestMetrics, get_workbench=self._get_workbench, page=self._metrics),
            Middleware(
                HealthChecks,
                get_workbench=self._get_workbench,
                drain=self._drain,
                instance=self._instance,
            ),
            Middleware(
                Gate,
                get_workbench=self._get_workbench,
                origins=self._origins,
                last_message=last_message,
                crowded=crowded,
                drain=self._drain,
            ),
            Middleware(Files, tabs=self._tabs),
            Middleware(Uploads, tabs=self._tabs),
            Middleware(Assets, assets=page.assets),
            Middleware(EditorPages, pages=component_pages),
            Middleware(AppPages, page=page, routes=self.routes),
        ]

    def lifespan(self, _app: Any) -> AbstractAsyncContextManager[None]:
        """Open the workbench before the first request, close it after the last."""
        return self._live()

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[None, None]:
        with ExitStack() as held:
            workbench = await to_thread.run_sync(self._open, held)
            if workbench.settings.demo:
                await to_thread.run_sync(_fill_demo, workbench)
            async with self._serve(workbench), serve_metrics(self._metrics, workbench.settings.metrics_place):
                yield
        if self._nightly is not None and self._nightly.is_over:
            # The same process with the same command: whoever watches over it notices nothing.
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  no shell

    @asynccontextmanager
    async def _serve(self, workbench: Workbench) -> AsyncGenerator[None, None]:
        greet = partial(_greet, workbench, self._find_address())
        late = Thread(target=greet, name="greet")
        if workbench.is_open("database"):
            await to_thread.run_sync(greet)
        else:
            # Nothing to migrate: what loads with the database, half of the start, comes behind the first answer.
            late.start()
        sweep = asyncio.create_task(self._sweep(), name="uploads")
        outbox = asyncio.create_task(_start_outbox(workbench), name="outbox")
        # A file has one server; of several on PostgreSQL the others take over, once their proxy has seen it.
        least_s = REPLICA_DRAIN_S if workbench.settings.has_replicas else 0.0
        try:
            with self._drain.on_sigterm(workbench.is_working, retire=workbench.retire, least_s=least_s):
                async with self._follow_nights(workbench):
                    yield
        finally:
            sweep.cancel()
            outbox.cancel()
            if late.is_alive():
                await to_thread.run_sync(late.join)
            await to_thread.run_sync(workbench.close)

    @asynccontextmanager
    async def _follow_nights(self, workbench: Workbench) -> AsyncGenerator[None, None]:
        if not workbench.settings.demo:
            yield
            return
        from cgcore.web.nightly import Nightly

        self._nightly = Nightly(workbench.clock)
        async with self._nightly.followed():
            yield

    async def _sweep(self) -> None:
        """Let go of what ended tabs have uploaded, also while nobody uploads anything."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._tabs.list_uploads()

    def _open(self, held: ExitStack) -> Workbench:
        try:
            if self._settings is not None:
                # Before the database is opened: a newer program would change it under the one that runs.
                held.enter_context(sole_server(self._settings))
                if self._settings.demo:
                    _clear_demo(self._settings)
            workbench = self._get_workbench()
            # Asked for only where it is: identity brings the whole of the database along, half of a start.
            require_past(workbench.context, lambda: workbench.identity.accounts.first_use_needed())
            if workbench.settings.has_given_key or workbench.settings.has_replicas:
                # From its first answer on health tells a key that is not the one of this vault.
                _ = workbench.vault
        except StorageError as error:
            _refuse(sentence(_HERE, "console_storage", reason=sentence("cgcore.storage", error.code)), error)
        refusals = find_refusals(workbench, self._read_facts())
        if refusals:
            reasons = "\n".join(f"  - {refusal}" for refusal in refusals)
            _refuse(sentence(_HERE, "console_unsafe", reasons=reasons), UnsafeStart("not safe for production"))
        return workbench

    def _renew_code(self) -> None:
        code = self._get_workbench().identity.accounts.renew_first_use_code()
        if code is not None:
            announce_code(code, self._find_address())


def _clear_demo(settings: Settings) -> None:
    from cgcore.workbench.demo_host import clear_demo

    clear_demo(settings)


def _fill_demo(workbench: Workbench) -> None:
    from cgcore.web.html import tell_on_every_page
    from cgcore.workbench.demo_host import DEMO_PASSWORD, DEMO_USER, fill_demo

    fill_demo(workbench)
    tell_on_every_page(lambda: sentence(_HERE, "demo_notice", username=DEMO_USER, password=DEMO_PASSWORD))


async def _start_outbox(workbench: Workbench) -> None:
    """Begin to send what waits, once the first pages are served: what it loads would hold them up."""
    if workbench.settings.outbox == "on":
        await asyncio.sleep(_OUTBOX_AFTER_S)
        await to_thread.run_sync(workbench.start_outbox)


def _greet(workbench: Workbench, address: str) -> None:
    try:
        open_first_use(workbench, address)
        _ = workbench.runs  # closes what an ended process has left open
    except StorageError as error:
        # Reading goes on where only writing fails; whoever comes is told on the page.
        say(sentence(_HERE, "console_storage", reason=sentence("cgcore.storage", error.code)))


def _refuse(reason: str, error: Exception) -> NoReturn:
    say(reason)
    # The server would tell what ends its start as well, in English and with a traceback; the process ends here.
    sys.tracebacklimit = 0
    known = (type(error).__name__, "Application startup failed")
    logging.getLogger("uvicorn.error").addFilter(lambda record: not any(part in str(record.msg) for part in known))
    raise error from None


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class NoDelay:
    """ASGI application around ``app``: switches Nagle's algorithm (RFC 896) off on the connection of each request.

    Head and body of an answer, and the messages of a websocket, are written one by one. With the algorithm each waits
    until the browser has acknowledged the one before, up to 40 ms on Linux. asyncio switches it off only on sockets
    that were opened with the protocol number of TCP, and Streamlit opens its own without one.

    The connection is taken from the server's ``send``; a server that does not have it there is left alone.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        _send_at_once(getattr(getattr(send, "__self__", None), "transport", None))
        await self._app(scope, receive, send)


def _send_at_once(transport: Any) -> None:
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in _FAMILIES:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
