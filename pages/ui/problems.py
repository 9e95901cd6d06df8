"""What is wrong: with a field, said beside the field; with the database, said where the run ends."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import streamlit as st

from cgcore.errors import FieldProblem, StorageError
from cgcore.texts import sentence
from pages.ui.runs import escape
from pages.ui.texts import common as texts

__all__ = ["draw_problems", "storage_failures_told"]


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


@contextmanager
def storage_failures_told(key: str = "page") -> Generator[None]:
    """Draw, in place of what could not be read or stored, the sentence of a database that fails, and a way to go on."""
    try:
        yield
    except StorageError as failure:
        st.error(sentence("cgcore.storage", failure.code), icon=":material/cloud_off:")
        # The click is a run of the page, and that is the whole of another try.
        st.button(texts.TRY_AGAIN, icon=":material/refresh:", key=f"{key}_storage_again")
