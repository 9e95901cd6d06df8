"""Tabs without a browser: one that was opened anew, one that comes back after its session was forgotten."""

from __future__ import annotations

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

from cgcore.identity.actor import Actor
from cgcore.workbench import Workbench
from pages.ui import tab
from tests.servers.pages import ROOT, open_page

__all__ = ["come_back", "open_tab"]


def open_tab(
    monkeypatch: pytest.MonkeyPatch, workbench: Workbench, actor: Actor, script: str, name: str, *, former: str = ""
) -> AppTest:
    """Return ``script`` in the tab ``name``, which goes on where the tab ``former`` was."""
    workbench.drafts.flush(actor)
    monkeypatch.setattr(tab, "find_session", lambda: name)
    monkeypatch.setattr(tab, "find_former_session", lambda: former)
    return open_page(monkeypatch, workbench, actor, script)


def come_back(monkeypatch: pytest.MonkeyPatch, page: AppTest, former: str, *, click: str = "", **shown: str) -> AppTest:
    """Return the same page in a new session, as its browser makes it go on.

    The browser sends what its widgets show: what they had, but for the text fields in ``shown`` (by key, typed while
    nobody listened), and a click on the button ``click``.
    """
    monkeypatch.setattr(tab, "find_session", lambda: f"{former}, again")
    monkeypatch.setattr(tab, "find_former_session", lambda: former)
    states: WidgetStates = page._tree.get_widget_states()
    for key, text in shown.items():
        next(state for state in states.widgets if state.id == page.text_input(key).id).string_value = text
    if click:
        states.widgets.add(id=page.button(click).id, trigger_value=True)
    again = AppTest.from_file(str(ROOT / "pages/workbench.py"), default_timeout=30)
    again.user = page.user
    again._page_hash = page._finished_page_script_hash
    again._run(states)
    assert not again.exception
    return again
