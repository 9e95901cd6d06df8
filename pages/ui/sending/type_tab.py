"""One document type: what is written at the left, the message that it makes at the right."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DocumentType
from cgcore.templates.checks import Check, Field
from cgcore.templates.defaults import default_source
from pages.ui.editor import rich_text
from pages.ui.identity import while_logged_in
from pages.ui.sending.actions import draw_actions
from pages.ui.sending.checks import draw_checks
from pages.ui.sending.message import draw_message
from pages.ui.sending.palette import draw_palette
from pages.ui.sending.summary import keep_up
from pages.ui.sending.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_type"]


@st.fragment
@while_logged_in
def draw_type(page: SendingPage, kind: DocumentType) -> None:
    """Draw a type. A fragment: typing in it redraws it alone, and the page where its head has changed."""
    page.drafts.collect()
    page.save_late()
    subject, body = page.drafts.of(kind)
    left, right = st.columns([5, 6], gap="medium")
    with right:
        # First: whoever types waits for the message, and the editor shows its text already.
        checks = draw_message(page, kind)
    with left:
        badge = st.empty()
        st.session_state.setdefault(subject.key, subject.value)
        st.text_input(texts.SUBJECT, key=subject.key, live=True)
        draw_checks(checks, subject, Field.SUBJECT)
        draw_palette(page.drafts, kind, page.workbench.company.get(page.actor).logo)
        st.markdown(texts.BODY, help=texts.EDITOR_HELP)
        with st.container(border=True, key=f"{kind}_editor", gap=None):
            rich_text(body.seed, key=body.key, placeholder=texts.EDITOR_PLACEHOLDER)
        draw_checks(checks, body, Field.BODY)
        draw_actions(page, kind)
    _draw_state(page, kind, checks, badge)
    keep_up(page)


def _draw_state(page: SendingPage, kind: DocumentType, checks: tuple[Check, ...], place) -> None:
    default = default_source(kind)
    subject, body = page.drafts.of(kind)
    if any(check.blocks for check in checks):
        place.badge(texts.STATE_ERRORS, icon=":material/error:", color="red")
    elif page.drafts.is_changed(kind):
        place.badge(texts.STATE_UNSAVED, icon=":material/edit:", color="violet")
    elif (subject.clean, body.clean) == (default.subject, default.body):
        place.badge(texts.STATE_DEFAULT, icon=":material/radio_button_unchecked:", color="gray")
    else:
        place.badge(texts.STATE_OWN, icon=":material/check_circle:", color="blue")
