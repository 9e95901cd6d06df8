"""What the cells of «Cuenta mail» share: who, the draft, its problems, and the head of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.runs import Run
from cgcore.workbench import Workbench
from pages.ui.drafts import keep_what_is_typed
from pages.ui.heads import SaveBar
from pages.ui.mail.form import AccountForm
from pages.ui.problems import draw_problems

__all__ = ["MailPage"]


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

    def start(self, begin: Callable[[], Run]) -> Run:
        """Start a test; what keeps it from starting is told beside the fields by the page's own run."""
        try:
            run = begin()
        except InvalidInput as refused:
            self.form.refuse(refused, starting=True)
            st.rerun()
        self.form.forgive()
        return run

    def keep_up(self) -> None:
        """In a cell: run the page again where the draft is not the one it was drawn with."""
        keep_what_is_typed(self.workbench)
        self.bar.keep_up(self.form.draft())

    def problems_under(self, *fields: str) -> None:
        """Draw what is wrong with ``fields``."""
        problems = self.form.problems()
        for field in fields:
            draw_problems(problems, field)
