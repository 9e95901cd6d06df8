"""What a request may bring: a body within limits of size and depth, a key in its place, entity tags."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import Depends, Header
from python_multipart.multipart import parse_options_header

from cgcore.api_keys.form import KEY_PATTERN
from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = [
    "MAX_DEPTH",
    "MESSAGES_PATH",
    "IfMatch",
    "check_depth",
    "expected_version",
    "find_presented_key",
    "form_ending",
    "holds_key",
    "limit_body",
    "matches",
    "max_body",
    "only_reads",
    "path_below",
    "read_body",
    "replay",
    "version_tag",
]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_DEPTH = 32

_KIB = 1024
_BORDER = 256  # longer than any key
_MAX_BODY = 64 * _KIB
# Templates and signatures carry their images inside.
_MAX_HTML_BODY = 8192 * _KIB
_HTML_PATHS = ("/templates/", "/signature")
# A message brings its files along; 40 MB, as files or in base64.
MESSAGES_PATH = "/messages"
_MAX_MESSAGE_BODY = 40 * _KIB * _KIB

# They bring a body, and change nothing.
_READ_BY_POST = re.compile(r"/explain|/templates/[^/]+/render")

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def max_body(path: str) -> int:
    """Return how many bytes a body may have at ``path``."""
    if path == MESSAGES_PATH:
        return _MAX_MESSAGE_BODY
    return _MAX_HTML_BODY if path.startswith(_HTML_PATHS) else _MAX_BODY


def only_reads(scope: Mapping[str, Any]) -> bool:
    """Return whether a request changes nothing, whatever it is answered."""
    method = scope["method"]
    return method in ("GET", "HEAD") or (method == "POST" and bool(_READ_BY_POST.fullmatch(path_below(scope))))


async def read_body(receive: Receive, *, declared: str, limit: int) -> bytes:
    """Return the whole body. Raises :class:`ApiProblem` as soon as it is, or declares to be, over ``limit``."""
    limited = limit_body(receive, declared=declared, limit=limit)
    chunks: list[bytes] = []
    more = True
    while more:
        message = await limited()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def limit_body(
    receive: Receive,
    *,
    declared: str,
    limit: int,
    inspect: Callable[[bytes], None] | None = None,
    ending: bytes = b"",
) -> Receive:
    """Return a channel that raises :class:`ApiProblem` as soon as the body is, or declares to be, over ``limit``.

    ``inspect`` is shown the body piece by piece, each with the end of the one before: what it looks for may lie on the
    border. A connection that ends before the body is a bad request, and so is a body without ``ending`` at its end: a
    form that was cut inside a file would lose that file without a word (RFC 2046, 5.1.1).
    """
    too_large = ApiProblem(ProblemCode.BODY_TOO_LARGE, limit=limit // _KIB)
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    size, ended, tail = 0, False, b""

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal size, ended, tail
        message = await receive()
        if ended:
            return message
        if message["type"] == "http.disconnect":
            raise ApiProblem(ProblemCode.BAD_REQUEST)
        piece = message.get("body", b"")
        size += len(piece)
        ended = not message.get("more_body", False)
        if size > limit:
            raise too_large
        if inspect is not None:
            inspect(tail + piece)
        tail = (tail + piece)[-_BORDER:]
        if ended and ending not in tail:
            raise ApiProblem(ProblemCode.BAD_REQUEST)
        return message

    return receive_limited


def form_ending(content_type: str) -> bytes:
    """Return what a form of this type ends with, ``b""`` for any other body."""
    kind, options = parse_options_header(content_type)
    border = options.get(b"boundary", b"")
    return b"--%s--" % border if kind == b"multipart/form-data" and border else b""


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


_KEY = re.compile(KEY_PATTERN)
_KEY_BYTES = re.compile(KEY_PATTERN.encode())


def find_presented_key(headers: Mapping[str, str]) -> str:
    """Return what stands in ``Authorization: Bearer`` (RFC 6750, section 2.1), else in ``X-API-Key``, else ``""``."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def holds_key(*texts: str | bytes, encoded: Iterable[str] = ()) -> bool:
    """Return whether anything that looks like a key stands in ``texts``, or in ``encoded`` once percent-decoded.

    The checksum is not asked for: a mistyped key in an address is as much in the logs as a right one.
    """
    return any(_looks(text) for text in texts) or any(_looks(unquote_plus(text)) for text in encoded)


def _looks(text: str | bytes) -> bool:
    return bool(_KEY_BYTES.search(text) if isinstance(text, bytes) else _KEY.search(text))


# RFC 9110, 8.8.3; the opaque part may hold a comma. 5.6.1: empty elements of a list count for nothing.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_EACH_TAG = re.compile(_TAG)
_LIST = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
# What proxies make of the tag of an answer that they pack: weak (nginx), or with the coding behind it (Apache «-gzip»
# and «-br», Jetty «--gzip», others with «;» or «:»).
_PACKED = re.compile(r"(?:-{1,2}|[;:.])(?:x-)?(?:gzip|br|brotli|zstd|deflate|df|gz)")


def version_tag(version: int) -> str:
    """Return the entity tag of a version, quotes included."""
    return f'"{version}"'


def matches(if_match: str, tag: str) -> bool:
    """Return whether ``tag`` is among the tags of ``If-Match``; ``*`` matches anything, what is no such list nothing.

    RFC 9110, 13.1.1 asks for the strong comparison, by which a weak tag matches nothing. Ours name a version of the
    content, not its bytes, so the form that a proxy has given them means the same version.
    """
    if if_match.strip(" \t") == "*":
        return True
    if _LIST.fullmatch(if_match) is None:
        return False
    return any(_restored(given) == tag for given in _EACH_TAG.findall(if_match))


def _restored(given: str) -> str:
    opaque = given.removeprefix("W/")[1:-1]
    mark = _PACKED.search(opaque)
    return f'"{opaque[: mark.start()]}"' if mark and mark.end() == len(opaque) else f'"{opaque}"'


def expected_version(if_match: str, current: int) -> int:
    """Return the version to save over, out of ``If-Match``. Raises the 412 when it can be none that stands."""
    if matches(if_match, version_tag(current)):
        return current
    raise ApiProblem(ProblemCode.STALE_VERSION, extra={"version": current})


async def _require_if_match(
    if_match: Annotated[list[str] | None, Header(alias="If-Match")] = None,
) -> str:
    """RFC 6585, section 3: a write without condition is refused before it can overwrite anything."""
    if if_match is None:
        raise ApiProblem(ProblemCode.PRECONDITION_REQUIRED)
    return ", ".join(if_match)


IfMatch = Annotated[str, Depends(_require_if_match)]


def path_below(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI ``scope`` below the mount, starting with a slash."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
