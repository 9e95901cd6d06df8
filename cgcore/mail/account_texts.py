"""The Spanish sentences of the account's field checks, and the names of the security modes."""

from __future__ import annotations

import tomllib
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cgcore.errors import FieldProblem
from cgcore.mail.steps import Leg

__all__ = ["problem", "security_label", "sentence", "trimmed", "visible"]


@lru_cache(maxsize=1)
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("cgcore.mail").joinpath("account_texts_es.toml").read_text("utf-8"))


def sentence(code: str, **values: Any) -> str:
    """Return the Spanish sentence of a check code, its braces filled in."""
    return _texts()["problems"][code].format(**values)


def problem(name: str, code: str, *, blocking: bool = True, **values: Any) -> FieldProblem:
    """Return the problem of one field with its sentence."""
    return FieldProblem(name, code, sentence(code, **values), blocking)


def security_label(leg: Leg, security: str) -> str:
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
