"""Spanish sentences of a package, read once from the ``texts_es.toml`` beside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["load_texts", "sentence"]

_NAME = re.compile(r"\{([a-z_]+)\}")


@cache
def load_texts(package: str) -> Mapping[str, str]:
    """Return the sentences of ``package`` (``cgcore.series``) by their key."""
    return tomllib.loads((files(package) / "texts_es.toml").read_text(encoding="utf-8"))


def sentence(package: str, key: str, **values: object) -> str:
    """Return the sentence ``key`` of ``package`` with its ``{names}`` filled in.

    One pass of plain replacement: a brace inside a value stays a brace, and a name without value stays as it is
    (a sentence may speak of the variable ``{fecha}``).
    """
    return _NAME.sub(lambda found: str(values.get(found[1], found[0])), load_texts(package)[key])
