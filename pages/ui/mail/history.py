"""The last tests of a cell, and what changed between one that passed and one that fails."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.account import Security
from cgcore.mail.account_texts import security_label
from cgcore.mail.changes import Difference, what_changed
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run, Status
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import duration, when
from pages.ui.runs import status_line
from pages.ui.texts import mail_account as texts

__all__ = ["draw_history"]

_SHOWN = 5


def draw_history(page: MailPage, leg: Leg, cell: Cell, run: Run) -> None:
    """Draw the panel, folded: nothing is read before it is open. A first test has no history."""
    if run.number < 2:
        return
    panel = st.expander(
        texts.HISTORY, type="compact", icon=":material/history:", key=f"mail_account_{cell}_history", on_change="rerun"
    )
    if not panel.open:
        return
    runs = [each for each in page.runs.list_last(page.actor, cell, _SHOWN) if not each.is_running]
    with panel:
        st.markdown("  \n".join(_line(each) for each in runs))
        passed = next((each for each in runs if not each.failed and each.id != run.id), None)
        if run.failed and not run.proves_nothing and passed is not None:
            differences = [escape(_difference(leg, each)) for each in what_changed(passed, run)]
            told = differences or [texts.CHANGED_NOTHING]
            st.markdown(f"**{texts.CHANGED.format(moment=when(passed.started))}**")
            st.markdown("\n".join(f"- {each}" for each in told))


def _line(run: Run) -> str:
    said = verdict_texts(run.cell, run.verdict)[0] if run.verdict else ""
    status = Status.WARNING if run.proves_nothing else Status.ERROR if run.failed else Status.OK
    return status_line(escape(" · ".join(filter(None, (when(run.started), said, duration(run.duration_ms))))), status)


def _difference(leg: Leg, found: Difference) -> str:
    words = texts["CHANGES"][found.code]
    before, now = found.before, found.now
    if found.code == "security":
        before, now = (security_label(leg, Security(value)) for value in (before, now))
    return words.format(before=before or "—", now=now or "—")
