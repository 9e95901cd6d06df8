"""Series: the list, or the one series that is open."""

from __future__ import annotations

import streamlit as st

from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui.admin.series_editor import CONFIRMED, SeriesForm, ask_about_orphans, draw_editor
from pages.ui.admin.series_list import OPEN, draw_list
from pages.ui.editing import store

__all__ = ["SeriesPanel"]


class SeriesPanel:
    """The panel of one run; it can save while a series is open."""

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        self.form = self._find_form()

    @property
    def can_save(self) -> bool:
        """Whether a series is open."""
        return self.form is not None

    @property
    def wants_save(self) -> bool:
        """Whether a question about the save has just been answered by yes."""
        return bool(st.session_state.get(CONFIRMED))

    @property
    def forms(self):
        """The draft, while something is open."""
        return (self.form,) if self.form else ()

    def changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return self.form.count_changed() if self.form else 0

    def save(self) -> bool:
        """Store the open series, after asking where defaults would be left behind; return whether it is stored."""
        form = self.form
        if form is None:
            return False
        confirmed, draft = st.session_state.pop(CONFIRMED, False), form.draft()
        section = self._workbench.series
        if form.stored is None:
            if not store(form, lambda: section.add(self._actor, draft)):
                return False
            st.session_state[OPEN] = ("edit", draft.code)
            # The next new series starts empty.
            form.reset()
            return True
        orphans = list(section.list_orphans(self._actor, draft.code, draft))
        if orphans and not confirmed:
            ask_about_orphans(draft.code, orphans)
            return False
        return store(form, lambda: section.save(self._actor, draft, form.version))

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        if self.form:
            self.form.reset()

    def draw(self) -> None:
        """Draw the open series, else the list."""
        if self.form is None:
            draw_list(self._workbench, self._actor)
        else:
            draw_editor(self._workbench, self._actor, self.form)

    def _find_form(self) -> SeriesForm | None:
        act, code = st.session_state.get(OPEN, ("", ""))
        if not act:
            return None
        try:
            return SeriesForm(self._workbench.series.get(self._actor, code) if act == "edit" else None)
        except NotFound:
            # Somebody else deleted it in the meantime.
            st.session_state.pop(OPEN, None)
            return None
