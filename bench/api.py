"""The REST API against bare FastAPI: what authentication, limits and records cost, and how long a caller waits.

The servers run the same handler on the same database; a third one answers the same value without looking anywhere, so
that a faster read of ours does not make the share look smaller. Their rates are taken in turns, in short stretches, so
that a busy machine slows all alike, and compared as a ratio.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.figures import Figure

__all__ = ["run"]

_ROUNDS = 15
_SECONDS = 0.7
_FEW = 8
_CONNECTIONS = 100
_PATH = "/me"


def run() -> list[Figure]:
    """Return the share of bare FastAPI's rate that is left, the slowest answers of a crowd, and the failed ones."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [stack.enter_context(_serving(folder, kind)) for kind in ("api", "bare", "constant")]
        for server in servers:
            _measure(server, _FEW, _SECONDS)
        rounds = [[_measure(server, _FEW, _SECONDS) for server in servers] for _ in range(_ROUNDS)]
        crowds = [_measure(servers[0], _CONNECTIONS, 2 * _SECONDS) for _ in range(_ROUNDS // 3)]
    rates = [[len(result.times) / _SECONDS for result in each] for each in rounds]
    slowest = [statistics.quantiles(crowd.times, n=100)[98] * 1000 for crowd in crowds]
    errors = sum(result.errors for result in (*(each[0] for each in rounds), *crowds))
    note = "{:.0f} / {:.0f} / {:.0f} calls/s".format(
        *(statistics.median(column) for column in zip(*rates, strict=True))
    )
    return [
        Figure("API: authenticated GET, share of bare FastAPI", _share(rates, 1), 0.7, at_least=True, note=note),
        Figure("API: the same, share of FastAPI that answers a constant", _share(rates, 2), None, at_least=True),
        Figure(f"API: p99 under {_CONNECTIONS} connections, ms", statistics.median(slowest), 500.0),
        Figure("API: answers that are not 200", float(errors), 0.0),
    ]


def _share(rates: Sequence[Sequence[float]], other: int) -> float:
    return statistics.median(each[0] / each[other] for each in rates)


class _Result:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.errors = 0


def _measure(server: tuple[int, str], connections: int, seconds: float) -> _Result:
    return asyncio.run(_load(*server, connections, seconds))


async def _load(port: int, key: str, connections: int, seconds: float) -> _Result:
    result = _Result()
    request = f"GET {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_call_until(end, port, request, result) for _ in range(connections)))
    return result


async def _call_until(end: float, port: int, request: bytes, result: _Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        result.times.append(time.perf_counter() - began)
        result.errors += not head.startswith(b"HTTP/1.1 200")
    writer.close()


@contextmanager
def _serving(folder: str, kind: str) -> Iterator[tuple[int, str]]:
    """Yield port and key of a server in a process of its own."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(Path(folder) / kind, kind, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, kind: str, pipe: Connection) -> None:
    import uvicorn

    from cgcore.settings import load_settings
    from cgcore.web.api.app import build_api
    from cgcore.web.api.scopes import Allowance
    from cgcore.workbench import open_workbench

    settings = load_settings(data_dir=folder / "data", config_dir=folder / "config")
    workbench = open_workbench(settings)
    actor, key = _first_user(workbench)
    unlimited = Allowance(capacity=10**9, per_second=10**9)
    app = build_api(workbench, allowance=unlimited) if kind == "api" else _bare(workbench, actor, kind)
    # With the protocol named, asyncio switches Nagle's algorithm off; else every answer waits for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    pipe.send((listener.getsockname()[1], key))
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="error", lifespan="off"))
    asyncio.run(server.serve([listener]))


def _first_user(workbench: Any) -> tuple[Any, str]:
    from cgcore.identity.actor import Scope
    from cgcore.vault.secret import Secret
    from cgcore.workbench.keys import ISSUE_ACTION

    password = Secret("una frase bastante larga")
    code = workbench.identity.accounts.issue_first_use_code()
    actor = workbench.identity.accounts.first_use(code, "ana", password).actor
    grant = workbench.identity.codes.issue_grant(actor, ISSUE_ACTION, password)
    return actor, workbench.keys.issue(actor, grant, "bench", [Scope.READ]).key.reveal()


def _bare(workbench: Any, actor: Any, kind: str) -> Any:
    from fastapi import FastAPI

    from cgcore.web.api.objects import Me
    from cgcore.web.api.routes.me import get_me

    app = FastAPI()
    answer = get_me(workbench, actor)

    def show() -> Any:
        return answer if kind == "constant" else get_me(workbench, actor)

    app.add_api_route(_PATH, show, response_model=Me)
    return app
