"""«Para todos»: what is asked before other people's own choices go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.series.kinds import type_label
from cgcore.workbench import Workbench
from pages.ui.identity import while_logged_in
from pages.ui.texts import common
from pages.ui.texts import series_defaults as texts

__all__ = ["ANSWER", "ask_everybody", "draw_clear_own"]

ANSWER = "series_defaults_everybody_answer"
_SHOWN = 20


@st.dialog(texts.EVERYBODY_TITLE, icon=":material/group:")
@while_logged_in
def ask_everybody(workbench: Workbench, actor: Actor, types: Sequence[DocumentType]) -> None:
    """List whose own choice of ``types`` would go, and leave the answer in the session: remove them, or keep them."""
    st.write(texts.EVERYBODY_EXPLANATION)
    overridden = workbench.series.defaults.list_overridden(actor, types)
    for choice in overridden[:_SHOWN]:
        kind = type_label(choice.document_type)
        st.text(texts.EVERYBODY_ROW.format(name=choice.username, kind=kind, code=choice.series_code))
    if len(overridden) > _SHOWN:
        st.caption(texts.EVERYBODY_MORE.format(count=len(overridden) - _SHOWN))
    with st.container(horizontal=True):
        if st.button(texts.EVERYBODY_CONFIRM, type="primary", key="series_defaults_everybody_confirm"):
            st.session_state[ANSWER] = True
            st.rerun()
        if st.button(texts.EVERYBODY_KEEP, key="series_defaults_everybody_keep"):
            st.session_state[ANSWER] = False
            st.rerun()
        if st.button(common.CANCEL, key="series_defaults_everybody_cancel"):
            st.rerun()


def draw_clear_own(workbench: Workbench, actor: Actor, stored: Mapping[DocumentType, str]) -> None:
    """Offer to remove everybody's own choices of the types that the company has a default for."""
    types = list(stored)
    if not types or not workbench.series.defaults.list_overridden(actor, types):
        return
    if st.button(
        texts.CLEAR_OWN, icon=":material/group_remove:", help=texts.CLEAR_OWN_HELP, key="series_defaults_clear_own"
    ):
        ask_everybody(workbench, actor, types)
