"""The cells of «Mi usuario» besides the particulars: the own password, and the own open log-ins."""

from __future__ import annotations

import math

import streamlit as st

from cgcore.errors import InvalidInput, Throttled
from cgcore.identity.actor import Actor
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import LoginSummary
from pages.ui.cells import cell
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.problems import draw_problems
from pages.ui.texts import common
from pages.ui.texts import profile as texts
from pages.ui.toasts import announce

__all__ = ["draw_password", "draw_sessions"]

# What a browser calls itself, most particular first: every one of them also says «Safari», most say «Chrome».
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)


def draw_password(workbench: Workbench, actor: Actor) -> None:
    """Draw the cell. The three fields are a form of their own, so that no password waits in the session."""
    with cell("password", texts.CELL_PASSWORD):
        with st.form("profile_password", border=False, clear_on_submit=True, enter_to_submit=False):
            old = st.text_input(
                texts.OLD_PASSWORD, type="password", key="profile_old_password", autocomplete="current-password"
            )
            new = st.text_input(
                texts.NEW_PASSWORD, type="password", key="profile_new_password", autocomplete="new-password"
            )
            again = st.text_input(
                texts.REPEAT_PASSWORD, type="password", key="profile_repeat_password", autocomplete="new-password"
            )
            st.caption(texts.PASSWORD_CONSEQUENCE)
            clicked = st.form_submit_button(texts.CHANGE_PASSWORD, icon=":material/key:", key="profile_change_password")
        if clicked:
            _change_password(workbench, actor, Secret(old or ""), Secret(new or ""), same=new == again)


def _change_password(workbench: Workbench, actor: Actor, old: Secret, new: Secret, *, same: bool) -> None:
    if not same:
        st.error(texts.PASSWORDS_DIFFER, icon=":material/error:")
        return
    try:
        workbench.identity.accounts.change_password(actor, old, new)
    except InvalidInput as refused:
        for problem in refused.problems:
            draw_problems([problem], problem.field)
    except Throttled as throttled:
        st.error(texts.THROTTLED.format(seconds=math.ceil(throttled.retry_after)), icon=":material/timer:")
    else:
        st.success(texts.PASSWORD_CHANGED, icon=":material/check:")


def draw_sessions(workbench: Workbench, actor: Actor) -> None:
    """Draw each log-in, and the way to end the others."""
    with cell("sessions", texts.CELL_SESSIONS):
        sessions = workbench.identity.sessions.list_sessions(actor)
        for session in sessions:
            _draw_session(workbench, actor, session)
        if len(sessions) < 2:
            st.caption(texts.ONLY_THIS)
        elif st.button(texts.END_OTHERS, icon=":material/logout:", key="profile_end_others"):
            _ask_end_others(workbench, actor)


def _draw_session(workbench: Workbench, actor: Actor, session: LoginSummary) -> None:
    browser = browser_name(session.user_agent)
    with st.container(horizontal=True, vertical_alignment="center"):
        facts = [texts.SESSION_SEEN.format(when=when(session.last_seen), opened=when(session.created))]
        if session.ip:
            facts.append(texts.SESSION_FROM.format(ip=session.ip))
        st.markdown(f"**{escape(browser)}** · {escape(' · '.join(facts))}", width="stretch")
        if session.current:
            st.badge(texts.THIS_SESSION, icon=":material/check_circle:", color="green")
        elif st.button(
            texts.END_SESSION,
            key=f"profile_end_{session.id[:12]}",
            help=texts.END_SESSION_HELP.format(browser=escape(browser)),
        ):
            workbench.identity.sessions.end_session(actor, session.id)
            st.rerun()


def browser_name(user_agent: str) -> str:
    """Return «Firefox · Linux» from what the browser says of itself."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return " · ".join(filter(None, (browser, system))) or texts.UNKNOWN_BROWSER


@dialog(lambda: texts.END_OTHERS_TITLE, icon=":material/logout:")
@while_logged_in
def _ask_end_others(workbench: Workbench, actor: Actor) -> None:
    st.write(texts.END_OTHERS_EXPLANATION)
    with st.container(horizontal=True):
        if st.button(texts.END_OTHERS, type="primary", key="profile_end_others_confirm"):
            count = workbench.identity.sessions.end_other_sessions(actor)
            announce(texts.ENDED.format(count=count))
            st.rerun()
        if st.button(common.CANCEL, key="profile_end_others_cancel"):
            st.rerun()
