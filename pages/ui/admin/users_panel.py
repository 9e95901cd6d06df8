"""Usuarios: the list, or the one user who is open."""

from __future__ import annotations

import streamlit as st

from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from pages.ui.admin.user_editor import UserForm, draw_editor, show_link
from pages.ui.admin.users_list import OPEN, draw_list
from pages.ui.editing import store

__all__ = ["UsersPanel"]


class UsersPanel:
    """The panel of one run; it can save while a user is open."""

    wants_save = False

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        self.form = self._find_form()

    @property
    def can_save(self) -> bool:
        """Whether a user is open."""
        return self.form is not None

    @property
    def forms(self):
        """The draft, while something is open."""
        return (self.form,) if self.form else ()

    def changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return self.form.count_changed() if self.form else 0

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

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        if self.form:
            self.form.reset()

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
