"""Versions as entity tags (RFC 9110, sections 8.8.3 and 13.1.1): nobody overwrites what they have not read."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = ["IfMatch", "expected_version", "matches", "version_tag"]

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
