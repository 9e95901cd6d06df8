"""One short line when something is done, told by the run that is seen."""

from __future__ import annotations

import streamlit as st

__all__ = ["announce", "draw_toast"]

_WAITING = "toast_waiting"


def announce(sentence: str, *, icon: str | None = ":material/check:", stays: bool = False) -> None:
    """Leave ``sentence`` for the end of the page's next whole run: a toast of a run that is cut short is never seen.

    One that ``stays`` is there until it is closed.
    """
    st.session_state[_WAITING] = sentence, icon, stays


def draw_toast() -> None:
    """Show what waits; the router's last line."""
    waiting: tuple[str, str | None, bool] | None = st.session_state.pop(_WAITING, None)
    if waiting is not None:
        sentence, icon, stays = waiting
        st.toast(sentence, icon=icon, duration="infinite" if stays else "short")
