"""Cells 1 and 2 of «Cuenta mail»: each server with its connection test."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from cgcore.mail.account import Security
from cgcore.mail.account_texts import security_label
from cgcore.mail.addresses import check_host
from cgcore.mail.settings_mail import read_settings
from cgcore.mail.steps import Leg
from cgcore.runs import Cell, Run
from cgcore.texts import join
from pages.ui.cells import CellHead, CellState, cell
from pages.ui.identity import while_logged_in
from pages.ui.mail.bounces import draw_bounces
from pages.ui.mail.cures import draw_cure, draw_folder, draw_pin
from pages.ui.mail.form import AccountForm
from pages.ui.mail.history import draw_history
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.runs import draw_run, follow_run
from pages.ui.texts import common
from pages.ui.texts import mail_account as texts

__all__ = ["draw_incoming", "draw_outgoing"]

_CELLS = {Leg.SMTP: Cell.SMTP, Leg.IMAP: Cell.IMAP}
_PORT_WIDTH = 110  # pixels: five digits
_SMTP_CHOICES = (Security.NONE, Security.SSL, Security.STARTTLS)
_IMAP_CHOICES = (*_SMTP_CHOICES, Security.SSL_PINNED, Security.STARTTLS_PINNED)


@st.fragment
@while_logged_in
def draw_outgoing(page: MailPage) -> None:
    """Draw «1 · Servidor saliente»."""
    started = _start_if_asked(page, Leg.SMTP)
    run = started or page.runs.find_last(page.actor, Cell.SMTP)
    with cell("smtp", texts.CELL_SMTP, page.state_of(Cell.SMTP, run)) as head:
        inputs, output = st.columns([5, 6], gap="medium")
        with inputs:
            _draw_host(page, Leg.SMTP, texts.SMTP_HOST, texts.SMTP_PLACEHOLDER)
            with st.container(horizontal=True):
                _draw_port(page, Leg.SMTP, texts.PORT)
                st.segmented_control(
                    texts.SMTP_SECURITY,
                    _SMTP_CHOICES,
                    format_func=lambda mode: security_label(Leg.SMTP, mode),
                    required=True,
                    help=texts.SMTP_SECURITY_HELP,
                    on_change=page.form.follow_security,
                    args=(Leg.SMTP,),
                    **page.form.choice("smtp_security"),
                )
            with st.container(gap="xxsmall"):
                page.list_problems("smtp_port", "smtp_security")
                _warn_plain(page, Leg.SMTP)
            st.segmented_control(
                texts.READ_RECEIPT,
                (True, False),
                format_func=lambda asked: common.YES if asked else common.NO,
                required=True,
                help=texts.READ_RECEIPT_HELP,
                **page.form.choice("read_receipt"),
            )
            _draw_button(Leg.SMTP, texts.RUN_SMTP)
        with output:
            _draw_output(page, Leg.SMTP, run, head)
    page.keep_up()


@st.fragment
@while_logged_in
def draw_incoming(page: MailPage) -> None:
    """Draw «2 · Servidor entrante y carpeta»."""
    started = _start_if_asked(page, Leg.IMAP)
    run = started or page.runs.find_last(page.actor, Cell.IMAP)
    with cell("imap", texts.CELL_IMAP, page.state_of(Cell.IMAP, run)) as head:
        inputs, output = st.columns([5, 6], gap="medium")
        with inputs:
            _draw_host(page, Leg.IMAP, texts.IMAP_HOST, texts.IMAP_PLACEHOLDER)
            with st.container(horizontal=True):
                with st.container(gap="xxsmall", width=_PORT_WIDTH):
                    # The label is drawn apart, so that the field's own name can tell it from the other port.
                    st.markdown(f":small[{texts.PORT}]")
                    _draw_port(page, Leg.IMAP, texts.IMAP_PORT)
                st.selectbox(
                    texts.IMAP_SECURITY,
                    _IMAP_CHOICES,
                    index=page.form.index_in("imap_security", _IMAP_CHOICES),
                    format_func=lambda mode: security_label(Leg.IMAP, mode),
                    key=page.form.key("imap_security"),
                    persist_state="session",
                    on_change=page.form.follow_security,
                    args=(Leg.IMAP,),
                )
            with st.container(gap="xxsmall"):
                page.list_problems("imap_port", "imap_pin")
                _warn_plain(page, Leg.IMAP)
                draw_pin(page)
            draw_folder(page)
            _draw_button(Leg.IMAP, texts.RUN_IMAP)
            draw_bounces(page)
        with output:
            _draw_output(page, Leg.IMAP, run, head)
    page.keep_up()


def _start_if_asked(page: MailPage, leg: Leg) -> Run | None:
    """Start the test that a click or a cure asks for, before anything is drawn; else leave an edit to the page."""
    clicked = st.session_state.get(_run_key(leg), False)
    asked = st.session_state.pop(f"mail_account_{leg}_again", False)
    create = st.session_state.pop(f"mail_account_{leg}_create", False)
    if not clicked and not asked:
        page.keep_up()
        return None
    return page.start(
        _CELLS[leg], lambda: page.runs.start_probe(page.actor, leg, page.form.draft(), create_folder=create)
    )


def _run_key(leg: Leg) -> str:
    return f"mail_account_{leg}_run"


def _draw_button(leg: Leg, label: str) -> None:
    st.button(label, key=_run_key(leg), icon=":material/play_arrow:")


def _draw_host(page: MailPage, leg: Leg, label: str, placeholder: str) -> None:
    st.text_input(label, live=True, placeholder=placeholder, autocomplete="off", **page.form.widget(f"{leg}_host"))
    page.problems_under(f"{leg}_host")
    _offer_meant(page, leg)


def _offer_meant(page: MailPage, leg: Leg) -> None:
    """Offer what was pasted, taken apart, or the name that a slip was most likely meant to be; else draw nothing."""
    found = {of: server.as_patch() for of, server in read_settings(page.form.value(f"{leg}_host"), leg).items()}
    wrong = [problem.values.get("clean") for problem in page.problems if problem.field == f"{leg}_host"]
    if not found and wrong and wrong[0] and not list(check_host(str(wrong[0]), leg)):
        found = {leg: {"host": str(wrong[0])}}
    if found:
        meant = join([_meant(of, patch) for of, patch in found.items()])
        st.button(
            texts.HOST_USE.format(meant=escape(meant)),
            key=f"mail_account_{leg}_meant",
            icon=":material/auto_fix_high:",
            on_click=_use,
            args=(page.form, found),
        )


def _meant(leg: Leg, patch: Mapping[str, str]) -> str:
    if "port" not in patch:
        return patch["host"]
    return f"{patch['host']}:{patch['port']} {security_label(leg, Security(patch['security']))}"


def _use(form: AccountForm, found: Mapping[Leg, Mapping[str, str]]) -> None:
    for leg, patch in found.items():
        form.apply(leg, patch)
        form.mark_typed(leg)


def _draw_port(page: MailPage, leg: Leg, label: str) -> None:
    st.text_input(
        label,
        live=True,
        label_visibility="visible" if leg is Leg.SMTP else "collapsed",
        autocomplete="off",
        width=_PORT_WIDTH if leg is Leg.SMTP else "stretch",
        on_change=page.form.mark_typed,
        args=(leg,),
        **page.form.widget(f"{leg}_port"),
    )


def _warn_plain(page: MailPage, leg: Leg) -> None:
    server = page.draft.smtp if leg is Leg.SMTP else page.draft.imap
    if server.security is Security.NONE:
        st.markdown(f":orange[:material/warning: {texts.PLAIN_WARNING}]")
    if stronger := page.runs.find_stronger(page.actor, leg, page.draft):
        words = texts.STRONGER_PINNED if server.security.pinned else texts.STRONGER_PLAIN
        told = words.format(host=escape(server.host.strip()), moment=when(stronger.started))
        st.markdown(f":red[:material/gpp_maybe: {told}]")


def _draw_output(page: MailPage, leg: Leg, run: Run | None, head: CellHead) -> None:
    kind = _CELLS[leg]
    if page.tell_refusal(kind, f"mail_account_{leg}_refused"):
        head.show(CellState.IDLE)
        return
    if run is not None and run.is_running:
        run = follow_run(page.workbench, page.actor, run)
        if run.is_running or leg is Leg.IMAP:
            # Slower than one script may wait; or folders were found, which are offered above.
            st.rerun()
    state = page.state_of(kind, run)
    head.show(state)
    if run is not None:
        offer = partial(draw_cure, page, leg, state=state)
        draw_run(run, state, key=f"mail_account_{leg}", after_verdict=offer)
        draw_history(page, leg, kind, run)
