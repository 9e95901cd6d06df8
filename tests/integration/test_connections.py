"""Connections of a real server: the silent and the slow are closed, the oldest give way, who is served stays."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn

from cgcore.logs import RepeatLimit
from cgcore.web.connections import ConnectionLimits, Connections, raise_descriptor_limit
from tests.servers.asgi import answer_lifespan

LIMITS = ConnectionLimits(in_all=6, per_source=4, silent_s=0.5, body_pause_s=0.5)
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body and tell its length; at ``/wait`` answer only when the client has gone."""
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"%09d" % size, "more_body": scope["path"] == "/wait"})
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def port() -> Iterator[int]:
    """A server with small limits, started as Streamlit starts its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Connections(app, limits=LIMITS), lifespan="on", log_level="critical"))
    serving = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    serving.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    serving.join(20)


def _open(port: int, words: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(words)
    return connection


def _is_closed(connection: socket.socket) -> bool:
    """Read to the end. A server that leaves the connection open makes this time out."""
    try:
        while connection.recv(1000):
            pass
    except ConnectionResetError:
        pass
    return True


def _read_answer(connection: socket.socket) -> bytes:
    """Return head and body of an answer of :func:`app`."""
    answer = b""
    while b"\r\n\r\n0" not in answer:
        answer += connection.recv(1000)
    return answer


def test_who_asks_nothing_in_time_is_closed(port: int) -> None:
    """Silent from the start, in the middle of a head, after an answer; who asks is answered."""
    silent, slow = _open(port), _open(port, HEAD)
    with _open(port, HEAD + b"\r\n") as served:
        assert b"200 OK" in _read_answer(served)

        assert _is_closed(silent)
        assert _is_closed(slow)
        assert _is_closed(served)


def test_a_body_that_does_not_come_is_given_up(port: int) -> None:
    """One that comes is counted whole."""
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
    with _open(port, post + b"x") as stuck, _open(port, post + b"12345") as whole:
        assert b"000000005" in _read_answer(whole)
        assert _is_closed(stuck)


def test_an_answer_that_takes_longer_is_not_cut(port: int) -> None:
    """A request under way holds its connection, however long it takes."""
    with _open(port, b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n") as waiting, _open(port) as silent:
        assert b"200 OK" in _read_answer(waiting)
        assert _is_closed(silent)
        waiting.settimeout(0)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)


class Transport:
    """A connection that remembers how it ended."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.gone = False

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return (self.source, 1) if name == "peername" else None

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True


def _fill(connections: Connections, *sources: str) -> list[Transport]:
    made = [Transport(source) for source in sources]
    assert all(connections.admit(transport) for transport in made)
    return made


def test_one_source_crowds_out_only_itself() -> None:
    """Its oldest waiting connection gives way; those of others stay."""
    connections = Connections(app, limits=LIMITS)
    first, second, *rest, other = _fill(connections, *["192.0.2.1"] * 4, "192.0.2.2")
    _fill(connections, "192.0.2.1")

    assert [each.gone for each in (first, second, *rest, other)] == [True, False, False, False, False]


def test_in_all_the_source_with_most_gives_way() -> None:
    """Not the one that comes last; a proxy that is trusted may have as many as there is room for."""
    connections = Connections(app, [ip_network("192.0.2.9/32")], LIMITS)
    proxied = _fill(connections, *["192.0.2.9"] * 5)
    single = _fill(connections, "192.0.2.1", "192.0.2.2")

    assert [each.gone for each in proxied] == [True, False, False, False, False]
    assert not any(each.gone for each in single)


def test_where_all_are_served_the_new_one_is_turned_away() -> None:
    """Nobody who is being answered is cut off for it; one that has closed makes room."""
    connections = Connections(app, limits=LIMITS)
    served = _fill(connections, *[f"192.0.2.{number}" for number in range(6)])
    for each in served:
        connections._open[each].requests = 1

    assert not connections.admit(Transport("192.0.2.7"))
    assert not any(each.gone for each in served)
    served[0].gone = True
    assert connections.admit(Transport("192.0.2.7"))


def test_limits_leave_room_for_files() -> None:
    """Also where the system gives little; this process has as much as it may have."""
    assert [ConnectionLimits.within(count).in_all for count in (16_384, 1024, 256)] == [4096, 768, 128]
    assert raise_descriptor_limit() >= 256


def test_what_is_said_over_and_over_is_counted() -> None:
    """Five times in a minute, then again with the number left out; another line is written."""
    now = [0.0]
    limit = RepeatLimit(lambda: now[0])

    def say(wording: str, *values: object) -> str:
        record = logging.LogRecord("asyncio", logging.ERROR, "x.py", 1, wording, values, None)
        return record.getMessage() if limit.filter(record) else ""

    written = [say("accept failed: %s", number) for number in range(2000)]
    now[0] = 61.0

    assert [line for line in written if line] == [f"accept failed: {number}" for number in range(5)]
    assert say("accept failed: %s", "x") == "accept failed: x [1995 more like this were left out]"
    assert say("another") == "another"
    assert len([1 for number in range(1000) if say(f"one of many {number}")]) < 250
