"""Where in the API a request goes, wherever the API itself is mounted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["path_below"]


def path_below(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI ``scope`` below the mount, starting with a slash."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
