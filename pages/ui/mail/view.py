"""What the cells of «Cuenta mail» share: who, the draft, its problems, and the head of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.runs import Cell, Run
from cgcore.workbench import Workbench
from pages.ui.cells import CellState
from pages.ui.drafts import keep_what_is_typed
from pages.ui.heads import SaveBar
from pages.ui.mail.form import AccountForm
from pages.ui.problems import draw_problems
from pages.ui.runs import escape
from pages.ui.texts import mail_account as texts

__all__ = ["MailPage"]

_NOT_STARTED = "mail_account_not_started"


@dataclass(frozen=True)
class MailPage:
    """One run of the page."""

    workbench: Workbench
    actor: Actor
    form: AccountForm
    bar: SaveBar

    @cached_property
    def runs(self):
        """The runs of this account."""
        return self.workbench.mail_runs

    def start(self, cell: Cell, begin: Callable[[], Run]) -> Run:
        """Start the test of ``cell``; what keeps it from starting is told there, and beside the fields by the page."""
        try:
            run = begin()
        except InvalidInput as refused:
            self.form.refuse(refused, starting=True)
            st.session_state[_NOT_STARTED] = cell
            st.rerun()
        self.form.forgive()
        st.session_state.pop(_NOT_STARTED, None)
        return run

    def tell_refusal(self, cell: Cell, key: str) -> bool:
        """Draw, in the cell whose test did not start, what is in the way of it while it is; return whether so."""
        if st.session_state.get(_NOT_STARTED) is not cell:
            return False
        asked = {(found.field, found.code) for found in self.form.problems_of_save}
        standing = [found for found in self.form.problems() if (found.field, found.code) in asked]
        if standing:
            labels = texts["FIELD_LABELS"]
            lines = [f"- **{labels[found.field]}**: {escape(found.message)}" for found in standing]
            with st.container(key=f"{key}_verdict"):
                st.error("\n".join(lines), title=texts.NOT_STARTED, icon=":material/error:")
        return bool(standing)

    def offer_save(self, key: str, state: CellState) -> None:
        """Under what was proven but is not stored: say so, with the button."""
        if state is CellState.PASSED and self.form.count_changed():
            st.markdown(f":violet[:material/edit: {texts.PROVEN_NOT_SAVED}]")
            self.bar.ask(texts.SAVE_PROVEN, key)

    def keep_up(self) -> None:
        """In a cell: run the page again where the draft is not the one it was drawn with."""
        keep_what_is_typed(self.workbench)
        self.bar.keep_up(self.form.draft())

    def problems_under(self, *fields: str) -> None:
        """Draw what is wrong with ``fields``."""
        problems = self.form.problems()
        for field in fields:
            draw_problems(problems, field)
