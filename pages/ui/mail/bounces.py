"""«Devoluciones» of «Cuenta mail»: whether the inbox is searched for what came back, and what belongs to no message."""

from __future__ import annotations

import streamlit as st

from pages.ui.activity_table import result_word
from pages.ui.identity import find_actor
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.outbox.message import notice_line
from pages.ui.texts import mail_account as texts

__all__ = ["draw_bounces"]

_KEY = "mail_account_bounces"


def draw_bounces(page: MailPage) -> None:
    """Draw the panel, folded: nothing is read before it is open. The switch acts at once, saved or not."""
    panel = st.expander(texts.BOUNCES, type="compact", icon=":material/undo:", key=f"{_KEY}_panel", on_change="rerun")
    if panel.open:
        with panel:
            _draw(page)


def _draw(page: MailPage) -> None:
    section = page.workbench.bounces
    search = section.get(page.actor)
    st.session_state[f"{_KEY}_on"] = search.active
    st.toggle(texts.BOUNCES_SWITCH, key=f"{_KEY}_on", on_change=_switch, args=(page,))
    st.caption(texts.BOUNCES_READS)
    if search.active:
        if search.key:
            st.warning(texts.BOUNCES_FAILED.format(reason=escape(result_word(search.key))), icon=":material/warning:")
        told = texts.BOUNCES_LOOKED.format(moment=when(search.looked)) if search.looked else texts.BOUNCES_NOT_YET
        with st.container(horizontal=True, vertical_alignment="center", key=f"{_KEY}_now"):
            st.caption(told)
            if st.button(texts.BOUNCES_NOW, icon=":material/refresh:", key=f"{_KEY}_look"):
                section.hurry(page.actor)
                st.toast(texts.BOUNCES_SOON, icon=":material/check:")
    if unassigned := section.list_unassigned(page.actor):
        st.markdown(f"**{texts.BOUNCES_UNASSIGNED}**")
        st.markdown("\n".join(f"- {notice_line(notice)}" for notice in unassigned))


def _switch(page: MailPage) -> None:
    actor, wanted = find_actor(), bool(st.session_state[f"{_KEY}_on"])
    if actor is not None:
        page.workbench.bounces.switch(actor, active=wanted)
        st.toast(texts.BOUNCES_ON if wanted else texts.BOUNCES_OFF, icon=":material/check:")
