"""«Desconectar»: the question before, and what became of the permission at the provider."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from cgcore.errors import NotFound
from cgcore.workbench.oauth.grants import Connected, Disconnected
from pages.ui.identity import dialog, while_logged_in
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.texts import common
from pages.ui.texts import oauth as texts
from pages.ui.toasts import announce

__all__ = ["ask_disconnect"]


@dialog(lambda: texts.DISCONNECT, icon=":material/link_off:")
@while_logged_in
def ask_disconnect(page: MailPage, connected: Connected, label: str) -> None:
    """Ask whether a connection is to end; end it, and say what became of it."""
    st.markdown(texts.DISCONNECT_QUESTION.format(address=escape(connected.address)))
    with st.container(horizontal=True):
        if st.button(texts.DISCONNECT, type="primary", key="mail_account_disconnect_yes"):
            with suppress(NotFound):
                _tell_end(page.workbench.oauth.grants.disconnect(page.actor), label)
            st.rerun()
        if st.button(common.CANCEL, key="mail_account_disconnect_no"):
            st.rerun()


def _tell_end(done: Disconnected, label: str) -> None:
    provider = escape(label)
    if done.revoked:
        announce(texts.DISCONNECTED.format(provider=provider))
    elif done.manage_url:
        told = texts.DISCONNECTED_HERE.format(provider=provider, link=done.manage_url)
        announce(told, icon=":material/link_off:", stays=True)
    else:
        announce(texts.DISCONNECTED_ONLY_HERE.format(provider=provider), icon=":material/link_off:", stays=True)
