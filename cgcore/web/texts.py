"""The Spanish sentences of the log-in pages, the gate and the console."""

from __future__ import annotations

from cgcore.texts import sentence

__all__ = ["text"]


def text(key: str, **values: object) -> str:
    """Return the sentence ``key``, its braces filled in."""
    return sentence("cgcore.web", key, **values)
