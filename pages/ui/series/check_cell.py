"""The cell «Comprobar»: every rule over the stored defaults, with its last output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.documents import DocumentType, type_label
from cgcore.identity.actor import Actor
from cgcore.runs import Run, Status
from cgcore.series.defaults import Defaults, defaults_fingerprint
from cgcore.series.series import Finding
from cgcore.workbench import Workbench
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellState, cell, state_of
from pages.ui.identity import while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import duration, when
from pages.ui.runs import draw_verdict, follow, status_line
from pages.ui.texts import common
from pages.ui.texts import series_defaults as texts

__all__ = ["draw"]


@st.fragment
@while_logged_in
def draw(workbench: Workbench, actor: Actor, stored: Defaults) -> None:
    """Draw the cell over the ``stored`` defaults of ``actor``."""
    with cell("series_check", texts.CHECK_TITLE, CellState.IDLE) as head:
        st.caption(texts.CHECK_EXPLANATION)
        run = workbench.series.checks.find_last(actor)
        if st.button(texts.CHECK_RUN, icon=":material/play_arrow:", key="series_defaults_check"):
            run = workbench.series.checks.start(actor)
        if run is not None and run.is_running:
            *_, run = follow(workbench, actor, run)
        state = _state(run, defaults_fingerprint(stored))
        head.show(state)
        _draw_run(run, state)


def _state(run: Run | None, fingerprint: str) -> CellState:
    if run is None:
        return CellState.IDLE
    if run.is_running or run.proves_nothing or run.fingerprint != fingerprint:
        return state_of(run, fingerprint)
    return CellState.FAILED if run.verdict and run.verdict.key == "check_errors" else CellState.PASSED


def _draw_run(run: Run | None, state: CellState) -> None:
    if run is None or run.verdict is None:
        st.caption(f":material/hourglass_empty: {common.NOT_RUN_YET}")
        return
    moment = " · ".join([duration(run.duration_ms), when(run.started), common.RUN_NUMBER.format(number=run.number)])
    with st.container(key="series_defaults_check_verdict", gap="small"):
        if state is CellState.STALE:
            st.warning(common.STALE_RESULT, icon=":material/sync_problem:")
        if run.proves_nothing:
            draw_verdict(run)
        else:
            st.markdown(f"**{escape(verdict_texts(run.cell, run.verdict)[0])}**")
    st.caption(moment)
    if run.proves_nothing:
        return
    st.markdown("  \n".join(_line(entry) for entry in (run.result or {}).get("types", [])))


def _line(entry: Mapping[str, Any]) -> str:
    kind = type_label(DocumentType(entry["type"]))
    findings = [Finding.from_json(finding) for finding in entry["findings"]]
    failed = any(finding.blocks for finding in findings)
    note = "" if not findings else texts.CHECK_ERROR if failed else texts.CHECK_WARNING
    line = texts.CHECK_ROW_OK if entry["series"] else texts.CHECK_ROW_NONE
    said = [escape(line.format(kind=kind, code=entry["series"]) + note), *(escape(found.message) for found in findings)]
    return status_line(" · ".join(said), Status.ERROR if failed else Status.WARNING if findings else Status.OK)
