"""The sentences of the use cases."""

from __future__ import annotations

from cgcore.errors import FieldProblem
from cgcore.texts import text

__all__ = ["problem"]


def problem(field: str, code: str, **values: object) -> FieldProblem:
    """Return the blocking problem ``code`` of ``field`` and the values of its sentence."""
    return FieldProblem(field, code, text("cgcore.workbench", code, **values))
