"""One user: particulars, and what an administrator may do with the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor, Role
from cgcore.workbench import Workbench
from cgcore.workbench.users import Particulars, User
from pages.ui.admin.users_list import OPEN, draw_state
from pages.ui.cells import cell
from pages.ui.editing import Form
from pages.ui.identity import while_logged_in
from pages.ui.results import escape
from pages.ui.texts import administration as texts
from pages.ui.texts import common
from pages.ui.toasts import announce

__all__ = ["UserForm", "draw_editor", "show_link"]

_PAGE = "administration"
_LABELS = {"full_name": texts.FULL_NAME, "mail": texts.MAIL, "role": texts.ROLE}


class UserForm(Form):
    """The draft of one user."""

    def __init__(self, stored: User | None) -> None:
        self.stored = stored
        values = {"username": stored.username if stored else ""} | (
            _values(stored.as_json()) if stored else _values({})
        )
        prefix = f"administration_user_{stored.id}" if stored else "administration_new_user"
        super().__init__(_PAGE, prefix, values, stored.version if stored else 0, _LABELS)

    def particulars(self) -> Particulars:
        """Return what may be changed of a user, as the fields hold it now."""
        return Particulars(self.value("full_name"), self.value("mail"), self.value("role"))

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return the fields that differ from what a stale save found."""
        return super().differences(_values(stored))


def _values(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "full_name": stored.get("full_name", ""),
        "mail": stored.get("mail", ""),
        "role": Role(stored.get("role", Role.USER)),
    }


def draw_editor(workbench: Workbench, actor: Actor, form: UserForm) -> None:
    """Draw the fields, and for a stored user the acts."""
    if st.button(texts.BACK, icon=":material/arrow_back:", type="tertiary", key="administration_user_back"):
        st.session_state.pop(OPEN, None)
        st.rerun()
    user = form.stored
    title = texts.USER_EDITOR.format(name=escape(user.username)) if user else texts.USER_EDITOR_NEW
    with cell("user_editor", title) as badge:
        badge.empty()
        _draw_fields(form)
    if user is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        draw_state(user)
        st.caption(texts.SESSIONS_OPEN.format(count=workbench.users.count_sessions(actor, user.username)))
    with st.container(horizontal=True):
        if st.button(texts.USER_LINK, icon=":material/link:", key="administration_user_link"):
            show_link(user.username, workbench.users.issue_reset_link(actor, user.username).reveal(), user.has_password)
        if st.button(texts.USER_END_SESSIONS, icon=":material/logout:", key="administration_user_end"):
            _ask_end_sessions(workbench, actor, user)
        st.download_button(
            texts.USER_EXPORT,
            lambda: workbench.portable.export_user(actor, user.username).encode(),
            file_name=f"configuracion-{user.id}.json",
            mime="application/json",
            icon=":material/download:",
            key="administration_user_export",
            on_click="ignore",
        )
        if user.active:
            if st.button(texts.USER_DISABLE, icon=":material/block:", key="administration_user_disable"):
                _ask_disable(workbench, actor, user)
        elif st.button(texts.USER_ENABLE, icon=":material/check_circle:", key="administration_user_enable"):
            workbench.users.enable(actor, user.username)
            announce(texts.ENABLED_TOAST)
            st.rerun()


def _draw_fields(form: UserForm) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.text_input(
            texts.USERNAME, key=form.key("username"), help=texts.USERNAME_HELP, disabled=form.stored is not None
        )
        form.problems_under("username")
        st.text_input(texts.FULL_NAME, key=form.key("full_name"), persist_state="session")
        form.problems_under("full_name")
    with right:
        st.text_input(texts.MAIL, key=form.key("mail"), persist_state="session")
        form.problems_under("mail")
        st.segmented_control(
            texts.ROLE,
            list(Role),
            format_func=texts.ROLES.__getitem__,
            key=form.key("role"),
            required=True,
            persist_state="session",
        )
        form.problems_under("role")


@st.dialog(texts.USER_LINK, icon=":material/link:", width="medium")
@while_logged_in
def show_link(username: str, path: str, had_password: bool) -> None:
    """Show a one-time link, this once."""
    st.markdown(f"**{texts.USER_LINK_TITLE.format(name=escape(username))}**")
    st.write(texts.USER_LINK_EXPLANATION)
    st.code(f"{_origin()}{path}", language=None, wrap_lines=True)
    if had_password:
        st.caption(texts.USER_LINK_WARNING)
    if st.button(common.CLOSE, key="administration_user_link_close"):
        st.rerun()


def _origin() -> str:
    scheme, _, rest = (st.context.url or "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if rest else ""


@st.dialog(texts.USER_DISABLE, icon=":material/block:")
@while_logged_in
def _ask_disable(workbench: Workbench, actor: Actor, user: User) -> None:
    st.markdown(f"**{texts.USER_DISABLE_TITLE.format(name=escape(user.username))}**")
    st.write(texts.USER_DISABLE_EXPLANATION)
    with st.container(horizontal=True):
        if st.button(texts.USER_DISABLE, type="primary", key="administration_user_disable_confirm"):
            try:
                workbench.users.disable(actor, user.username)
            except InvalidInput as refused:
                st.error(refused.problems[0].message, icon=":material/error:")
                return
            announce(texts.DISABLED_TOAST)
            st.rerun()
        if st.button(common.CANCEL, key="administration_user_disable_cancel"):
            st.rerun()


@st.dialog(texts.USER_END_SESSIONS, icon=":material/logout:")
@while_logged_in
def _ask_end_sessions(workbench: Workbench, actor: Actor, user: User) -> None:
    st.markdown(f"**{texts.USER_END_TITLE.format(name=escape(user.username))}**")
    st.write(texts.USER_END_EXPLANATION)
    with st.container(horizontal=True):
        if st.button(texts.USER_END_SESSIONS, type="primary", key="administration_user_end_confirm"):
            count = workbench.users.end_sessions(actor, user.username)
            announce(texts.USER_ENDED.format(count=count))
            st.rerun()
        if st.button(common.CANCEL, key="administration_user_end_cancel"):
            st.rerun()
