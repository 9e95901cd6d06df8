"""Clicks that last: none is lost because something else was done before its page had come to the button.

Streamlit runs a page anew at each gesture, and breaks off the run before. A click that was not read by then is gone:
who pressed «Enviar» and typed on had pressed in vain. What it has for clicks whose callbacks have run, to tell the next
run of them, is used here for these too. It also breaks off a callback, or what a page does about a click, in its
middle; ours are done to their end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx, script_runner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequest, ScriptRequests, ScriptRequestType
from streamlit.runtime.scriptrunner_utils.script_run_context import RunLocation, ThreadState
from streamlit.runtime.state import SafeSessionState
from streamlit.runtime.state.common import user_key_from_element_id

__all__ = ["LastingRequests", "NotingState", "give_way", "keep_clicks"]


def keep_clicks() -> None:
    """Put our requests and our state in the place of Streamlit's. Call it before the app is made."""
    script_runner.__dict__["ScriptRequests"] = LastingRequests
    script_runner.__dict__["SafeSessionState"] = NotingState


def give_way() -> None:
    """End this run if anything was asked for meanwhile: for a page that waits for something it has begun.

    Streamlit ends a run when its state is used, or something is drawn; a wait of our own it cannot interrupt.
    """
    if (requests := _find_requests()) is not None:
        requests.let_go()
    st.session_state.get("waiting")


class LastingRequests(ScriptRequests):
    """What is asked of the runner of a page: a run that a gesture breaks off leaves its unread clicks to the next.

    Whether it is to end a run finds out at points: at each element that it draws, and where it uses what it remembers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unread: list[WidgetState] = []
        self._is_read = False
        self._by_page = False

    def let_go(self) -> None:
        """Let a gesture break the run off again, although a click of it was read."""
        self._is_read = False

    def note_read(self, key: str) -> None:
        """Note that the page has read whether the button of a key was clicked on, before it has drawn it."""
        self._keep_unread(lambda click: user_key_from_element_id(click.id) != key)

    def on_scriptrunner_ready(self) -> ScriptRequest:
        """Return what to do first, or next."""
        request = super().on_scriptrunner_ready()
        if request.type is ScriptRequestType.RERUN:
            self._begin(request.rerun_data)
        return request

    def on_scriptrunner_yield(self) -> ScriptRequest | None:
        """Return what breaks the run off, if anything does. A gesture waits for callbacks and what clicks do."""
        self._note_drawn()
        if self._state is ScriptRequestType.RERUN and not self._by_page and (self._is_read or _is_in_callback()):
            return None
        request = super().on_scriptrunner_yield()
        if request is None or request.type is not ScriptRequestType.RERUN:
            return request
        data = request.rerun_data
        # A page that always ends itself before the button would never come to an end.
        if data.widget_states is not None and self._unread:
            data = replace(data, replay_trigger_states=_join(self._unread, data.replay_trigger_states))
        self._begin(data)
        return ScriptRequest(ScriptRequestType.RERUN, data)

    def _request_rerun_locked(self, new_data: RerunData) -> bool:
        # Without the state of a browser it is the page itself that does not want to go on.
        self._by_page = self._by_page or new_data.widget_states is None
        return super()._request_rerun_locked(new_data)

    def _begin(self, data: RerunData) -> None:
        self._unread = [state for state in _list_states(data) if state.trigger_value]
        self._is_read, self._by_page = False, False

    def _note_drawn(self) -> None:
        context = get_script_run_ctx() if self._unread else None
        if context is not None:
            self._keep_unread(lambda click: click.id not in context.shared.widget_ids_this_run)

    def _keep_unread(self, is_unread: Callable[[WidgetState], bool]) -> None:
        left = list(filter(is_unread, self._unread))
        self._is_read = self._is_read or len(left) < len(self._unread)
        self._unread = left


class NotingState(SafeSessionState):
    """What a page remembers, which tells of the clicks that are read from it and not from their buttons."""

    def __getitem__(self, key: str) -> Any:
        """Return what is remembered under a key."""
        value = super().__getitem__(key)
        if value is True and (requests := _find_requests()) is not None:
            requests.note_read(key)
        return value


def _find_requests() -> LastingRequests | None:
    context = get_script_run_ctx(suppress_warning=True)
    requests = context.script_requests if context else None
    return requests if isinstance(requests, LastingRequests) else None


def _is_in_callback() -> bool:
    return ThreadState.get().run_location is RunLocation.CALLBACK


def _list_states(data: RerunData) -> Iterable[WidgetState]:
    for states in (data.widget_states, data.replay_trigger_states):
        if states is not None:
            yield from states.widgets


def _join(clicks: Iterable[WidgetState], others: WidgetStates | None) -> WidgetStates:
    by_id = {state.id: state for states in (clicks, others.widgets if others else ()) for state in states}
    return WidgetStates(widgets=by_id.values())
