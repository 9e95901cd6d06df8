"""The last tests of a cell, and what changed between one that passed and one that fails."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.account import Security
from cgcore.mail.account_texts import security_label
from cgcore.mail.changes import Difference, changed_findings, changed_setup, what_changed
from cgcore.mail.deliverability import finding_text
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run, Status, Step
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import duration, when
from pages.ui.runs import status_line
from pages.ui.texts import mail_account as texts

__all__ = ["draw_history"]

_SHOWN = 5


def draw_history(page: MailPage, leg: Leg, cell: Cell, run: Run) -> None:
    """Draw the panel, folded: nothing is read before it is open. A first test has no history.

    ``leg`` is whose words the settings have; what was found of a domain, or by a set-up, is of none.
    """
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
        passed = next((each for each in runs if _is_good(each) and each.id != run.id and _are_alike(each, run)), None)
        if not _is_good(run) and not run.proves_nothing and passed is not None:
            told = [escape(line) for line in _changes(leg, passed, run)] or [texts.CHANGED_NOTHING]
            st.markdown(f"**{texts.CHANGED.format(moment=when(passed.started))}**")
            st.markdown("\n".join(f"- {each}" for each in told))


def _line(run: Run) -> str:
    said = verdict_texts(run.cell, run.verdict)[0] if run.verdict else ""
    wanting = run.proves_nothing or (not run.failed and not _is_good(run))
    status = Status.WARNING if wanting else Status.ERROR if run.failed else Status.OK
    return status_line(escape(" · ".join(filter(None, (when(run.started), said, duration(run.duration_ms))))), status)


def _is_good(run: Run) -> bool:
    # Of a domain a record that is missing is no error, and still what somebody wants to know.
    is_whole = run.cell != Cell.DELIVERABILITY or (run.verdict is not None and run.verdict.key == "ok")
    return is_whole and not run.failed


def _are_alike(before: Run, now: Run) -> bool:
    # What another domain's records were says nothing of this one's.
    return now.cell != Cell.DELIVERABILITY or before.fingerprint == now.fingerprint


def _changes(leg: Leg, before: Run, now: Run) -> list[str]:
    if now.cell == Cell.DELIVERABILITY:
        return [
            texts.CHANGED_FINDING.format(before=_finding(was), now=_finding(is_now))
            for was, is_now in changed_findings(before, now)
        ]
    found = changed_setup(before, now) if now.cell == Cell.SETUP else what_changed(before, now)
    return [_difference(leg, each) for each in found]


def _finding(step: Step) -> str:
    return finding_text(str(step.details["code"]), step.details["values"])


def _difference(leg: Leg, found: Difference) -> str:
    words = texts["CHANGES"][found.code]
    before, now = found.before, found.now
    if found.code == "security":
        before, now = (security_label(leg, Security(value)) for value in (before, now))
    return words.format(before=before or "—", now=now or "—")
