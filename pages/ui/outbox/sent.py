"""«Enviados»: the messages of this user, found by state and text, and the one that is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from cgcore.errors import NotFound
from cgcore.identity.actor import Actor
from cgcore.outbox.message import AccountState, Message, MessageFilters
from cgcore.outbox.states import CopyState, State
from cgcore.text_rules import MAX_SEARCH, text_problem
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.describe import (
    SHOWN_COPIES,
    SHOWN_STATES,
    filters_for,
    reason_texts,
    shown_state,
    state_text,
)
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import upcoming, when
from pages.ui.outbox.draft import PAGE
from pages.ui.outbox.message import draw_message, message_title
from pages.ui.paging import Pager
from pages.ui.problems import draw_search_problem
from pages.ui.texts import common
from pages.ui.texts import send_document as texts
from pages.ui.toasts import announce

__all__ = ["draw_pause", "draw_sent"]

_SETTLED = frozenset(CopyState) - set(SHOWN_COPIES.values())
_ROWS = 10  # a phone shows the message that is picked under them


def draw_sent(workbench: Workbench, actor: Actor) -> None:
    """Draw the list, and beside it the message that is picked."""
    overview = workbench.outbox.overview_of(actor)
    draw_pause(workbench, actor, overview.account, PAGE)
    if overview.left and not overview.account.paused:
        _draw_left(workbench, actor, overview.left)
    filters = _draw_filters()
    pager = Pager(f"{PAGE}_sent", filters)
    page = workbench.outbox.list(actor, filters, cursor=pager.cursor or "", limit=_ROWS)
    if not page.messages:
        st.caption(texts.EMPTY if filters == MessageFilters() else texts.EMPTY_FILTERED)
    else:
        listed, shown = st.columns([4, 7], gap="medium")
        with listed:
            picked = _pick(page.messages)
        with shown:
            try:
                draw_message(workbench, actor, workbench.outbox.get(actor, picked))
            except NotFound:
                st.rerun()
    pager.draw(page.next or None)


def _draw_filters() -> MessageFilters:
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{PAGE}_filters"):
        query = st.text_input(
            texts.SEARCH,
            placeholder=texts.SEARCH_PLACEHOLDER,
            icon=":material/search:",
            key=f"{PAGE}_search",
            width=300,
            persist_state="session",
        )
        state = st.selectbox(
            texts.STATE,
            ("", *SHOWN_STATES),
            format_func=lambda code: state_text(code) if code else texts.ANY_STATE,
            key=f"{PAGE}_state",
            width=200,
            persist_state="session",
        )
        st.button(texts.REFRESH, icon=":material/refresh:", key=f"{PAGE}_refresh")
    draw_search_problem(query or "")
    readable = query and text_problem("search", query, MAX_SEARCH) is None
    filters = filters_for(state or "", query=(query or "").strip() if readable else "")
    # A row reads «Enviado», «Enviado, sin copia» or «Devuelto»: each is found under its own word.
    return replace(filters, came_back=False, copies=_SETTLED) if state == State.SENT else filters


def draw_pause(workbench: Workbench, actor: Actor, account: AccountState, key: str) -> None:
    """Say why an account rests and until when, and offer to let it go."""
    if not account.paused:
        return
    title, fix = reason_texts(account.reason or {})
    until = account.paused_until
    ends = texts.RESUMES_AT.format(time=upcoming(until)) if until else texts.RESUMES_BY_HAND
    st.warning(f"{escape(fix)} {ends}", title=escape(title), icon=":material/pause_circle:")
    if st.button(texts.RESUME, icon=":material/play_arrow:", key=f"{key}_resume"):
        _resume(workbench, actor)


def _draw_left(workbench: Workbench, actor: Actor, count: int) -> None:
    """Say that some were left behind; they go together, after a question."""
    st.warning(texts.LEFT_BEHIND_WHY, title=texts.LEFT_BEHIND.format(count=count), icon=":material/front_hand:")
    if st.button(texts.RESUME, icon=":material/play_arrow:", key=f"{PAGE}_left"):
        _ask_to_resume(workbench, actor, count)


@dialog(lambda: texts.RESUME)
@while_logged_in
def _ask_to_resume(workbench: Workbench, actor: Actor, count: int) -> None:
    """Say that some may have left already, then let them go."""
    st.markdown(texts.LEFT_BEHIND_RISK.format(count=count))
    with st.container(horizontal=True):
        if st.button(texts.RESUME, type="primary", icon=":material/send:", key=f"{PAGE}_left_confirm"):
            _resume(workbench, actor)
        if st.button(common.CANCEL, key=f"{PAGE}_left_cancel"):
            st.rerun()


def _resume(workbench: Workbench, actor: Actor) -> None:
    announce(texts.RESUMED.format(count=workbench.outbox.resume(actor)))
    st.rerun()


def _pick(messages: Sequence[Message]) -> str:
    key = f"{PAGE}_picked"
    names = [message.id for message in messages]
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[0]
    titles = {message.id: message_title(message) for message in messages}
    often = Counter(titles.values())
    # Streamlit tells options apart by their labels: of two that read the same only the last could be chosen.
    labels = {
        name: title
        if often[title] == 1
        else texts.SAME_TITLE.format(title=title, number=len(names) - names.index(name))
        for name, title in titles.items()
    }
    captions = [texts.ROW.format(state=state_text(shown_state(each)), moment=when(each.created)) for each in messages]
    return st.radio(texts.LIST, names, format_func=labels.__getitem__, captions=captions, key=key) or names[0]
