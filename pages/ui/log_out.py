"""«Cerrar sesión»: asked first where something is unsaved; what was typed stays as a draft."""

from __future__ import annotations

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui.drafts import unsaved_pages
from pages.ui.identity import dialog, require_actor, while_logged_in
from pages.ui.texts import common
from pages.ui.texts import drafts as texts

__all__ = ["leave"]


def leave(workbench: Workbench, actor: Actor) -> None:
    """End the log-in; with unsaved changes only after a yes."""
    if unsaved := unsaved_pages():
        _ask(workbench, [title for page, title in _titles().items() if page in unsaved])
    else:
        _end(workbench, actor)


def _titles() -> dict[str, str]:
    return {
        "mail_account": common.PAGE_MAIL_ACCOUNT,
        "sending_defaults": common.PAGE_SENDING,
        "series_defaults": common.PAGE_SERIES,
        "send_document": common.PAGE_SEND,
        "administration": common.PAGE_ADMIN,
        "profile": common.PAGE_PROFILE,
    }


@dialog(lambda: texts.LEAVE_TITLE, icon=":material/edit:")
@while_logged_in
def _ask(workbench: Workbench, pages: list[str]) -> None:
    st.markdown("\n".join(f"- **{page}**" for page in pages))
    st.write(texts.LEAVE_EXPLANATION)
    with st.container(horizontal=True):
        if st.button(common.LOG_OUT, type="primary", key="log_out_confirm"):
            actor = require_actor()
            workbench.drafts.flush(actor)
            _end(workbench, actor)
        if st.button(texts.LEAVE_STAY, key="log_out_stay"):
            st.rerun()


def _end(workbench: Workbench, actor: Actor) -> None:
    # The gate sends every tab of this log-in to the log-in page.
    workbench.identity.sessions.log_out(actor.session_hash)
    st.stop()
