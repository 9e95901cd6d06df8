"""Who is there: the log-in that the gate vouches for, looked up again on every rerun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, NoReturn, ParamSpec
from urllib.parse import quote, urlsplit

import streamlit as st

from cgcore.errors import LoginEnded
from cgcore.identity.actor import Actor
from cgcore.language import choose_language, use_language_of
from cgcore.workbench import get_workbench
from pages.ui.drafts import keep_what_is_typed
from pages.ui.problems import storage_failures_told
from pages.ui.tab import is_fragment_run, this_run
from pages.ui.texts import identity as texts

__all__ = ["dialog", "find_actor", "refused_when_ended", "require_actor", "while_logged_in"]

_Arguments = ParamSpec("_Arguments")
_LANGUAGE = "language_of_the_person"
_ACTOR = "actor_of_the_run"
_spoken = threading.local()


def require_actor() -> Actor:
    """Return the person behind this page, or end the run with a link to the log-in page.

    Nothing but the gate's signed header counts: without the gate the header is whatever the browser sends. It is
    read once, when the page connects, so the log-in itself is looked up in each run, of the page or of a fragment.
    """
    use_language_of(_session_language)
    run, found = this_run(), st.session_state.get(_ACTOR)
    if run is not None and found is not None and found[0] is run:
        return found[1]
    actor = find_actor()
    if actor is None:
        _refuse()
    st.session_state[_LANGUAGE] = choose_language(actor.locale)
    _spoken.run, _spoken.language = run, st.session_state[_LANGUAGE]
    st.session_state[_ACTOR] = run, actor
    return actor


def find_actor() -> Actor | None:
    """Return the person behind this page, or None: for a callback, which leaves it to the run behind it to say so."""
    token = st.user.get("login")
    sessions = get_workbench().identity.sessions
    session_hash = sessions.verify_identity(token) if isinstance(token, str) else None
    return sessions.find_actor(session_hash) if session_hash else None


def _session_language() -> str:
    run = this_run()
    if run is None:
        return ""
    if getattr(_spoken, "run", None) is run:
        # Asked for with every word of a page.
        return _spoken.language
    # A run of the page, of a fragment of it, or a callback: all know the session.
    return st.session_state.get(_LANGUAGE, "")


def while_logged_in(draw: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Make a fragment or a dialog look the log-in up on each rerun of its own, which runs nothing above it.

    Whoever acts among its arguments, or is the ``actor`` of one, is the one of this rerun, not of the page's run.
    """

    act: Callable[..., None] = draw

    @wraps(draw)
    def checked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> None:
        with storage_failures_told(draw.__qualname__), refused_when_ended():
            if is_fragment_run():
                # First: a log-in that has ended takes the tab away at once, and what this run brings with it.
                keep_what_is_typed(get_workbench())
            actor = require_actor()
            now = [_with_actor(each, actor) for each in arguments]
            act(*now, **{name: _with_actor(each, actor) for name, each in named.items()})

    return checked


def _with_actor(argument: Any, actor: Actor) -> Any:
    if isinstance(argument, Actor):
        return actor
    held = getattr(argument, "actor", None)
    return replace(argument, actor=actor) if isinstance(held, Actor) and held != actor else argument


def dialog(
    title: Callable[[], str],
    *,
    width: Literal["small", "medium", "large"] = "small",
    icon: str | None = None,
    dismissible: bool = True,
    on_dismiss: Literal["ignore", "rerun"] | Callable[[], None] = "ignore",
) -> Callable[[Callable[_Arguments, None]], Callable[_Arguments, None]]:
    """Make a function open as a dialog whose title is asked for when it opens, in the language of the person."""

    def decorate(draw: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
        @wraps(draw)
        def open_dialog(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> None:
            made = st.dialog(title(), width=width, icon=icon, dismissible=dismissible, on_dismiss=on_dismiss)
            made(draw)(*arguments, **named)

        return open_dialog

    return decorate


@contextmanager
def refused_when_ended() -> Generator[None]:
    """Say that the log-in has ended where a use case of this run finds that out."""
    try:
        yield
    except LoginEnded:
        _refuse()


def _refuse() -> NoReturn:
    st.error(texts.SESSION_ENDED, icon=":material/lock:", title=texts.SESSION_ENDED_TITLE)
    # A plain link keeps the tab; Streamlit's own links open another one.
    shown = urlsplit(st.context.url or "")
    target = quote(shown.path + (f"?{shown.query}" if shown.query else ""), safe="")
    st.html(f'<a href="/entrar{f"?next={target}" if target else ""}" target="_self">{texts.ENTER}</a>')
    st.stop()
