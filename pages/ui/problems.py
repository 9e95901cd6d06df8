"""What is wrong: with a field, said beside the field; with the database or a run of ours, said where the run ends."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import islice

import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

from cgcore.errors import FieldProblem, LoginEnded, NotAllowed, NotFound, StorageError
from cgcore.text_rules import MAX_SEARCH, text_problem
from cgcore.texts import sentence
from pages.ui.markdown import escape
from pages.ui.texts import common as texts
from pages.ui.toasts import announce

__all__ = [
    "download_sentence",
    "draw_problems",
    "draw_search_problem",
    "list_problems",
    "storage_failures_told",
    "tell_failure",
]


def draw_problems(problems: Iterable[FieldProblem], field: str) -> None:
    """Draw the problems of ``field`` under its widget, in a place of their own.

    It is there without problems too: what follows would move otherwise, and a field that moves is mounted anew,
    without the text that is being typed into it.
    """
    with st.container(gap="xxsmall"):
        list_problems(problems, field)


def list_problems(problems: Iterable[FieldProblem], *fields: str) -> None:
    """Draw the problems of ``fields``, red where they block, orange where they warn: in a place that is there already,
    or where no field follows that would move.
    """
    for field in fields:
        for problem in problems:
            if problem.field == field:
                color, icon = ("red", "error") if problem.blocking else ("orange", "warning")
                st.markdown(f":{color}[:material/{icon}: {escape(problem.message)}]")


def draw_search_problem(text: str) -> None:
    """Draw why nothing can be found: too long, or what no text holds. The place is there without that too."""
    problem = text_problem("search", text, MAX_SEARCH)
    draw_problems((problem,) if problem else (), "search")


@contextmanager
def storage_failures_told(key: str = "page") -> Generator[None]:
    """Draw, in place of what could not be read or stored, the sentence of a database that fails, and a way to go on."""
    try:
        yield
    except StorageError as failure:
        st.error(sentence("cgcore.storage", failure.code), icon=":material/cloud_off:")
        # The click is a run of the page, and that is the whole of another try.
        st.button(texts.TRY_AGAIN, icon=":material/refresh:", key=f"{key}_storage_again")


def tell_failure(error: Exception) -> bool:
    """Say in a sentence of ours that a run has ended by ``error``, whatever that is: Streamlit's hook for every run.

    True keeps Streamlit from drawing its own box, in English and, as it may be set up, with a traceback; the log has
    both. A callback fails before anything is drawn: the page is run again then, with all that was typed, and tells it.
    """
    if _fell_in_callback(error):
        announce(_sentence_of(error), icon=":material/error:", stays=True)
        _run_page_again()
        return True
    st.error(_sentence_of(error), icon=":material/error:")
    # Several fragments may fail in one run; the click is a run of the page, whatever the key.
    st.button(texts.TRY_AGAIN, icon=":material/refresh:", key=f"failure_again_{secrets.token_hex(4)}")
    return True


def download_sentence(error: BaseException) -> str:
    """Return why a download was not made. One that is not there any more belongs to a page that is not either."""
    return texts.DOWNLOAD_GONE if isinstance(error, NotFound) else _sentence_of(error)


def _sentence_of(error: BaseException) -> str:
    if isinstance(error, StorageError):
        return sentence("cgcore.storage", error.code)
    if isinstance(error, LoginEnded):
        return texts.LOGIN_ENDED
    return texts.NOT_ALLOWED if isinstance(error, NotAllowed) else texts.OUR_FAULT


def _fell_in_callback(error: Exception) -> bool:
    # Streamlit's own outermost frames: an exception that is raised a second time has those of the first behind them.
    frames = islice(traceback.walk_tb(error.__traceback__), 4)
    return any(frame.f_code.co_name == "on_script_will_rerun" for frame, _ in frames)


def _run_page_again() -> None:
    context = get_script_run_ctx()
    if context is None or context.script_requests is None:
        return
    context.script_requests.request_rerun(
        RerunData(
            query_string=context.query_string,
            # None at all would leave the click that has failed in force.
            widget_states=WidgetStates(),
            page_script_hash=context.page_script_hash,
            cached_message_hashes=context.cached_message_hashes,
            context_info=context.context_info,
        )
    )
