"""The list of series, a page at a time, and the sets to start from."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DOCUMENT_TYPES
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.series.counters import format_number
from cgcore.series.kinds import Series, type_label
from cgcore.series.starters import STARTER_SETS, StarterLayout
from cgcore.workbench import Workbench
from pages.ui.paging import Pager
from pages.ui.results import escape
from pages.ui.texts import administration as texts
from pages.ui.toasts import announce

__all__ = ["OPEN", "draw_list"]

OPEN = "administration_series_open"
_SEARCH, _STATE = "administration_series_search", "administration_series_state"
_STATES = {texts.STATE_ALL: None, texts.STATE_ON: True, texts.STATE_OFF: False}
_ROWS = 10


def draw_list(workbench: Workbench, actor: Actor) -> None:
    """Draw search, rows and pages; where there is no series yet, the sets to start from come first."""
    empty = workbench.series.count(actor) == 0
    if empty:
        st.info(texts.SERIES_EMPTY, icon=":material/info:")
        _draw_starters(workbench, actor)
    st.button(
        texts.SERIES_NEW, icon=":material/add:", key="administration_series_new", on_click=_open, args=(("new", ""),)
    )
    if empty:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(texts.SERIES_SEARCH, key=_SEARCH, icon=":material/search:", width=320)
        state = st.segmented_control(
            texts.SERIES_STATE, list(_STATES), key=_STATE, default=texts.STATE_ALL, required=True
        )
    pager = Pager("administration_series", (text, state))
    page = workbench.series.list(
        actor, text=text or "", active=_STATES[state or texts.STATE_ALL], cursor=pager.cursor, limit=_ROWS
    )
    if not page["items"]:
        st.caption(texts.SERIES_NONE)
    for series in page["items"]:
        _draw_row(series)
    pager.draw(page["next"])
    with st.expander(texts.STARTERS_TITLE, icon=":material/auto_awesome:"):
        _draw_starters(workbench, actor)


def _draw_row(series: Series) -> None:
    with st.container(border=True, gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = f" · {escape(series.name)}" if series.name else ""
            st.markdown(f"**{escape(series.code)}**{name}", width="stretch")
            st.badge(texts.KINDS[series.kind], color="gray")
            if series.active:
                st.badge(texts.ACTIVE, icon=":material/check_circle:", color="green")
            else:
                st.badge(texts.INACTIVE, icon=":material/block:", color="gray")
            st.button(
                texts.EDIT,
                icon=":material/edit:",
                key=f"administration_series_edit_{series.code}",
                help=texts.EDIT_NAMED.format(name=escape(series.code)),
                on_click=_open,
                args=(("edit", series.code),),
            )
        numbers = [
            f"{type_label(entry.code)} {format_number(series.code, series.counters[entry.code].next_number)}"
            for entry in DOCUMENT_TYPES
            if entry.code in series.counters
        ]
        st.caption(escape(" · ".join(numbers)))


def _draw_starters(workbench: Workbench, actor: Actor) -> None:
    st.caption(texts.STARTERS_EXPLANATION)
    for starter, column in zip(STARTER_SETS, st.columns(len(STARTER_SETS)), strict=True):
        title, explanation = texts.STARTERS[starter.layout]
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{title}**")
            st.caption(explanation)
            st.markdown(" ".join(f":gray-badge[{escape(draft.code)}]" for draft in starter.series))
            if st.button(texts.STARTER_CREATE, key=f"administration_starter_{starter.layout}"):
                _create(workbench, actor, starter.layout)


def _create(workbench: Workbench, actor: Actor, layout: StarterLayout) -> None:
    try:
        made = workbench.series.create_starter_set(actor, layout)
    except InvalidInput as refused:
        st.error(escape(refused.problems[0].message), icon=":material/error:")
        return
    announce(texts.STARTER_DONE.format(codes=", ".join(series.code for series in made)))
    st.rerun()


def _open(what: tuple[str, str]) -> None:
    st.session_state[OPEN] = what
