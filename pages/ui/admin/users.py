"""Usuarios: the list, or the one user who is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.errors import InvalidInput, NotFound
from cgcore.identity.actor import Actor, Role
from cgcore.texts import wordings
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.users import Particulars, User
from pages.ui.admin.objects import ROWS, ObjectPanel, draw_edit_button, draw_filters
from pages.ui.cells import cell
from pages.ui.editing import Form, store
from pages.ui.files import draw_download
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.paging import Pager
from pages.ui.texts import administration as texts
from pages.ui.texts import common
from pages.ui.toasts import announce

__all__ = ["OPEN", "UserForm", "UsersPanel", "draw_editor", "draw_list", "show_link"]

OPEN = "administration_user_open"


def draw_list(workbench: Workbench, actor: Actor) -> None:
    """Draw search, rows and pages."""
    st.button(
        texts.USER_NEW,
        icon=":material/person_add:",
        key="administration_user_new",
        on_click=_open,
        args=(("new", ""),),
    )
    text, active = draw_filters("administration_users", texts.USER_SEARCH, texts["USERS_FILTER"])
    pager = Pager("administration_users", (text, active))
    page = workbench.users.list(actor, text=text, active=active, cursor=pager.cursor, limit=ROWS)
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
            st.badge(wordings("cgcore.identity", "roles")[user.role], color="gray")
            draw_state(user)
            draw_edit_button(f"administration_user_edit_{user.id}", user.username, OPEN)
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


_PAGE = "administration"


def _labels() -> dict[str, str]:
    return {"full_name": texts.FULL_NAME, "mail": texts.MAIL, "role": texts.ROLE}


class UserForm(Form):
    """The draft of one user."""

    def __init__(self, stored: User | None) -> None:
        self.stored = stored
        values = {"username": stored.username if stored else ""} | (
            _values(stored.as_json()) if stored else _values({})
        )
        prefix = f"administration_user_{stored.id}" if stored else "administration_new_user"
        super().__init__(_PAGE, prefix, values, stored.version if stored else 0, _labels())

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
    with cell("user_editor", title):
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
        draw_download(
            texts.USER_EXPORT,
            lambda asking: workbench.portable.export_user(asking, user.username),
            file_name=f"configuracion-{user.id}.json",
            mime="application/json",
            key="administration_user_export",
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
            texts.USERNAME,
            live=True,
            help=texts.USERNAME_HELP,
            disabled=form.stored is not None,
            **form.widget("username"),
        )
        form.problems_under("username")
        st.text_input(texts.FULL_NAME, live=True, **form.widget("full_name"))
        form.problems_under("full_name")
    with right:
        st.text_input(texts.MAIL, live=True, **form.widget("mail"))
        form.problems_under("mail")
        st.segmented_control(
            texts.ROLE,
            list(Role),
            format_func=wordings("cgcore.identity", "roles").__getitem__,
            required=True,
            **form.choice("role"),
        )
        form.problems_under("role")


@dialog(lambda: texts.USER_LINK, icon=":material/link:", width="medium")
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


@dialog(lambda: texts.USER_DISABLE, icon=":material/block:")
@while_logged_in
def _ask_disable(workbench: Workbench, actor: Actor, user: User) -> None:
    st.markdown(f"**{texts.USER_DISABLE_TITLE.format(name=escape(user.username))}**")
    st.write(texts.USER_DISABLE_EXPLANATION)
    with st.container(horizontal=True):
        if st.button(texts.USER_DISABLE, type="primary", key="administration_user_disable_confirm"):
            try:
                workbench.users.disable(actor, user.username)
            except InvalidInput as refused:
                st.error(escape(refused.problems[0].message), icon=":material/error:")
                return
            announce(texts.DISABLED_TOAST)
            st.rerun()
        if st.button(common.CANCEL, key="administration_user_disable_cancel"):
            st.rerun()


@dialog(lambda: texts.USER_END_SESSIONS, icon=":material/logout:")
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


class UsersPanel(ObjectPanel[UserForm]):
    """The panel of one run; it can save while a user is open."""

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        super().__init__(self._find_form())

    def save(self) -> bool:
        """Store the open user, a new one with a link to show once; return whether it is stored."""
        form, users = self.form, self._workbench.users
        if form is None:
            return False
        particulars = form.particulars()
        if form.stored is not None:
            name = form.stored.username
            return store(form, lambda: users.save(self._actor, name, particulars, form.version))
        new = NewUser(form.value("username"), None, particulars.full_name, particulars.mail, particulars.role)
        if not store(form, lambda: self._add(new)):
            return False
        st.session_state[OPEN] = ("edit", new.username)
        form.reset()
        return True

    def draw(self) -> None:
        """Draw the open user, else the list."""
        if self.form is None:
            draw_list(self._workbench, self._actor)
        else:
            draw_editor(self._workbench, self._actor, self.form)

    def _add(self, new: NewUser) -> None:
        link = self._workbench.users.add(self._actor, new)
        if link is not None:
            show_link(new.username, link.reveal(), had_password=False)

    def _find_form(self) -> UserForm | None:
        act, name = st.session_state.get(OPEN, ("", ""))
        if not act:
            return None
        try:
            return UserForm(self._workbench.users.get(self._actor, name) if act == "edit" else None)
        except NotFound:
            st.session_state.pop(OPEN, None)
            return None
