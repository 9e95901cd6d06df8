"""The Spanish sentences of the templates, read once from ``texts_es.toml``."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["check_text", "problem_text", "section"]


@lru_cache(maxsize=1)
def _texts() -> dict[str, Any]:
    return tomllib.loads(files("cgcore.templates").joinpath("texts_es.toml").read_text("utf-8"))


def section(name: str) -> Any:
    """Return a top-level table of the file; callers must not change it."""
    return _texts()[name]


def check_text(key: str, **values: str) -> str:
    """Return the sentence of a check with ``values`` put in."""
    return str(section("checks")[key]).format(**values)


def problem_text(key: str, **values: str) -> str:
    """Return the sentence of a refused request or file with ``values`` put in."""
    return str(section("problems")[key]).format(**values)
