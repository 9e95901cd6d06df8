"""«Comprobación diaria» of «Cuenta mail»: its switch, the last look, and what that has seen; folded."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.watch import trouble_text
from pages.ui.identity import find_actor
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.texts import mail_account as texts

__all__ = ["draw"]

_SWITCH = "mail_account_watch_on"


def draw(page: MailPage) -> None:
    """Draw the folded part of an account that is stored; it is filled while it is open."""
    if not page.form.stored.version:
        return
    part = st.expander(
        texts.WATCH, type="compact", icon=":material/event_repeat:", key="mail_account_watch", on_change="rerun"
    )
    with part:
        if part.open:
            _fill(page)


def _fill(page: MailPage) -> None:
    view = page.workbench.mail_watch.get(page.actor)
    st.session_state[_SWITCH] = view.enabled
    st.toggle(texts.WATCH_ON, key=_SWITCH, on_change=_switch, args=(page,))
    st.caption(texts.WATCH_EXPLANATION)
    for trouble in view.troubles:
        st.markdown(f":orange[:material/warning: {escape(trouble_text(trouble))}]")
    if view.looked is not None:
        done = texts.WATCH_SEEN if view.troubles else texts.WATCH_GOOD
        st.caption(f"{done} · {when(view.looked)}")
    elif view.enabled:
        st.caption(texts.WATCH_TONIGHT)


def _switch(page: MailPage) -> None:
    actor = find_actor()
    if actor is not None:
        page.workbench.mail_watch.switch(actor, enabled=bool(st.session_state[_SWITCH]))
