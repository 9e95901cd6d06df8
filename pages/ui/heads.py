"""The head of a page: Guardar at the top left with the state of the draft beside it, then the title.

Only the page's own run draws here. A fragment that writes outside itself races with that run, and Streamlit 1.67
ends the whole page when the two arrive in the wrong order; so a fragment asks for a run of the page instead.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.ui.tab import is_fragment_run, is_settling
from pages.ui.texts import common as texts

__all__ = ["SaveBar", "ask_for_save", "page_title", "save_bar"]


@dataclass(frozen=True, slots=True)
class SaveBar:
    """The click, and two places that are always there: beside the button, and below it for what is to be told.

    What comes and goes stands in a place of its own, so that the cells below keep their position in the page.
    """

    page: str
    clicked: bool
    row: DeltaGenerator
    notices: DeltaGenerator
    said: list[DeltaGenerator] = field(default_factory=list[DeltaGenerator])

    def show(self, changed_fields: int) -> None:
        """Say beside the button how many fields differ from what is stored."""
        if changed_fields == 0:
            self._say(f":gray[:material/check: {texts.ALL_SAVED}]")
            return
        count = texts.UNSAVED_COUNT.format(count=changed_fields)
        self._say(f":violet[:material/edit: {texts.UNSAVED}] · {count}")
        with st.bottom, st.container(horizontal=True, key=f"{self.page}_bottom_bar"):
            # The same click as Guardar, in view wherever the page is scrolled to.
            st.button(texts.SAVE_BOTTOM, type="primary", icon=":material/save:", key=_bottom_key(self.page))

    def tell_saving(self) -> None:
        """Say beside the button that a save is under way, which may wait for others; :meth:`show` takes it away."""
        self._say(f":gray[:material/hourglass_top: {texts.SAVING}]")

    def _say(self, words: str) -> None:
        if self.said:
            self.said[0].markdown(words)
        else:
            self.said.append(self.row.markdown(words))

    def ask(self, label: str, key: str) -> None:
        """Draw a button that is a click on Guardar, for a fragment or a dialog far from it."""
        # A callback: it counts too where the click runs the page, and the dialog is not drawn any more.
        if st.button(label, key=key, icon=":material/save:", on_click=ask_for_save, args=(self.page,)):
            st.rerun()

    def remember(self, drawn: Hashable) -> None:
        """Remember what this run of the page is drawn from."""
        st.session_state[f"{self.page}_drawn"] = drawn

    def keep_up(self, now: Hashable) -> None:
        """In a fragment: run the page again where it was drawn from something else than ``now``, or is to save.

        The browser may ask once for what a fragment was told last and for a click outside it, and names the fragment.
        """
        if is_settling():
            return
        if is_fragment_run() and any(
            st.session_state.get(key) for key in (_save_key(self.page), _bottom_key(self.page))
        ):
            ask_for_save(self.page)
            st.rerun()
        if st.session_state[f"{self.page}_drawn"] != now:
            st.rerun()


def save_bar(page: str, *, disabled: bool = False) -> SaveBar:
    """Draw Guardar and the place for notices, the page's first elements.

    Call :meth:`SaveBar.show` when the draft has been read.
    """
    row = st.container(horizontal=True, vertical_alignment="center", key=f"{page}_save_bar")
    with row:
        clicked = st.button(
            texts.SAVE, type="primary", icon=":material/save:", key=_save_key(page), disabled=disabled, width=130
        )
    asked = st.session_state.pop(_asked_key(page), False)
    clicked = clicked or asked or bool(st.session_state.get(_bottom_key(page)))
    return SaveBar(page, clicked and not disabled, row, st.container())


def ask_for_save(page: str) -> None:
    """Let the next run of ``page`` be a click on Guardar."""
    st.session_state[_asked_key(page)] = True


def _asked_key(page: str) -> str:
    return f"{page}_save_asked"


def _save_key(page: str) -> str:
    return f"{page}_save"


def _bottom_key(page: str) -> str:
    return f"{page}_save_bottom"


def page_title(title: str, subtitle: str = "") -> None:
    """Draw the title and one sentence under it."""
    st.title(title, anchor=False)
    if subtitle:
        st.caption(subtitle)
