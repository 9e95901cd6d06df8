"""The tab behind a session: the session that it had before, and what its browser brings along from there.

Streamlit forgets the session of a tab that was away for some minutes, and every session when the server stops. The
tab goes on in a new one: it still shows what was typed, sends the values of its widgets along, and names its former
session when it connects (the third entry of ``Sec-WebSocket-Protocol``). Its first run here settles it: no click
counts, the widgets keep what they show, and drafts take that over.
"""

from __future__ import annotations

import secrets

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

__all__ = [
    "find_former_session",
    "find_held_mount",
    "find_session",
    "first_mount",
    "is_fragment_run",
    "is_held",
    "is_settling",
    "settle",
    "start_settling",
    "this_run",
]

_HELD, _FIRST_MOUNT = "tab_held", "tab_first_mount"
_TRIGGERS = {"trigger_value", "string_trigger_value", "json_trigger_value", "chat_input_value"}


def find_session() -> str:
    """Return the id of this session; it is known to its own browser alone."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def this_run() -> object | None:
    """Return a mark of this run, of the page or of a fragment: the very same for all of it, another one in the next.

    None where nothing runs.
    """
    context = get_script_run_ctx(suppress_warning=True)
    # Streamlit begins each run with new ones.
    return None if context is None else context.cursors


def is_fragment_run() -> bool:
    """Whether this run is one of a fragment alone."""
    context = get_script_run_ctx()
    return bool(context and context.fragment_ids_this_run)


def find_former_session() -> str:
    """Return the id of the session that this tab had before this one, ``""`` for a tab that was opened anew."""
    entries = (st.context.headers.get("Sec-WebSocket-Protocol") or "").split(",")
    former = entries[2].strip() if len(entries) > 2 else ""
    return "" if former == find_session() else former


def start_settling() -> bool:
    """Begin the first run of a tab that is back; return whether the browser brought a click, which does not count."""
    context = get_script_run_ctx()
    if context is None:
        return False
    brought = context.session_state.get_widget_states()
    # No public way to take a click back: the states of widgets that this session has not drawn yet.
    waiting = context.session_state._state._new_widget_state.states  # pyright: ignore[reportPrivateUsage]
    clicks = [state.id for state in brought if state.WhichOneof("value") in _TRIGGERS]
    for widget in clicks:
        waiting.pop(widget, None)
    # An id is «$$ID-<hash>-<key>».
    held = frozenset(state.id.split("-", 2)[-1] for state in brought if state.id not in clicks)
    st.session_state[_HELD] = held
    st.session_state[_FIRST_MOUNT] = secrets.randbelow(2**40)
    return bool(clicks)


def settle() -> None:
    """End the first run: from now on the session knows what the browser shows."""
    st.session_state.pop(_HELD, None)


def is_settling() -> bool:
    """Whether this is the first run of a tab that has come back."""
    return _HELD in st.session_state


def is_held(key: str) -> bool:
    """Whether the browser brings the value of the widget ``key``, which must not be written over."""
    return key in st.session_state.get(_HELD, ())


def find_held_mount(name: str) -> int:
    """Return the number under which the browser shows ``<name>-<number>``, a fresh one where it shows none."""
    numbers = [key.rpartition("-")[2] for key in st.session_state.get(_HELD, ()) if key.startswith(f"{name}-")]
    return max((int(number) for number in numbers if number.isdecimal()), default=first_mount())


def first_mount() -> int:
    """Return a number for keys of widgets that must not be those of the session before: 0 where there was none."""
    return st.session_state.get(_FIRST_MOUNT, 0)
