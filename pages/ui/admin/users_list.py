"""The list of users, a page at a time."""

from __future__ import annotations

import streamlit as st

from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from cgcore.workbench.users import User
from pages.ui.paging import Pager
from pages.ui.results import escape
from pages.ui.texts import administration as texts

__all__ = ["OPEN", "draw_list"]

OPEN = "administration_user_open"
_SEARCH, _STATE = "administration_users_search", "administration_users_state"
_STATES = {texts.USERS_ALL: None, texts.USERS_ON: True, texts.USERS_OFF: False}
_ROWS = 10


def draw_list(workbench: Workbench, actor: Actor) -> None:
    """Draw search, rows and pages."""
    st.button(
        texts.USER_NEW,
        icon=":material/person_add:",
        key="administration_user_new",
        on_click=_open,
        args=(("new", ""),),
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(texts.USER_SEARCH, key=_SEARCH, icon=":material/search:", width=320)
        state = st.segmented_control(
            texts.SERIES_STATE, list(_STATES), key=_STATE, default=texts.USERS_ALL, required=True
        )
    pager = Pager("administration_users", (text, state))
    page = workbench.users.list(
        actor, text=text or "", active=_STATES[state or texts.USERS_ALL], cursor=pager.cursor, limit=_ROWS
    )
    if not page["items"]:
        st.caption(texts.USERS_NONE)
    for user in page["items"]:
        _draw_row(actor, user)
    pager.draw(page["next"])


def _draw_row(actor: Actor, user: User) -> None:
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape(user.username)}**", width="stretch")
            if user.id == actor.user_id:
                st.badge(texts.USER_YOU, color="violet")
            st.badge(texts.ROLES[user.role], color="gray")
            draw_state(user)
            st.button(
                texts.EDIT,
                icon=":material/edit:",
                key=f"administration_user_edit_{user.id}",
                help=texts.EDIT_NAMED.format(name=escape(user.username)),
                on_click=_open,
                args=(("edit", user.username),),
            )
        st.caption(escape(" · ".join(filter(None, (user.full_name, user.mail)))))


def draw_state(user: User) -> None:
    """Draw whether a user can get in."""
    if not user.active:
        st.badge(texts.USER_INACTIVE, icon=":material/block:", color="gray")
    elif not user.has_password:
        st.badge(texts.USER_PENDING, icon=":material/key_off:", color="orange")
    else:
        st.badge(texts.USER_ACTIVE, icon=":material/check_circle:", color="green")


def _open(what: tuple[str, str]) -> None:
    st.session_state[OPEN] = what
