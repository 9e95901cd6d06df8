"""Cell 2: how a key is used, by day and call by call."""

from __future__ import annotations

import streamlit as st

from cgcore.api_keys.calls import KeyCalls
from cgcore.api_keys.record import KeyRecord
from pages.ui.cells import cell
from pages.ui.identity import while_logged_in
from pages.ui.keys.view import KeysPage
from pages.ui.moments import when
from pages.ui.texts import api_key as texts

__all__ = ["draw_usage_cell"]


@st.fragment
@while_logged_in
def draw_usage_cell(page: KeysPage) -> None:
    """Draw the calls of the chosen key; the last used one is chosen first."""
    with cell("api_key_use", texts.CELL_USE):
        keys = sorted(
            page.keys, key=lambda key: (key.last_used is not None, key.last_used or key.created), reverse=True
        )
        chosen = keys[0]
        if len(keys) > 1:
            chosen = st.selectbox(texts.WHICH_KEY, keys, format_func=_label, key="api_key_use_which")
        calls = page.workbench.keys.calls(page.actor, chosen.id)
        if not calls.last:
            st.caption(f":material/hourglass_empty: {texts.NO_CALLS}")
            return
        chart, table = st.columns([5, 6], gap="medium")
        with chart:
            _draw_days(calls)
        with table:
            _draw_last(calls)


def _draw_days(calls: KeyCalls) -> None:
    st.caption(texts.CALLS_BY_DAY)
    days = {
        texts.DAY: [f"{entry.day:%d/%m}" for entry in calls.days],
        texts.CALLS: [entry.calls for entry in calls.days],
    }
    st.bar_chart(
        days, x=texts.DAY, y=texts.CALLS, x_label="", y_label="", sort=False, height=220, alt=texts.CALLS_BY_DAY
    )


def _draw_last(calls: KeyCalls) -> None:
    st.caption(texts.LAST_CALLS)
    rows = [
        {
            texts.COLUMN_WHEN: when(call.at),
            texts.COLUMN_CALL: f"{call.method} {call.path}",
            texts.COLUMN_STATUS: call.status,
            texts.COLUMN_MS: call.ms,
            texts.COLUMN_IP: call.ip,
        }
        for call in calls.last
    ]
    st.dataframe(rows, hide_index=True, height=220, alt=texts.CALLS_ALT)


def _label(key: KeyRecord) -> str:
    return f"{key.device} · cg_{key.id}_…{key.last4}"
