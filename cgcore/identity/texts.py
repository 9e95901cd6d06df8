"""The Spanish sentences about user names and passwords."""

from __future__ import annotations

import cgcore.texts
from cgcore.errors import FieldProblem, InvalidInput

__all__ = ["invalid", "sentence"]


def sentence(code: str) -> str:
    """Return the Spanish sentence of a problem code."""
    return cgcore.texts.sentence("cgcore.identity", code)


def invalid(field: str, code: str) -> InvalidInput:
    """Return the error that says what is wrong with one field."""
    return InvalidInput(FieldProblem(field, code, cgcore.texts.text("cgcore.identity", code)))
