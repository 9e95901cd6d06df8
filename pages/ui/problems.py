"""What is wrong with a field, said beside the field."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from cgcore.errors import FieldProblem
from pages.ui.results import escape

__all__ = ["draw_problems"]


def draw_problems(problems: Iterable[FieldProblem], field: str) -> None:
    """Draw the problems of ``field`` under its widget: red where they block, orange where they warn.

    Their place is there without problems too: what follows would move otherwise, and a field that moves is mounted
    anew, without the text that is being typed into it.
    """
    with st.container(gap="xxsmall"):
        for problem in problems:
            if problem.field == field:
                color, icon = ("red", "error") if problem.blocking else ("orange", "warning")
                st.markdown(f":{color}[:material/{icon}: {escape(problem.message)}]")
