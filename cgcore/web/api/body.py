"""The body of a request: read whole, within a limit of size and of depth, before anything parses it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = ["MAX_DEPTH", "check_depth", "max_body", "read_body", "replay"]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_DEPTH = 32

_KIB = 1024
_MAX_BODY = 64 * _KIB
# Templates and signatures carry their images inside.
_MAX_HTML_BODY = 8192 * _KIB
_HTML_PATHS = ("/templates/", "/signature")

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def max_body(path: str) -> int:
    """Return how many bytes a body may have at ``path``."""
    return _MAX_HTML_BODY if path.startswith(_HTML_PATHS) else _MAX_BODY


async def read_body(receive: Receive, *, declared: str, limit: int) -> bytes:
    """Return the whole body. Raises :class:`ApiProblem` as soon as it is, or declares to be, over ``limit``."""
    too_large = ApiProblem(ProblemCode.BODY_TOO_LARGE, limit=limit // _KIB)
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ApiProblem(ProblemCode.BAD_REQUEST)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise too_large
    return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a channel that delivers ``body`` once more, then what ``receive`` brings (the disconnect)."""
    delivered = False

    async def receive_again() -> MutableMapping[str, Any]:
        nonlocal delivered
        if delivered:
            return await receive()
        delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def check_depth(body: bytes) -> None:
    """Refuse JSON nested deeper than :data:`MAX_DEPTH`, before a parser recurses into it (CWE-674)."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ApiProblem(ProblemCode.BODY_TOO_DEEP, limit=MAX_DEPTH)
