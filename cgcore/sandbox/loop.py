"""One asyncio loop in one daemon thread, called from other threads.

Apart from :mod:`cgcore.sandbox.sandbox`: it knows no mail.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypeVar

from cgcore.sandbox.state import HOST, SandboxPorts

__all__ = ["LoopThread", "listen"]

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)

_STOP_S = 5.0


class LoopThread(Generic[_Value]):
    """Runs ``serve`` (an async context manager) in a thread of its own until :meth:`stop`."""

    def __init__(self, serve: Callable[[], AbstractAsyncContextManager[_Value]], *, name: str) -> None:
        self._serve = serve
        self._ready: Future[_Value] = Future()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> _Value:
        """Start, wait until it serves, and return what ``serve`` yields; raise what it raises."""
        self._thread.start()
        return self._ready.result()

    def call(self, coroutine: Coroutine[Any, Any, _Result], *, timeout: float = 10.0) -> _Result:
        """Run ``coroutine`` in the loop and return its result. Raises :class:`TimeoutError` after so many seconds."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def stop(self) -> None:
        """Stop serving and wait for the thread, a few seconds at most; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _main(self) -> None:
        self._loop.set_exception_handler(_note)
        async with self._serve() as value:
            self._ready.set_result(value)
            await self._stopping.wait()


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A client that speaks the wrong protocol or leaves in the middle is what a test mailbox is for, and no fault.
    _log.debug("%s", context.get("message"))


# Below the ports that systems hand out to outgoing connections, so that they are still free after a restart.
_PORT_RANGE = range(20_000, 32_000)
_PORT_TRIES = 50


def listen(wanted: SandboxPorts | None) -> list[socket.socket]:
    """Return four listening sockets, in the order of the ports."""
    return [_bind(port) for port in wanted or (0, 0, 0, 0)]


def _bind(wanted: int) -> socket.socket:
    tries = [secrets.choice(_PORT_RANGE) for _ in range(_PORT_TRIES)]
    for port in (wanted, *tries) if wanted else tries:
        with suppress(OSError):
            return _listen_on(port)
    return _listen_on(0)


def _listen_on(port: int) -> socket.socket:
    # The protocol is named because asyncio sends without delay (TCP_NODELAY) only on sockets that name it: without,
    # each answer in two pieces waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
