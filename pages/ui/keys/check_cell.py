"""Cell 3: «Probar la clave» with a pasted key."""

from __future__ import annotations

import json

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.runs import Cell, Run
from cgcore.vault.secret import Secret
from cgcore.workbench.key_access import CHECKED_PATH
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellState, cell, state_of
from pages.ui.identity import while_logged_in
from pages.ui.keys.view import KeysPage
from pages.ui.markdown import escape
from pages.ui.problems import draw_problems
from pages.ui.runs import draw_run, follow_run
from pages.ui.texts import api_key as texts

__all__ = ["draw_check_cell", "draw_outcome"]

_KEY = "api_key_check_key"
_PASTED = "api_key_check_pasted"


@st.fragment
@while_logged_in
def draw_check_cell(page: KeysPage) -> None:
    """Draw the field, the button and the last result."""
    with cell("api_key_check", texts.CELL_CHECK, CellState.IDLE) as head:
        inputs, output = st.columns([5, 6], gap="medium")
        problems: tuple[FieldProblem, ...] = ()
        run = page.workbench.runs.find_last(page.actor, Cell.API_KEY)
        with inputs:
            st.text_input(texts.CHECK_KEY, key=_KEY, type="password", autocomplete="off")
            slot = st.container()
            st.caption(texts.CHECK_NOTE)
            if st.button(texts.CHECK, key="api_key_check_run", icon=":material/play_arrow:", on_click=_take_key):
                try:
                    run = page.workbench.keys.start_check(page.actor, st.session_state.pop(_PASTED), page.own_address)
                except InvalidInput as refused:
                    problems = refused.problems
        with slot:
            draw_problems(problems, "key")
        with output:
            draw_outcome(page, run, key="cell")
            head.show(state_of(page.workbench.runs.find_last(page.actor, Cell.API_KEY)))


def draw_outcome(page: KeysPage, run: Run | None, *, key: str) -> None:
    """Draw a check, waiting for its end when it is under way."""
    if run is not None and run.is_running:
        run = follow_run(page.workbench, page.actor, run)
    draw_run(run, state_of(run), key=f"api_key_check_{key}", after_verdict=_draw_answer)


def _take_key() -> None:
    # Before the run: the field is emptied, so that the key does not stay in the session.
    st.session_state[_PASTED] = Secret(st.session_state[_KEY])
    st.session_state[_KEY] = ""


def _draw_answer(run: Run) -> None:
    if run.proves_nothing:
        return
    result = run.result or {}
    if not result.get("status"):
        st.markdown(f":red[:material/error: {escape(texts.CHECK_NO_ANSWER.format(path=CHECKED_PATH))}]")
        return
    label = texts.CHECK_STEP.format(
        path=CHECKED_PATH, status=result["status"], phrase=result["phrase"], ms=run.duration_ms
    )
    if run.verdict is not None and not run.failed:
        st.markdown(f":green[:material/check_circle: {escape(verdict_texts(run.cell, run.verdict)[0])}]")
    with st.status(escape(label), type="step", state="error" if run.failed else "complete", expanded=True):
        st.code(_indented(result["answer"]), language=None, wrap_lines=True)


def _indented(answer: str) -> str:
    try:
        return json.dumps(json.loads(answer), indent=2, ensure_ascii=False)
    except ValueError:
        return answer
