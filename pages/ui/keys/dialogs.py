"""The dialogs that make, replace and end keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from io import BytesIO
from urllib.parse import urlsplit

import segno
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.api_keys.record import IssuedKey, KeyRecord, Pairing
from cgcore.errors import FieldProblem, InvalidInput, LoginEnded, NotAllowed, NotFound, Throttled
from cgcore.identity.actor import Scope
from cgcore.vault.secret import Secret
from cgcore.workbench.keys import ISSUE_ACTION, PAIR_ACTION, ROLL_ACTION
from pages.ui.identity import dialog, while_logged_in
from pages.ui.keys.check_cell import draw_outcome
from pages.ui.keys.view import KeysPage, moment_ahead
from pages.ui.markdown import escape
from pages.ui.problems import draw_problems
from pages.ui.texts import api_key as texts
from pages.ui.texts import common
from pages.ui.toasts import announce

_EXPIRY_DAYS = {"never": None, "month": 30, "quarter": 90, "year": 365}

__all__ = [
    "PASSWORD",
    "ask_issue",
    "ask_pairing",
    "ask_password",
    "ask_renew",
    "ask_revoke",
    "find_grant",
    "forget",
    "held_key",
    "held_pairing",
    "hold",
    "show_key",
    "show_pairing",
]

_HELD = "api_key_held"


def hold(value: IssuedKey | Pairing) -> None:
    """Keep ``value`` for the dialog that the next run opens."""
    st.session_state[_HELD] = value


def held_key() -> IssuedKey | None:
    """Return the key whose dialog is open."""
    value = st.session_state.get(_HELD)
    return value if isinstance(value, IssuedKey) else None


def held_pairing() -> Pairing | None:
    """Return the pairing whose dialog is open."""
    value = st.session_state.get(_HELD)
    return value if isinstance(value, Pairing) else None


def forget() -> None:
    """Drop what is held: the dialog closes, or the user has gone to another page."""
    st.session_state.pop(_HELD, None)


PASSWORD = "password"  # noqa: S105 (the name of a field)


def ask_password(key: str) -> Secret:
    """Draw the field and return what was typed."""
    return Secret(st.text_input(texts.PASSWORD, type="password", key=key, autocomplete="current-password"))


def find_grant(page: KeysPage, action: str, password: Secret) -> str | tuple[FieldProblem, ...]:
    """Return the grant for ``action``, or what is wrong with the password."""
    try:
        return page.workbench.identity.codes.issue_grant(page.actor, action, password)
    except InvalidInput as refused:
        return refused.problems
    except Throttled as throttled:
        wait = texts.text("WAIT", seconds=math.ceil(throttled.retry_after))
        return (FieldProblem(PASSWORD, "throttled", wait),)


@dialog(lambda: texts.ISSUE, width="medium")
@while_logged_in
def ask_issue(page: KeysPage) -> None:
    """Ask what the key is for and the password, then make it."""
    with st.form("api_key_issue_form", border=False):
        device = st.text_input(texts.DEVICE, texts.DEVICE_DEFAULT, key="api_key_issue_device")
        slots = {"device": st.container()}
        scopes = st.pills(
            texts.SCOPES,
            list(Scope),
            default=list(Scope),
            selection_mode="multi",
            format_func=_scope_name,
            key="api_key_issue_scopes",
        )
        slots["scopes"] = st.container()
        expiry = st.segmented_control(
            texts.EXPIRY,
            list(_EXPIRY_DAYS),
            default=next(iter(_EXPIRY_DAYS)),
            format_func=lambda choice: texts["EXPIRY_CHOICES"][choice],
            required=True,
            key="api_key_issue_expiry",
        )
        password = ask_password("api_key_issue_password")
        slots[PASSWORD] = st.container()
        st.caption(texts.PASSWORD_NOTE)
        submitted = st.form_submit_button(
            texts.ISSUE_RUN, type="primary", key="api_key_issue_run", icon=":material/key:"
        )
    if submitted:
        days = _EXPIRY_DAYS[str(expiry)]
        expires = page.workbench.clock() + timedelta(days=days) if days else None
        section = page.workbench.keys
        _make(
            page, ISSUE_ACTION, password, lambda grant: section.issue(page.actor, grant, device, scopes, expires), slots
        )


@dialog(lambda: texts.RENEW_TITLE)
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


@dialog(lambda: texts.REVOKE_TITLE)
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
    except LoginEnded:
        raise
    except NotAllowed:
        return (FieldProblem(PASSWORD, "grant_invalid", texts.text("GRANT_GONE")),)
    except NotFound:
        # Revoked meanwhile in another tab: the page says so when it is drawn again.
        return ()
    return ()


def _scope_name(scope: Scope) -> str:
    return texts["SCOPE_NAMES"][scope.value]


# Not dismissible: a click beside the dialog must not lose a key that nobody has copied yet.
@dialog(lambda: texts.SHOWN_TITLE, width="medium", dismissible=False)
@while_logged_in
def show_key(page: KeysPage) -> None:
    """Show the held key until «Ya la he copiado»."""
    issued = held_key()
    if issued is None:
        st.rerun()
    with st.container(gap="small"):
        st.code(issued.key.reveal(), language=None, wrap_lines=True)
        # The browser does it (cgcore/web/companion.js).
        if st.button(common.COPY, key="copy_api_key", icon=":material/content_copy:"):
            st.caption(common.COPY_BY_HAND)
    st.markdown(f":orange[:material/warning: {texts.SHOWN_ONCE}]")
    if issued.old_expires is not None:
        st.caption(texts.SHOWN_OLD.format(moment=moment_ahead(issued.old_expires)))
    with st.container(horizontal=True):
        # Forgotten before the dialog is drawn again: else the click itself would bring the key once more.
        st.button(texts.COPIED, type="primary", key="api_key_copied", icon=":material/check:", on_click=forget)
        tried = st.button(texts.CHECK, key="api_key_shown_check", icon=":material/play_arrow:")
    if tried:
        draw_outcome(page, page.workbench.keys.start_check(page.actor, issued.key, page.own_address), key="shown")


_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dialog(lambda: texts.PAIR_TITLE)
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
        except LoginEnded:
            raise
        except NotAllowed:
            grant = (FieldProblem(PASSWORD, "grant_invalid", texts.text("GRANT_GONE")),)
    with slot:
        draw_problems(grant, PASSWORD)


@dialog(lambda: texts.PAIR_TITLE, on_dismiss=forget)
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
