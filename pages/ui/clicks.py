"""Clicks that last: none is lost, or acts on something else, because of what is done right after it.

Streamlit runs a page anew at each gesture, and breaks off the run before: who pressed «Enviar» and typed on had pressed
in vain. What it has not begun yet it joins, so that a click acts on what was chosen after it. Here the run of a click
is that of its moment, it goes to its end, and what comes after it has its turn then.
"""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx, script_runner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequest, ScriptRequests, ScriptRequestType
from streamlit.runtime.scriptrunner_utils.script_run_context import RunLocation, ThreadState

__all__ = ["OrderedRequests", "give_way", "keep_clicks"]


def keep_clicks() -> None:
    """Put our requests in the place of Streamlit's. Call it before the app is made."""
    script_runner.__dict__["ScriptRequests"] = OrderedRequests


def give_way() -> None:
    """End this run if anything was asked for meanwhile: for a page that waits for something it has begun.

    Streamlit ends a run when its state is used, or something is drawn; a wait of our own it cannot interrupt.
    """
    context = get_script_run_ctx()
    if context is not None and isinstance(context.script_requests, OrderedRequests):
        context.script_requests.let_go()
    st.session_state.get("waiting")


class OrderedRequests(ScriptRequests):
    """What is asked of the runner of a page. What a browser asks for breaks off no run of a click, and no callback.

    Whether it is to end a run finds out at each element that it draws, and where it uses what it remembers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_clicked = False  # the run that goes on, or that the last one makes way for
        self._by_page = False
        self._later: list[RerunData] = []

    def let_go(self) -> None:
        """Let what was asked for meanwhile break this run off, although it is that of a click."""
        self._is_clicked = False

    def on_scriptrunner_ready(self) -> ScriptRequest:
        """Return what to do first, or next."""
        self._take_turn()
        return self._begin(super().on_scriptrunner_ready())

    def on_scriptrunner_yield(self) -> ScriptRequest | None:
        """Return what breaks the run off, if anything does."""
        if self._state is not ScriptRequestType.STOP and not self._by_page and (self._is_clicked or _is_in_callback()):
            return None
        self._take_turn()
        request = super().on_scriptrunner_yield()
        return request and self._begin(request)

    def _begin(self, request: ScriptRequest) -> ScriptRequest:
        if request.type is ScriptRequestType.RERUN:
            # From here on: what ends the run before may draw something yet.
            self._is_clicked, self._by_page = _has_click(request.rerun_data), False
        return request

    def _request_rerun_locked(self, new_data: RerunData) -> bool:
        # Without the state of a browser it is the page itself that does not want to go on.
        is_by_page = new_data.widget_states is None
        waits = self._state is ScriptRequestType.RERUN and _has_click(self._rerun_data)
        if not is_by_page and (self._later or waits) and self._state is not ScriptRequestType.STOP:
            self._later.append(new_data)
            return True
        self._by_page = self._by_page or is_by_page
        return super()._request_rerun_locked(new_data)

    def _take_turn(self) -> None:
        """Ask for what came after a click that has had its run, up to the next click."""
        with self._lock:
            while self._later and not (self._state is ScriptRequestType.RERUN and _has_click(self._rerun_data)):
                super()._request_rerun_locked(self._later.pop(0))


def _has_click(data: RerunData) -> bool:
    return data.widget_states is not None and any(state.trigger_value for state in data.widget_states.widgets)


def _is_in_callback() -> bool:
    return ThreadState.get().run_location is RunLocation.CALLBACK
