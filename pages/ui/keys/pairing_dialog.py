"""Pairing: the password, then a QR code with the address and a one-time code; never a key."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import urlsplit

import segno
import streamlit as st

from cgcore.errors import FieldProblem, NotAllowed
from cgcore.workbench.keys import PAIR_ACTION
from pages.ui.identity import while_logged_in
from pages.ui.keys.holding import forget, held_pairing, hold
from pages.ui.keys.password import PASSWORD, ask_password, find_grant
from pages.ui.keys.view import KeysPage, moment_ahead
from pages.ui.problems import draw_problems
from pages.ui.results import escape
from pages.ui.texts import api_key as texts
from pages.ui.texts import common

__all__ = ["ask_pairing", "show_pairing"]

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@st.dialog(texts.PAIR_TITLE)
@while_logged_in
def ask_pairing(page: KeysPage) -> None:
    """Ask the password, then open a pairing, which the next run shows."""
    with st.form("api_key_pair_form", border=False):
        password = ask_password("api_key_pair_password")
        slot = st.container()
        submitted = st.form_submit_button(
            texts.PAIR_RUN, type="primary", key="api_key_pair_run", icon=":material/qr_code_2:"
        )
    if not submitted:
        return
    grant = find_grant(page, PAIR_ACTION, password)
    if isinstance(grant, str):
        try:
            hold(page.workbench.keys.pair_start(page.actor, grant, page.address))
            st.rerun()
        except NotAllowed:
            grant = (FieldProblem(PASSWORD, "grant_invalid", texts.GRANT_GONE),)
    with slot:
        draw_problems(grant, PASSWORD)


@st.dialog(texts.PAIR_TITLE, on_dismiss=forget)
@while_logged_in
def show_pairing(page: KeysPage) -> None:
    """Show the held pairing until it is closed."""
    pairing = held_pairing()
    if pairing is None:
        st.rerun()
    st.image(_draw_qr(pairing.payload.reveal()), alt=texts.PAIR_ALT)
    st.markdown(texts.PAIR_NOTE.format(moment=moment_ahead(pairing.expires)))
    st.caption(texts.PAIR_CODE)
    st.code(pairing.code.reveal(), language=None)
    if urlsplit(page.address).hostname in _LOOPBACK:
        st.warning(texts.PAIR_LOCAL.format(address=escape(page.address)), icon=":material/wifi_off:")
    st.button(common.CLOSE, key="api_key_pair_close", on_click=forget)


def _draw_qr(payload: str) -> str:
    # As text, so that the server keeps no file of it. Dark on white in both themes: many scanners read nothing else.
    drawing = BytesIO()
    segno.make_qr(payload, error="m").save(drawing, kind="svg", xmldecl=False, nl=False, scale=6, light="white")
    return drawing.getvalue().decode()
