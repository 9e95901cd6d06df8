"""How this person sends: seconds to undo, the adviser's address, and of which documents a copy goes there."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.errors import InvalidInput
from cgcore.identity.actor import Actor
from cgcore.outbox.preferences import LONGEST_UNDO_S, OutboxPreferences
from cgcore.outbox.states import Kind
from cgcore.workbench import Workbench
from pages.ui.identity import dialog, while_logged_in
from pages.ui.outbox.draft import PAGE
from pages.ui.problems import list_problems
from pages.ui.texts import common
from pages.ui.texts import send_document as texts
from pages.ui.toasts import announce

__all__ = ["ask_preferences", "draw_preferences"]

_KEY = f"{PAGE}_preferences"


def draw_preferences(workbench: Workbench, actor: Actor) -> None:
    """Draw the button that opens them."""
    if st.button(texts.PREFERENCES, icon=":material/tune:", type="tertiary", key=_KEY):
        ask_preferences(workbench, actor)


@dialog(lambda: texts.PREFERENCES)
@while_logged_in
def ask_preferences(workbench: Workbench, actor: Actor) -> None:
    """Ask for them in a dialog."""
    stored = workbench.outbox.preferences.get(actor)
    undo = st.number_input(
        texts.UNDO_SECONDS, 0, LONGEST_UNDO_S, stored.undo_s, key=f"{_KEY}_undo", help=texts.UNDO_HELP
    )
    adviser = st.text_input(texts.ADVISER, stored.adviser, key=f"{_KEY}_adviser", help=texts.ADVISER_HELP)
    place = st.container(gap="xxsmall")
    kinds = [entry.code for entry in types_with_template()]
    copies: dict[str, Kind] = {}
    for how, label in ((Kind.CC, texts.COPY_OF), (Kind.BCC, texts.HIDDEN_COPY_OF)):
        chosen = st.multiselect(
            label,
            kinds,
            [kind for kind in kinds if stored.copies.get(kind) is how],
            format_func=_tab_of,
            key=f"{_KEY}_{how}",
        )
        copies |= {kind.value: how for kind in chosen}
    with st.container(horizontal=True):
        saved = st.button(texts.SAVE_PREFERENCES, type="primary", icon=":material/save:", key=f"{_KEY}_save")
        if st.button(common.CANCEL, key=f"{_KEY}_cancel"):
            st.rerun()
    if saved:
        try:
            workbench.outbox.preferences.save(actor, OutboxPreferences(int(undo), (adviser or "").strip(), copies))
        except InvalidInput as refused:
            with place:
                list_problems(refused.problems, "adviser", "undo")
        else:
            announce(texts.PREFERENCES_SAVED)
            st.rerun()


def _tab_of(kind: DocumentType) -> str:
    return info(kind).tab
