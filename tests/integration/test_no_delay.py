"""TCP_NODELAY on the connections of a real server whose socket was opened as Streamlit opens its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from cgcore.web.assembly import NoDelay


async def tell(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer with the option of the connection that the request came on."""
    connection = send.__self__.transport.get_extra_info("socket")
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(int(bool(told))).encode()})


@pytest.fixture
def ask() -> Iterator[Any]:
    """Serve an application and return its answer."""
    stops: list[tuple[uvicorn.Server, threading.Thread]] = []

    def ask(app: Any) -> str:
        listening = socket.socket(socket.AF_INET)  # without a protocol number
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
        serving = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
        serving.start()
        stops.append((server, serving))
        port = listening.getsockname()[1]
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            return client.get(f"http://127.0.0.1:{port}/").text

    yield ask
    for server, serving in stops:
        server.should_exit = True
        serving.join(10)


def test_answers_leave_at_once_only_through_the_wrapper(ask: Any) -> None:
    """The server alone leaves the algorithm on: the day that changes, the wrapper can go."""
    assert ask(tell) == "0"
    assert ask(NoDelay(tell)) == "1"
