"""Where a key may stand in a request, and where it must not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from cgcore.api_keys.form import KEY_PATTERN

__all__ = ["find_presented_key", "holds_key"]

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
