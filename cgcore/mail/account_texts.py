"""The sentences of the account's field checks, and the names of the security modes.

Apart from the account: its addresses and the diagnosis, which know nothing of it, name their problems so too.
"""

from __future__ import annotations

from typing import Any, cast

from cgcore import texts
from cgcore.errors import FieldProblem
from cgcore.mail.steps import Leg
from cgcore.texts import Text

__all__ = ["names_in", "problem", "security_label", "sentence", "text_problem"]

_FILE = "cgcore.mail"


def sentence(code: str, *, leg: Leg | str = "", **values: Any) -> str:
    """Return the sentence of a check code; ``leg`` is where security modes are named."""
    return str(_text(code, leg, values))


def names_in(code: str) -> frozenset[str]:
    """Return the values that the sentence of a check code names."""
    return texts.names_in(_FILE, f"problems.{code}")


def problem(name: str, code: str, *, blocking: bool = True, leg: Leg | str = "", **values: Any) -> FieldProblem:
    """Return the problem of one field and the values that its sentence names."""
    return FieldProblem(name, code, _text(code, leg, values), blocking)


def text_problem(name: str, code: str, limit: int) -> FieldProblem:
    """Return the problem of a text that breaks a rule of :mod:`cgcore.text_rules`."""
    if code == "text_unprintable":
        return problem(name, "control_characters")
    return FieldProblem(name, code, texts.text("cgcore", f"text_rules.{code}", limit=limit))


def _text(code: str, leg: Leg | str, values: dict[str, Any]) -> Text:
    expected = values.get("expected")
    if isinstance(expected, list):
        modes = cast("list[str]", expected)
        values = {**values, "expected": [texts.text(_FILE, f"security.{leg}.{mode}") for mode in modes]}
    return texts.text(_FILE, f"problems.{code}", **values)


def security_label(leg: Leg | str, security: str) -> str:
    """Return the name of a security mode as the page shows it: STARTTLS is called «TLS» at SMTP."""
    return texts.sentence(_FILE, f"security.{leg}.{security}")
