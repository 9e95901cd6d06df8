"""Versions as entity tags (RFC 9110, sections 8.8.3 and 13.1.1): nobody overwrites what they have not read."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from fastapi import Depends, Header

from cgcore.web.api.problems import ApiProblem, ProblemCode

__all__ = ["IfMatch", "content_tag", "expected_version", "matches", "version_tag"]

_TAG = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')


def version_tag(version: int) -> str:
    """Return the entity tag of a version, quotes included."""
    return f'"{version}"'


def content_tag(content: Any) -> str:
    """Return an entity tag of plain JSON content that has no version of its own."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return f'"{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"'


def matches(if_match: str, tag: str) -> bool:
    """Return whether ``tag`` is among the tags of ``If-Match``; ``*`` matches anything, a weak tag nothing."""
    return if_match.strip() == "*" or tag in _TAG.findall(if_match)


def expected_version(if_match: str, current: int) -> int:
    """Return the version to save over, out of ``If-Match``. Raises the 412 when it can be none that stands."""
    if matches(if_match, version_tag(current)):
        return current
    raise ApiProblem(ProblemCode.STALE_VERSION, extra={"version": current})


async def _require_if_match(
    if_match: Annotated[str | None, Header(alias="If-Match")] = None,
) -> str:
    """RFC 6585, section 3: a write without condition is refused before it can overwrite anything."""
    if if_match is None:
        raise ApiProblem(ProblemCode.PRECONDITION_REQUIRED)
    return if_match


IfMatch = Annotated[str, Depends(_require_if_match)]
