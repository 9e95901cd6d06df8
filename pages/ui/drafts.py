"""Drafts that outlive their tab: kept when a run ends, taken up by the tab that comes back, offered to the others.

What a form keeps is in :mod:`pages.ui.editing`; where it is kept, in the facade's ``drafts``. A tab is known by a
digest of its session, so that the one that comes back after the server has forgotten it finds what it had typed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cgcore.documents import DocumentType
from cgcore.identity.actor import Actor
from cgcore.texts import write
from cgcore.workbench import Workbench
from cgcore.workbench.drafts import Draft
from pages.ui import tab
from pages.ui.editing import KEPT, forget_forms, list_forms
from pages.ui.moments import viewer_zone
from pages.ui.texts import drafts as texts

__all__ = ["begin_tab", "draw_draft", "keep_drafts", "keep_what_is_typed", "moment_of", "unsaved_pages"]

# What of a page's own state says which object is open: by page, the entries of the session.
_PLACES = {
    "administration": (
        *("administration_panel", "administration_series_open", "administration_user_open"),
        "administration_oauth_provider",
    ),
    "series_defaults": ("series_defaults_target", "series_defaults_user"),
    "send_document": ("send_document_type", *(f"send_document_series_{kind}" for kind in DocumentType)),
}


@dataclass(slots=True)
class _Tab:
    """What the session knows of its drafts."""

    actor: Actor
    name: str
    entered: str = ""
    restored: set[str] = field(default_factory=set[str])
    clicked: bool = False
    kept: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    offers: dict[str, Draft] = field(default_factory=dict[str, Draft])


_TAB = "drafts_tab"


def begin_tab(workbench: Workbench, actor: Actor) -> None:
    """Before anything is drawn: find out at a session's first run whether its tab was here before."""
    ours: _Tab | None = st.session_state.get(_TAB)
    if ours is not None:
        ours.actor = actor
        tab.settle()
        return
    ours = _Tab(actor, _digest(tab.find_session()))
    if former := tab.find_former_session():
        ours.clicked = tab.start_settling()
        workbench.drafts.move_tab(actor, _digest(former), ours.name)
    elif workbench.drafts.has_tab(actor, ours.name):
        ours.name = secrets.token_hex(16)
    st.session_state[_TAB] = ours


@contextmanager
def keep_drafts(workbench: Workbench, page: str) -> Generator[None]:
    """Around the run of ``page``: take up what this tab had typed before, and keep what is typed when the run ends."""
    ours: _Tab = st.session_state[_TAB]
    if ours.entered != page:
        _enter(workbench, ours, page)
    try:
        yield
    finally:
        if tab.is_settling():
            for form in list_forms():
                form.settle()
        keep_what_is_typed(workbench)
    if tab.is_settling():
        tab.settle()
        st.rerun()


def keep_what_is_typed(workbench: Workbench) -> None:
    """Hand over every draft of this session that has changed since it was handed over last."""
    ours: _Tab | None = st.session_state.get(_TAB)
    if ours is None:
        return
    forms = {page: dict(kept) for page, kept in KEPT.get().items() if kept}
    for form in list_forms():
        if (kept := form.kept()) is not None:
            forms.setdefault(form.page, {})[form.name] = kept
    for page in {*forms, *ours.kept}:
        content = {"forms": forms[page], "place": _read_place(page)} if page in forms else None
        if content is None:
            workbench.drafts.drop(ours.actor, page, ours.name)
            del ours.kept[page]
        elif content != ours.kept.get(page) or workbench.drafts.find_trouble(ours.actor, page, ours.name):
            workbench.drafts.keep(ours.actor, page, ours.name, content)
            ours.kept[page] = content


def unsaved_pages() -> set[str]:
    """Return the pages on which this session has something unsaved."""
    return {form.page for form in list_forms() if form.count_changed()}


def draw_draft(page: str, notices: DeltaGenerator, workbench: Workbench, actor: Actor) -> None:
    """Say in ``notices`` what became of a draft of this page, and offer the one that another tab has left."""
    ours: _Tab = st.session_state[_TAB]
    with notices:
        if ours.clicked and not tab.is_settling():
            st.warning(texts.CLICK_REFUSED, icon=":material/sync_problem:")
            ours.clicked = False
        elif page in ours.restored:
            st.info(texts.RESTORED, icon=":material/history:")
            if unsaved_pages().isdisjoint({page}):
                ours.restored.discard(page)
        if trouble := workbench.drafts.find_trouble(actor, page, ours.name):
            st.warning(texts["TROUBLES"][trouble], icon=":material/warning:")
        if page in ours.offers:
            _draw_offer(workbench, actor, ours, page)


def moment_of(moment: datetime) -> str:
    """Return «de las 17:02», or «del 24/11/2026 a las 17:02» for another day than today."""
    local, today = moment.astimezone(viewer_zone()), datetime.now(UTC).astimezone(viewer_zone()).date()
    hour = texts.AT_TIME.format(count=local.hour, time=write(local, "time"))
    if local.date() == today:
        return texts.OF_TODAY.format(hour=hour)
    return texts.OF_DAY.format(day=write(local.date()), hour=hour)


def _enter(workbench: Workbench, ours: _Tab, page: str) -> None:
    """Look for drafts of a page that was opened just now: the own one of a tab that is back, else the newest other."""
    ours.entered = page
    ours.offers.pop(page, None)
    drafts = workbench.drafts.list_drafts(ours.actor, page)
    own = next((draft for draft in drafts if draft.tab == ours.name), None)
    if own is not None and page not in ours.kept:
        _take(own)
        ours.kept[page] = dict(own.content)
        ours.restored.add(page)
    elif own is None and drafts:
        ours.offers[page] = drafts[0]


def _take(draft: Draft) -> None:
    page, content = draft.page, draft.content
    KEPT.get()[page] = dict(content.get("forms", {}))
    for key, value in content.get("place", {}).items():
        if key in _PLACES.get(page, ()) and not tab.is_held(key):
            st.session_state[key] = tuple(value) if isinstance(value, list) else value
    forget_forms(page)


def _draw_offer(workbench: Workbench, actor: Actor, ours: _Tab, page: str) -> None:
    offer = ours.offers[page]
    with st.container(border=True, key=f"{page}_draft_offer"):
        st.markdown(f":material/history: **{texts.OFFER.format(moment=moment_of(offer.saved))}**")
        st.caption(texts.OFFER_NOTE)
        with st.container(horizontal=True):
            taken = st.button(texts.TAKE, key=f"{page}_draft_take", icon=":material/history:")
            dropped = st.button(texts.DROP, key=f"{page}_draft_drop")
    if taken:
        current = workbench.drafts.find(actor, page, offer.tab) or offer
        _take(current)
    if taken or dropped:
        workbench.drafts.drop(actor, page, offer.tab)
        del ours.offers[page]
        st.rerun()


def _read_place(page: str) -> dict[str, Any]:
    found = {key: st.session_state.get(key) for key in _PLACES.get(page, ())}
    # As JSON gives it back, so that what is kept can be compared with what was kept.
    return {key: _as_json(value) for key, value in found.items() if value}


def _as_json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    return list(value) if isinstance(value, tuple) else str(value)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()[:32]
