"""Looking for a text in columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, false, or_
from sqlmodel import col

from cgcore.text_rules import is_searchable

__all__ = ["contains"]


def contains(text: str, *columns: Any) -> ColumnElement[bool]:
    """Return the condition that one of ``columns`` holds ``text``, case apart; what cannot be stored is in none."""
    if not is_searchable(text):
        return false()
    return or_(*(col(column).icontains(text, autoescape=True) for column in columns))
