"""The dialogs that make, replace and end keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.api_keys.issued import IssuedKey
from cgcore.api_keys.record import KeyRecord
from cgcore.errors import FieldProblem, InvalidInput, NotAllowed, NotFound
from cgcore.identity.actor import Scope
from cgcore.vault.secret import Secret
from cgcore.workbench.keys import ISSUE_ACTION, ROLL_ACTION
from pages.ui.identity import while_logged_in
from pages.ui.keys.holding import hold
from pages.ui.keys.password import PASSWORD, ask_password, find_grant
from pages.ui.keys.view import KeysPage
from pages.ui.problems import draw_problems
from pages.ui.results import escape
from pages.ui.texts import api_key as texts
from pages.ui.toasts import announce

__all__ = ["ask_issue", "ask_renew", "ask_revoke"]


@st.dialog(texts.ISSUE, width="medium")
@while_logged_in
def ask_issue(page: KeysPage) -> None:
    """Ask what the key is for and the password, then make it."""
    st.session_state.setdefault("api_key_issue_device", texts.DEVICE_DEFAULT)
    st.session_state.setdefault("api_key_issue_scopes", list(Scope))
    st.session_state.setdefault("api_key_issue_expiry", next(iter(texts.EXPIRY_CHOICES)))
    with st.form("api_key_issue_form", border=False):
        device = st.text_input(texts.DEVICE, key="api_key_issue_device")
        slots = {"device": st.container()}
        scopes = st.pills(
            texts.SCOPES, list(Scope), selection_mode="multi", format_func=_scope_name, key="api_key_issue_scopes"
        )
        slots["scopes"] = st.container()
        expiry = st.segmented_control(
            texts.EXPIRY, list(texts.EXPIRY_CHOICES), required=True, key="api_key_issue_expiry"
        )
        password = ask_password("api_key_issue_password")
        slots[PASSWORD] = st.container()
        st.caption(texts.PASSWORD_NOTE)
        submitted = st.form_submit_button(
            texts.ISSUE_RUN, type="primary", key="api_key_issue_run", icon=":material/key:"
        )
    if submitted:
        days = texts.EXPIRY_CHOICES[str(expiry)]
        expires = page.workbench.clock() + timedelta(days=days) if days else None
        section = page.workbench.keys
        _make(
            page, ISSUE_ACTION, password, lambda grant: section.issue(page.actor, grant, device, scopes, expires), slots
        )


@st.dialog(texts.RENEW_TITLE)
@while_logged_in
def ask_renew(page: KeysPage, key: KeyRecord) -> None:
    """Ask the password, then replace ``key``."""
    st.markdown(texts.RENEW_QUESTION.format(device=escape(key.device)))
    with st.form("api_key_renew_form", border=False):
        password = ask_password("api_key_renew_password")
        slots = {PASSWORD: st.container()}
        submitted = st.form_submit_button(
            texts.RENEW, type="primary", key="api_key_renew_run", icon=":material/autorenew:"
        )
    if submitted:
        _make(page, ROLL_ACTION, password, lambda grant: page.workbench.keys.roll(page.actor, grant, key.id), slots)


@st.dialog(texts.REVOKE_TITLE)
@while_logged_in
def ask_revoke(page: KeysPage, key: KeyRecord) -> None:
    """Ask once, then end ``key``."""
    st.markdown(texts.REVOKE_QUESTION.format(device=escape(key.device)))
    if st.button(texts.REVOKE, type="primary", key="api_key_revoke_run", icon=":material/block:"):
        page.workbench.keys.revoke(page.actor, key.id)
        announce(texts.REVOKED_TOAST)
        st.rerun()


def _make(
    page: KeysPage,
    action: str,
    password: Secret,
    make: Callable[[str], IssuedKey],
    slots: Mapping[str, DeltaGenerator],
) -> None:
    """Make a key, which the next run shows, or say under each field what is wrong."""
    problems = _try_make(page, action, password, make)
    if not problems:
        st.rerun()
    for name, slot in slots.items():
        with slot:
            draw_problems(problems, name)


def _try_make(
    page: KeysPage, action: str, password: Secret, make: Callable[[str], IssuedKey]
) -> tuple[FieldProblem, ...]:
    grant = find_grant(page, action, password)
    if not isinstance(grant, str):
        return grant
    try:
        hold(make(grant))
    except InvalidInput as refused:
        return refused.problems
    except NotAllowed:
        return (FieldProblem(PASSWORD, "grant_invalid", texts.GRANT_GONE),)
    except NotFound:
        # Revoked meanwhile in another tab: the page says so when it is drawn again.
        return ()
    return ()


def _scope_name(scope: Scope) -> str:
    return texts.SCOPE_NAMES[scope.value]
