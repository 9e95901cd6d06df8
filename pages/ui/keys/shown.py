"""The key, once: copy it, try it, and it is gone."""

from __future__ import annotations

import streamlit as st

from pages.ui.identity import while_logged_in
from pages.ui.keys.check_cell import draw_outcome
from pages.ui.keys.holding import forget, held_key
from pages.ui.keys.view import KeysPage, moment_ahead
from pages.ui.texts import api_key as texts

__all__ = ["show_key"]


# Not dismissible: a click beside the dialog must not lose a key that nobody has copied yet.
@st.dialog(texts.SHOWN_TITLE, width="medium", dismissible=False)
@while_logged_in
def show_key(page: KeysPage) -> None:
    """Show the held key until «Ya la he copiado»."""
    issued = held_key()
    if issued is None:
        st.rerun()
    st.code(issued.key.reveal(), language=None, wrap_lines=True)
    st.markdown(f":orange[:material/warning: {texts.SHOWN_ONCE}]")
    if issued.old_expires is not None:
        st.caption(texts.SHOWN_OLD.format(moment=moment_ahead(issued.old_expires)))
    with st.container(horizontal=True):
        # Forgotten before the dialog is drawn again: else the click itself would bring the key once more.
        st.button(texts.COPIED, type="primary", key="api_key_copied", icon=":material/check:", on_click=forget)
        tried = st.button(texts.CHECK, key="api_key_shown_check", icon=":material/play_arrow:")
    if tried:
        draw_outcome(page, page.workbench.keys.start_check(page.actor, issued.key, page.own_address), key="shown")
