"""Cell 3 of «Cuenta mail»: the test mail, and the dialog that says what it proves and what it does not."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cgcore.mail.arrival import arrival_status, arrival_text
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from pages.ui.cells import CellState, cell, state_of
from pages.ui.identity import dialog, while_logged_in
from pages.ui.mail import by_hand
from pages.ui.mail.history import draw_history
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.runs import (
    copy_sentence,
    draw_run,
    draw_sent,
    draw_verdict,
    follow_run,
    is_sent,
    sent_sentence,
    status_line,
)
from pages.ui.texts import mail_account as texts

__all__ = ["ask", "draw"]

_SHOW, _BUTTON = "mail_account_test_show", "mail_account_test_run"
_ASKED = "mail_account_test_asked"  # whether another cell has asked for the test mail
_WIDTH = 420  # pixels: about that of the column that it has beside a result


def ask() -> None:
    """Ask from another cell for the test mail to oneself (a callback)."""
    st.session_state[_ASKED] = True
    by_hand.unfold()


@st.fragment
@while_logged_in
def draw(page: MailPage) -> None:
    """Draw «3 · Envío de Prueba»."""
    run = page.runs.find_last(page.actor, Cell.TEST_MAIL)
    with cell("test_mail", texts.CELL_TEST, CellState.IDLE) as head:
        wanted = st.session_state.get(_BUTTON) or st.session_state.get(_ASKED)
        if run is None and not page.is_refused(Cell.TEST_MAIL) and not wanted:
            # Nothing to stand beside it: a click makes the place.
            _draw_inputs(page)
            return
        inputs, output = st.columns([5, 6], gap="medium")
        with inputs:
            run = _draw_inputs(page) or run
        with output:
            if page.tell_refusal(Cell.TEST_MAIL, "mail_account_test_refused"):
                return
            if run is not None and run.is_running:
                head.show(CellState.RUNNING)
                follow_run(page.workbench, page.actor, run)
                st.session_state[_SHOW] = run.id
                st.rerun()
            state = state_of(run, _fingerprint(page, run))
            head.show(state)
            if run is not None:
                draw_run(run, state, key="mail_account_test", after_verdict=partial(_draw_outcome, page, state))
                draw_history(page, Leg.SMTP, Cell.TEST_MAIL, run)
    if run is not None and st.session_state.pop(_SHOW, None) == run.id:
        _dialog(page, run, state)


def _draw_outcome(page: MailPage, state: CellState, run: Run) -> None:
    draw_sent(run)
    _draw_arrival(page, run)
    page.offer_save("mail_account_test_save", state)


def _draw_arrival(page: MailPage, run: Run) -> None:
    """Say where a mail to oneself has come in, and offer to look again where it has not."""
    found = page.workbench.mail_arrival.find(page.actor, run)
    if not found:
        return
    st.markdown(status_line(escape(arrival_text(found)), arrival_status(found)))
    if found.get("code") == "missing" and st.button(texts.LOOK_AGAIN, icon=":material/refresh:", key=f"{_BUTTON}_look"):
        looking = page.start(
            Cell.TEST_MAIL, lambda: page.workbench.mail_arrival.start(page.actor, page.form.draft(), run)
        )
        follow_run(page.workbench, page.actor, looking)
        st.rerun()


def _fingerprint(page: MailPage, run: Run | None) -> str | None:
    """Return what this cell would test now, towards the recipient of ``run``."""
    if run is None or run.result is None:
        return None
    return page.fingerprint(Cell.TEST_MAIL, str(run.result["recipient"]))


def _draw_inputs(page: MailPage) -> Run | None:
    key = page.form.key("recipient")
    st.session_state.setdefault(key, "")
    own = page.draft.user if "@" in page.draft.user else page.actor.mail
    st.text_input(
        texts.RECIPIENT,
        key=key,
        persist_state="session",
        placeholder=own,
        type="email",
        autocomplete="email",
        width=_WIDTH,
    )
    page.list_problems("recipient")
    clicked = st.button(texts.SEND_TEST, key=_BUTTON, icon=":material/send:")
    asked = st.session_state.pop(_ASKED, False)
    if not asked and not clicked:
        return None
    recipient = own if asked else st.session_state[key].strip() or own
    return page.start(Cell.TEST_MAIL, lambda: page.runs.start_test_mail(page.actor, page.form.draft(), recipient))


@dialog(lambda: texts.DIALOG_TITLE, width="medium")
@while_logged_in
def _dialog(page: MailPage, run: Run, state: CellState) -> None:
    result = run.result or {}
    st.markdown(f"**{sent_sentence(run)}**")
    page.offer_save("mail_account_dialog_save", state)
    if not is_sent(run):
        draw_verdict(run)
        return
    queue_id = escape(str(result["queue_id"]))
    st.markdown(texts.DIALOG_QUEUE.format(queue_id=queue_id) if queue_id else texts.DIALOG_NO_QUEUE)
    st.markdown(copy_sentence(run))
    if found := page.workbench.mail_arrival.find(page.actor, run):
        st.markdown(status_line(escape(arrival_text(found)), arrival_status(found)))
    st.markdown(f"**{texts.DIALOG_UNPROVEN}**")
    st.markdown("\n".join(f"- {item}" for item in texts["DIALOG_UNPROVEN_ITEMS"].values()))
    if page.workbench.sandbox.is_in_use(page.form.draft()):
        st.page_link("sandbox.py", label=texts.DIALOG_FROM_SANDBOX, icon=":material/inbox:")
