"""The own password: the old one, the new one twice, and what the change brings with it."""

from __future__ import annotations

import math

import streamlit as st

from cgcore.errors import InvalidInput, Throttled
from cgcore.identity.actor import Actor
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from pages.ui.cells import cell
from pages.ui.problems import draw_problems
from pages.ui.texts import profile as texts

__all__ = ["draw"]


def draw(workbench: Workbench, actor: Actor) -> None:
    """Draw the cell. The three fields are a form of their own, so that no password waits in the session."""
    with cell("password", texts.CELL_PASSWORD) as badge:
        badge.empty()
        with st.form("profile_password", border=False, clear_on_submit=True, enter_to_submit=False):
            old = st.text_input(
                texts.OLD_PASSWORD, type="password", key="profile_old_password", autocomplete="current-password"
            )
            new = st.text_input(
                texts.NEW_PASSWORD, type="password", key="profile_new_password", autocomplete="new-password"
            )
            again = st.text_input(
                texts.REPEAT_PASSWORD, type="password", key="profile_repeat_password", autocomplete="new-password"
            )
            st.caption(texts.PASSWORD_CONSEQUENCE)
            clicked = st.form_submit_button(texts.CHANGE_PASSWORD, icon=":material/key:", key="profile_change_password")
        if clicked:
            _change(workbench, actor, Secret(old or ""), Secret(new or ""), same=new == again)


def _change(workbench: Workbench, actor: Actor, old: Secret, new: Secret, *, same: bool) -> None:
    if not same:
        st.error(texts.PASSWORDS_DIFFER, icon=":material/error:")
        return
    try:
        workbench.identity.accounts.change_password(actor, old, new)
    except InvalidInput as refused:
        for problem in refused.problems:
            draw_problems([problem], problem.field)
    except Throttled as throttled:
        st.error(texts.THROTTLED.format(seconds=math.ceil(throttled.retry_after)), icon=":material/timer:")
    else:
        st.success(texts.PASSWORD_CHANGED, icon=":material/check:")
