"""Going through a long list page by page, by cursor: the database reads one page, however long the list is."""

from __future__ import annotations

import streamlit as st

from pages.ui.texts import paging as texts

__all__ = ["Pager"]


class Pager:
    """Remembers the cursors of the pages already passed; ``filters`` starts from the first page when it changes."""

    def __init__(self, key: str, filters: object = None) -> None:
        self._key = key
        state = st.session_state.setdefault(f"{key}_pager", {"cursors": [], "filters": filters})
        if state["filters"] != filters:
            state.update(cursors=[], filters=filters)
        self._cursors: list[str] = state["cursors"]

    @property
    def cursor(self) -> str | None:
        """The cursor of the page in sight, None for the first."""
        return self._cursors[-1] if self._cursors else None

    @property
    def number(self) -> int:
        """The number of the page in sight."""
        return len(self._cursors) + 1

    def draw(self, following: str | None) -> None:
        """Draw the way back and forward; nothing where there is one page only."""
        if not self._cursors and following is None:
            return
        with st.container(horizontal=True, vertical_alignment="center", key=f"{self._key}_pages"):
            st.button(
                texts.PREVIOUS,
                icon=":material/chevron_left:",
                key=f"{self._key}_previous",
                disabled=not self._cursors,
                on_click=self._back,
            )
            st.button(
                texts.NEXT,
                icon=":material/chevron_right:",
                key=f"{self._key}_next",
                disabled=following is None,
                on_click=self._forward,
                args=(following,),
            )
            st.caption(texts.PAGE.format(number=self.number))

    def _back(self) -> None:
        self._cursors.pop()

    def _forward(self, following: str) -> None:
        self._cursors.append(following)
