"""«Bandeja de pruebas»: what the customer would receive, message by message."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cgcore.errors import NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.vault.texts import problem_text
from cgcore.workbench import get_workbench
from cgcore.workbench.sandbox import MessageSummary
from pages.ui.heads import page_title
from pages.ui.identity import dialog, require_actor, while_logged_in
from pages.ui.sandbox import draw_message, pick_message, subject_of
from pages.ui.texts import common
from pages.ui.texts import sandbox as texts
from pages.ui.toasts import announce

PAGE = "sandbox"
SELECTED = f"{PAGE}_selected"


def show_newest() -> None:
    """Forget the selection: the newest message is shown."""
    st.session_state.pop(SELECTED, None)


@dialog(lambda: texts.CLEAR_TITLE)
@while_logged_in
def ask_to_clear(actor: Actor, messages: Sequence[MessageSummary]) -> None:
    """Say what goes and what stays, then clear."""
    st.markdown(texts.CLEAR_COUNT.format(count=len(messages), subject=subject_of(messages[0])))
    st.caption(texts.CLEAR_KEPT)
    with st.container(horizontal=True):
        if st.button(texts.CLEAR_CONFIRM, type="primary", icon=":material/delete:", key=f"{PAGE}_clear_confirm"):
            get_workbench().sandbox.clear(actor)
            announce(texts.CLEARED)
            st.rerun()
        if st.button(common.CANCEL, key=f"{PAGE}_clear_cancel"):
            st.rerun()


actor = require_actor()
section = get_workbench().sandbox

page_title(texts.TITLE, texts.SUBTITLE)
if not section.is_available():
    st.info(texts.SWITCHED_OFF, title=texts.SWITCHED_OFF_TITLE, icon=":material/block:")
    st.stop()
try:
    messages = section.list_messages(actor)
except VaultError as failed:
    trouble = problem_text(failed.code)
    st.error(str(trouble.fix or ""), title=str(trouble.title), icon=":material/error:")
    st.stop()

with st.container(horizontal=True, vertical_alignment="center"):
    st.button(texts.REFRESH, icon=":material/refresh:", key=f"{PAGE}_refresh", on_click=show_newest)
    if st.button(texts.CLEAR, icon=":material/delete:", key=f"{PAGE}_clear", disabled=not messages):
        ask_to_clear(actor, messages)
    if messages:
        count = texts.COUNT.format(count=len(messages))
        st.caption(f"{count}. {texts.KEPT}")
if not messages:
    with st.container(border=True):
        st.markdown(f"**{texts.EMPTY_TITLE}**")
        st.markdown(texts.EMPTY)
        st.page_link("mail_account.py", label=texts.GO_TO_ACCOUNT, icon=":material/mail:")
    st.stop()

listed, shown = st.columns([4, 7], gap="medium")
with listed:
    picked = pick_message(messages, key=SELECTED)
with shown:
    try:
        draw_message(section, section.get_message(actor, picked), key=PAGE)
    except NotFound:
        # Cleared in another tab between the list and this line.
        st.rerun()
