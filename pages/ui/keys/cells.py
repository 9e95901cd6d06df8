"""The cells of «API Key»: the keys, their use, «Probar la clave», and how other programs call the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Literal

import streamlit as st

from cgcore.api_keys.calls import KeyCalls
from cgcore.api_keys.record import KeyRecord, KeyState
from cgcore.identity.actor import Scope
from cgcore.texts import join, write
from pages.ui.cells import cell
from pages.ui.identity import while_logged_in
from pages.ui.keys.dialogs import ask_renew, ask_revoke
from pages.ui.keys.view import KeysPage, moment_ahead
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.texts import api_key as texts

__all__ = ["draw_key_list", "draw_snippets", "draw_usage_cell"]

_LANGUAGES = ("curl", "Python", "JavaScript")
_SOON = timedelta(days=14)  # as long ahead as on Resumen
_Color = Literal["green", "orange", "red", "gray"]
_BADGES: dict[KeyState, tuple[_Color, str]] = {
    KeyState.ACTIVE: ("green", ":material/check_circle:"),
    KeyState.RETIRING: ("orange", ":material/autorenew:"),
    KeyState.EXPIRED: ("red", ":material/event_busy:"),
    KeyState.REVOKED: ("gray", ":material/block:"),
}


def draw_key_list(page: KeysPage) -> None:
    """Draw the keys that live or could again, then the revoked ones folded away."""
    now = page.workbench.clock()
    live = [key for key in page.keys if key.state(now) is not KeyState.REVOKED]
    revoked = [key for key in page.keys if key not in live]
    with cell("api_key_list", texts.CELL_KEYS):
        for key in live:
            _draw_key(page, key)
        if revoked:
            with st.expander(texts.OLD_KEYS, type="compact", icon=":material/block:"):
                for key in revoked:
                    st.caption(
                        " · ".join([escape(f"{key.device} cg_{key.id}_…{key.last4}"), _end(key, KeyState.REVOKED)])
                    )


def _draw_key(page: KeysPage, key: KeyRecord) -> None:
    now = page.workbench.clock()
    state = key.state(now)
    color, icon = _BADGES[state]
    with st.container(key=f"api_key_row_{key.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape(key.device)}** {_written(key)}", width="content")
            st.badge(texts["STATES"][state.name.lower()], color=color, icon=icon)
            if state is KeyState.ACTIVE and key.expires is not None and key.expires - now < _SOON:
                st.badge(texts.EXPIRES_SOON, color="orange", icon=":material/schedule:")
        st.caption(" · ".join(_facts(key, state)))
        with st.container(horizontal=True):
            if state is not KeyState.RETIRING:
                _button(texts.RENEW, "renew", key, lambda: ask_renew(page, key))
            label = texts.REVOKE_NOW if state is KeyState.RETIRING else texts.REVOKE
            _button(label, "revoke", key, lambda: ask_revoke(page, key))


def _button(label: str, action: str, key: KeyRecord, then: Callable[[], None]) -> None:
    icon = ":material/autorenew:" if action == "renew" else ":material/block:"
    if st.button(label, key=f"api_key_{action}_{key.id}", icon=icon):
        then()


def _written(key: KeyRecord) -> str:
    return f"`cg_{key.id}_…{key.last4}`"


def _facts(key: KeyRecord, state: KeyState) -> list[str]:
    scopes = join(texts["SCOPE_NAMES"][scope.value].lower() for scope in Scope if scope in key.scopes)
    created = texts.CREATED.format(moment=when(key.created))
    used = texts.NEVER_USED
    if key.last_used is not None:
        used = texts.LAST_USED.format(moment=when(key.last_used), ip=escape(key.last_ip))
    return [scopes, created, used, _end(key, state)]


def _end(key: KeyRecord, state: KeyState) -> str:
    if state is KeyState.REVOKED:
        return texts.REVOKED_AT.format(moment=when(key.revoked or key.retires))
    if state is KeyState.RETIRING:
        return texts.RETIRES.format(moment=moment_ahead(key.retires))
    return texts.EXPIRES.format(moment=moment_ahead(key.expires)) if key.expires else texts.NO_EXPIRY


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
        texts.DAY: [write(entry.day, "day") for entry in calls.days],
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


_CURL = """curl -H "Authorization: Bearer $CG_API_KEY" {address}/me"""

_PYTHON = """import json, os, urllib.request

request = urllib.request.Request(
    "{address}/me",
    headers={{"Authorization": "Bearer " + os.environ["CG_API_KEY"]}},
)
with urllib.request.urlopen(request) as response:
    print(json.load(response))"""

_JAVASCRIPT = """const response = await fetch("{address}/me", {{
  headers: {{ Authorization: `Bearer ${{process.env.CG_API_KEY}}` }},
}});
console.log(response.status, await response.json());"""


def draw_snippets(page: KeysPage) -> None:
    """Draw one tab a language, and the way to the documentation."""
    with cell("api_key_snippets", texts.CELL_SNIPPETS):
        st.markdown(texts.SNIPPETS_NOTE)
        for tab, snippet in zip(st.tabs(_LANGUAGES), (_CURL, _PYTHON, _JAVASCRIPT), strict=True):
            with tab:
                # Streamlit's colours for a language are too faint to read (2.8 : 1), and no theme reaches them.
                st.code(snippet.format(address=page.address), language=None, wrap_lines=True)
        st.link_button(texts.DOCS, "/api/v1/docs", icon=":material/menu_book:")
