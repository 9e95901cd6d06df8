"""The sentences of the templates: problems of a request, and what the editor offers."""

from __future__ import annotations

from typing import Any

from cgcore.errors import FieldProblem
from cgcore.texts import lookup, text

__all__ = ["problem", "section"]


def section(name: str) -> Any:
    """Return a top-level table of the file in the language of the person; callers must not change it."""
    return lookup("cgcore.templates", name)


def problem(field: str, code: str, **values: object) -> FieldProblem:
    """Return the blocking problem ``code`` of a request or file and the values of its sentence."""
    return FieldProblem(field, code, text("cgcore.templates", f"problems.{code}", **values))
