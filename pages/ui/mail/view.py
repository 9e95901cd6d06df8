"""What the cells of «Cuenta mail» share: who, the draft, its problems, and the head of the page."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.account import MailAccountDraft
from cgcore.mail.providers import find_provider_by_host
from cgcore.runs import Cell, Run
from cgcore.workbench import Workbench
from pages.ui.cells import CellState, state_of
from pages.ui.heads import SaveBar
from pages.ui.mail.form import AccountForm
from pages.ui.markdown import escape
from pages.ui.problems import draw_problems, list_problems
from pages.ui.tab import is_fragment_run, this_run
from pages.ui.texts import mail_account as texts

__all__ = ["MailPage"]

_Value = TypeVar("_Value")

_NOT_STARTED = "mail_account_not_started"


@dataclass(frozen=True)
class MailPage:
    """One run of the page."""

    workbench: Workbench
    actor: Actor
    form: AccountForm
    bar: SaveBar
    _known: dict[str, tuple[object, Any]] = field(
        default_factory=dict[str, tuple[object, Any]], repr=False, compare=False
    )

    @cached_property
    def runs(self):
        """The runs of this account."""
        return self.workbench.mail_runs

    @property
    def draft(self) -> MailAccountDraft:
        """What the fields hold in this run, while it is drawn."""
        return self._once("draft", self.form.draft)

    @property
    def problems(self) -> list[FieldProblem]:
        """What is wrong with the fields in this run, while it is drawn."""
        return self._once("problems", self.form.problems)

    @property
    def provider(self) -> str:
        """The id of the provider whose server the fields name, ``""`` for one nobody knows."""
        provider = find_provider_by_host(self.draft.smtp.host)
        return provider.id if provider else ""

    def fingerprint(self, cell: Cell, recipient: str = "") -> str:
        """Return what stands for what ``cell`` would test now."""
        return self.runs.fingerprint(self.actor, cell, self.draft, recipient)

    def state_of(self, cell: Cell, run: Run | None) -> CellState:
        """Return the state that ``run`` gives a cell of a server over the fields as they are."""
        return state_of(run, self.fingerprint(cell) if run is not None and not run.is_running else None)

    def start(self, cell: Cell, begin: Callable[[], Run]) -> Run:
        """Start the test of ``cell``; what keeps it from starting is told there, and beside the fields by the page."""
        try:
            run = begin()
        except InvalidInput as refused:
            self.form.refuse(refused, starting=True)
            st.session_state[_NOT_STARTED] = cell
            st.rerun()
        self.form.forgive()
        self._known.clear()
        st.session_state.pop(_NOT_STARTED, None)
        return run

    def is_refused(self, cell: Cell) -> bool:
        """Return whether the test of ``cell`` was asked for last, and did not start."""
        return st.session_state.get(_NOT_STARTED) is cell

    def tell_refusal(self, cell: Cell, key: str) -> bool:
        """Draw, in the cell whose test did not start, what is in the way of it while it is; return whether so."""
        if not self.is_refused(cell):
            return False
        asked = {(found.field, found.code) for found in self.form.problems_of_save}
        standing = [found for found in self.problems if (found.field, found.code) in asked]
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

    def remember(self) -> None:
        """Remember what this run of the page shows of the fields that stand in a cell."""
        self.bar.remember(self._seen_outside())

    def keep_up(self) -> None:
        """In a run of a cell alone: run the page again where the rest of it no longer shows what is true."""
        if is_fragment_run():
            self.bar.keep_up(self._seen_outside())

    def problems_under(self, name: str) -> None:
        """Draw what is wrong with a field, in a place of its own."""
        draw_problems(self.problems, name)

    def list_problems(self, *names: str) -> None:
        """Draw what is wrong with fields where nothing moves by it."""
        list_problems(self.problems, *names)

    def _seen_outside(self) -> Hashable:
        # The count beside Guardar and the buttons that go by it, notices, the password's note, the test mail's badge.
        found = tuple((found.field, found.code) for found in self.problems)
        tested = self.runs.find_last(self.actor, Cell.TEST_MAIL)
        recipient = str((tested.result or {}).get("recipient", "")) if tested else ""
        is_proven = tested is not None and tested.fingerprint == self.fingerprint(Cell.TEST_MAIL, recipient)
        brought = self.form.brought_password is not None
        return self.form.count_changed(), self.form.is_refused, found, is_proven, brought

    def _once(self, name: str, make: Callable[[], _Value]) -> _Value:
        run = this_run()
        known = self._known.get(name)
        if run is None or known is None or known[0] is not run:
            known = self._known[name] = run, make()
        return known[1]
