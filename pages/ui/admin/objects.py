"""What the panels of series and of users share: the filtered list, and the one object that is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import streamlit as st

from pages.ui.editing import Form
from pages.ui.markdown import escape
from pages.ui.problems import draw_search_problem
from pages.ui.texts import administration as texts

__all__ = ["ROWS", "ObjectPanel", "draw_edit_button", "draw_filters"]

ROWS = 10
_STATES = {"all": None, "on": True, "off": False}
_Form = TypeVar("_Form", bound=Form)


class ObjectPanel(Generic[_Form]):
    """The panel of one run; it can save while an object is open, whose draft ``form`` is."""

    def __init__(self, form: _Form | None) -> None:
        self.form = form

    @property
    def can_save(self) -> bool:
        """Whether an object is open."""
        return self.form is not None

    @property
    def wants_save(self) -> bool:
        """Whether a question about the save has just been answered by yes; most panels ask none."""
        return False

    @property
    def forms(self) -> tuple[_Form, ...]:
        """The draft, while something is open."""
        return (self.form,) if self.form else ()

    def changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return self.form.count_changed() if self.form else 0

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        if self.form:
            self.form.reset()


def draw_filters(name: str, label: str, states: Mapping[str, str]) -> tuple[str, bool | None]:
    """Draw the search and the choice of a state of list ``name``; return the text, and whether active, None for both.

    ``states`` holds the words for ``all``, ``on`` and ``off``.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(label, key=f"{name}_search", icon=":material/search:", width=320)
        state = st.segmented_control(
            texts.SERIES_STATE,
            list(_STATES),
            format_func=lambda state: states[state],
            key=f"{name}_state",
            default="all",
            required=True,
        )
    draw_search_problem(text or "")
    return text or "", _STATES[state or "all"]


def draw_edit_button(key: str, name: str, opened: str) -> None:
    """Draw the button at the end of a row that opens the object ``name``, noted under ``opened`` in the session."""
    st.button(
        texts.EDIT,
        icon=":material/edit:",
        key=key,
        help=texts.EDIT_NAMED.format(name=escape(name)),
        on_click=_open,
        args=(opened, name),
    )


def _open(opened: str, name: str) -> None:
    st.session_state[opened] = ("edit", name)
