"""«Que llegue» on «Cuenta mail»: what the sender's domain says about who may send for it, and the record to add."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.deliverability import finding_text
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run, Status, Step
from cgcore.workbench.deliverability import domain_fingerprint
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellHead, CellState, state_of
from pages.ui.identity import while_logged_in
from pages.ui.mail.history import draw_history
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import duration, when
from pages.ui.runs import follow, status_line
from pages.ui.texts import common
from pages.ui.texts import mail_account as texts

__all__ = ["draw"]


@st.fragment
@while_logged_in
def draw(page: MailPage) -> None:
    """Draw «Que llegue»: folded, but for what was last found wrong."""
    section = page.workbench.deliverability
    run = section.find_last(page.actor)
    panel = st.expander(
        texts.CELL_DOMAIN,
        expanded=run is not None and any(Status(step.status) is not Status.OK for step in run.steps),
        type="compact",
        icon=":material/dns:",
        key="cell_domain",
        on_change="rerun",
    )
    if panel.open:
        with panel:
            _draw_panel(page, run)


def _draw_panel(page: MailPage, run: Run | None) -> None:
    head = CellHead(texts.DOMAIN_HEAD, _state_of(page, run))
    st.caption(texts.DOMAIN_EXPLANATION)
    if st.button(texts.DOMAIN_RUN, key="mail_account_domain_run", icon=":material/dns:"):
        section = page.workbench.deliverability
        run = page.start(Cell.DELIVERABILITY, lambda: section.start(page.actor, page.form.draft()))
    with st.container(key="mail_account_domain_verdict", gap="small"):
        if page.tell_refusal(Cell.DELIVERABILITY, "mail_account_domain_refused"):
            head.show(CellState.IDLE)
            return
        if run is not None and run.is_running:
            run = _follow(page, run)
        if run is not None:
            head.show(_state_of(page, run))
            _draw_run(run, _state_of(page, run))
            if not run.is_running:
                draw_history(page, Leg.SMTP, Cell.DELIVERABILITY, run)


def _state_of(page: MailPage, run: Run | None) -> CellState:
    return state_of(run, domain_fingerprint(page.draft) if run is not None else None)


def _follow(page: MailPage, run: Run) -> Run:
    with st.spinner(CellState.RUNNING.label, show_time=True):
        return [run, *follow(page.workbench, page.actor, run)][-1]


def _draw_run(run: Run, state: CellState) -> None:
    if state is CellState.STALE:
        st.warning(common.STALE_RESULT, icon=":material/sync_problem:")
    if run.verdict is not None and not run.steps:
        st.warning(escape(verdict_texts(run.cell, run.verdict)[0]), icon=":material/help:")
    for step in run.steps:
        st.markdown(_line(step))
        if record := str(step.details.get("record", "")):
            st.caption(texts.DOMAIN_RECORD)
            # With Streamlit's own button to copy it.
            st.code(record, language=None, wrap_lines=True)
    st.caption(" · ".join([duration(run.duration_ms), when(run.started), common.RUN_NUMBER.format(number=run.number)]))


def _line(step: Step) -> str:
    said = escape(finding_text(str(step.details["code"]), step.details["values"]))
    return status_line(said, Status(step.status))
