"""The sentences of the use cases."""

from __future__ import annotations

from cgcore.errors import FieldProblem
from cgcore.texts import sentence

__all__ = ["problem"]


def problem(field: str, code: str, **values: object) -> FieldProblem:
    """Return the blocking problem ``code`` of ``field``, its Spanish sentence filled in."""
    return FieldProblem(field, code, sentence("cgcore.workbench", code, **values))
