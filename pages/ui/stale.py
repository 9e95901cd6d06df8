"""A stale save: both versions side by side, and the choice; nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import streamlit as st

from cgcore.errors import StaleVersion
from pages.ui.texts import common as texts

__all__ = ["StaleForm", "draw_stale"]


_COLUMNS = (texts.STALE_FIELD, texts.STALE_YOURS, texts.STALE_STORED)


class StaleForm(Protocol):
    """A draft that can be set against what is stored now."""

    def reset(self) -> None:
        """Take what is stored."""

    def accept_version(self, version: int) -> None:
        """Keep the draft, based on ``version`` from now on."""

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs."""
        ...


def draw_stale(page: str, form: StaleForm) -> None:
    """Draw the choice while a save of ``page`` waits for it."""
    stale: StaleVersion | None = st.session_state.get(f"{page}_stale")
    if stale is None:
        return
    with st.container(border=True, key=f"{page}_stale_box"):
        st.warning(texts.STALE_EXPLANATION, title=texts.STALE_TITLE, icon=":material/sync_problem:")
        for name, column in zip(st.columns(3), _COLUMNS, strict=True):
            name.caption(column)
        for row in form.differences(stale.stored):
            for place, value in zip(st.columns(3), row, strict=True):
                place.text(value)
        with st.container(horizontal=True):
            st.button(texts.STALE_KEEP_MINE, key=f"{page}_stale_mine", on_click=_keep, args=(page, form, stale.version))
            st.button(texts.STALE_TAKE_STORED, key=f"{page}_stale_stored", on_click=_take, args=(page, form))


def _keep(page: str, form: StaleForm, version: int) -> None:
    form.accept_version(version)
    st.session_state.pop(f"{page}_stale", None)
    st.session_state[f"{page}_save_again"] = True


def _take(page: str, form: StaleForm) -> None:
    form.reset()
    st.session_state.pop(f"{page}_stale", None)
