"""One save: what may be said about it, and the draft that is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import streamlit as st

from cgcore.errors import InvalidInput, StaleVersion
from pages.ui.heads import SaveBar
from pages.ui.stale import StaleForm, draw_stale
from pages.ui.texts import common
from pages.ui.toasts import announce

__all__ = ["SavedForm", "draw_notices", "try_save"]


class SavedForm(StaleForm, Protocol):
    """A draft that remembers why it was not stored; its name tells it from others of the page."""

    @property
    def name(self) -> str: ...

    def refuse(self, refused: InvalidInput) -> None:
        """Remember why a save was refused."""

    @property
    def is_refused(self) -> bool:
        """Whether a save was refused, and what was refused still stands."""
        ...


def try_save(page: str, form: SavedForm, save: Callable[[], object]) -> bool:
    """Call ``save``; return whether it is stored. The draft stays in any case.

    What went wrong is remembered and told by :func:`draw_notices`, run after run: the next key pressed in a field
    may run the page again before anybody has read it.
    """
    try:
        save()
    except InvalidInput as refused:
        form.refuse(refused)
        return False
    except StaleVersion as stale:
        st.session_state[f"{page}_stale"] = stale
        st.session_state[f"{page}_stale_form"] = form.name
        return False
    announce(common.SAVED_TOAST)
    return True


def draw_notices(bar: SaveBar, *forms: SavedForm) -> None:
    """Say that nothing was saved while that is so, and offer the choice that a stale save of one of them waits for."""
    with bar.notices:
        if any(form.is_refused for form in forms):
            st.error(common.NOTHING_SAVED, icon=":material/error:")
        for form in forms:
            if form.name == st.session_state.get(f"{bar.page}_stale_form"):
                draw_stale(bar.page, form)
