"""Restore, copy from another type, discard, and the way to the history: all of them change the draft only."""

from __future__ import annotations

import streamlit as st

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.templates.defaults import default_signature, default_source
from pages.ui.sending.history import ask_history
from pages.ui.sending.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_actions", "draw_signature_actions"]


def draw_actions(page: SendingPage, kind: DocumentType) -> None:
    """Draw what can be done to the draft of a type."""
    subject, body = page.drafts.of(kind)
    default = default_source(kind)
    with st.container(horizontal=True, gap="small", key=f"{kind}_actions"):
        _restore(texts.RESTORE_SUBJECT, subject.name, subject.clean != default.subject, subject.put, default.subject)
        _restore(texts.RESTORE_BODY, body.name, body.clean != default.body, body.put, default.body)
        with st.popover(texts.COPY_FROM, icon=":material/content_copy:", key=f"{kind}_copy_box"):
            _draw_copy(page, kind)
        if st.button(texts.HISTORY, icon=":material/history:", key=f"{kind}_history"):
            ask_history(page, kind)
        _draw_discard(page, kind)


def draw_signature_actions(page: SendingPage) -> None:
    """Draw what can be done to the draft of the signature."""
    field = page.drafts.signature
    default = default_signature()
    with st.container(horizontal=True, gap="small", key="signature_actions"):
        _restore(texts.RESTORE_SIGNATURE, field.name, field.clean != default, field.put, default)
        if st.button(texts.HISTORY, icon=":material/history:", key="signature_history"):
            ask_history(page, None)
        _draw_discard(page, None)


def _restore(label: str, name: str, differs: bool, put, text: str) -> None:
    st.button(
        label,
        icon=":material/restart_alt:",
        key=f"{name}_restore",
        disabled=not differs,
        on_click=put,
        args=(text,),
    )


def _draw_copy(page: SendingPage, kind: DocumentType) -> None:
    others = [entry.code for entry in types_with_template() if entry.code is not kind]
    key = f"{kind}_copy_from"
    chosen = st.selectbox(texts.COPY_FROM_TYPE, others, format_func=lambda code: info(code).tab, key=key)
    st.caption(texts.COPY_NOTE)
    st.button(texts.COPY, key=f"{kind}_copy", on_click=_copy, args=(page, chosen, kind))


def _copy(page: SendingPage, source: DocumentType, target: DocumentType) -> None:
    page.drafts.collect()
    for theirs, ours in zip(page.drafts.of(source), page.drafts.of(target), strict=True):
        ours.put(theirs.value)


def _draw_discard(page: SendingPage, kind: DocumentType | None) -> None:
    name = kind or "signature"
    if page.drafts.is_changed(kind):
        st.button(texts.DISCARD, icon=":material/undo:", key=f"{name}_discard", on_click=_discard, args=(page, kind))


def _discard(page: SendingPage, kind: DocumentType | None) -> None:
    for field in page.drafts.of(kind):
        field.put(field.stored)
