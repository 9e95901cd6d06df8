"""The Spanish sentences of the account's field checks, and the names of the security modes."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cgcore.errors import FieldProblem
from cgcore.mail.steps import Leg

__all__ = ["names_in", "problem", "security_label", "sentence", "trimmed", "visible"]


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("cgcore.mail").joinpath("account_texts_es.toml").read_text("utf-8"))


def sentence(code: str, *, leg: Leg | str = "", **values: Any) -> str:
    """Return the Spanish sentence of a check code, its braces filled in; ``leg`` is where security modes are named."""
    return _texts()["problems"][code].format(**{**values, **_modes(leg, values)})


def names_in(code: str) -> set[str]:
    """Return the values that the sentence of a check code names."""
    return set(re.findall(r"\{(\w+)\}", _texts()["problems"][code]))


def _modes(leg: Leg | str, values: Mapping[str, Any]) -> dict[str, str]:
    expected = values.get("expected")
    if isinstance(expected, str) or not expected:
        return {}
    return {"expected": " o ".join(security_label(leg, mode) for mode in expected)}


def problem(name: str, code: str, *, blocking: bool = True, leg: Leg | str = "", **values: Any) -> FieldProblem:
    """Return the problem of one field with its sentence and the values that it names."""
    return FieldProblem(name, code, sentence(code, leg=leg, **values), blocking, values)


def security_label(leg: Leg | str, security: str) -> str:
    """Return the name of a security mode as the page shows it: STARTTLS is called «TLS» at SMTP (DESIGN §6)."""
    return _texts()[f"{leg}_security"][security]


def visible(text: str) -> str:
    """Return ``text`` without blanks, no-break spaces, zero-width and other format characters, anywhere."""
    return "".join(
        character
        for character in text
        if not character.isspace() and unicodedata.category(character) not in ("Cf", "Cc", "Zs", "Zl", "Zp")
    )


def trimmed(text: str) -> str:
    """Return ``text`` without outer blanks and without invisible characters; inner plain spaces stay."""
    return "".join(character for character in text if character == " " or visible(character)).strip()
