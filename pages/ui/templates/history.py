"""Versions of a template beside what is on the screen, and the way back to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff

import streamlit as st

from cgcore.documents import DocumentType
from cgcore.templates.canonical import canonical_html
from cgcore.templates.stored import default_signature, default_source
from pages.ui.identity import dialog, while_logged_in
from pages.ui.moments import when
from pages.ui.templates.drafts import PAGE, readable
from pages.ui.templates.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["ask_history"]

_Texts = tuple[str, ...]
_TAKEN = f"{PAGE}_version_taken"


@dialog(lambda: texts.HISTORY_TITLE, width="large")
@while_logged_in
def ask_history(page: SendingPage, kind: DocumentType | None) -> None:
    """Show what a version would change in the draft, and put it there."""
    if st.session_state.pop(_TAKEN, False):
        st.rerun()
    choices = _choices(page, kind)
    # Chosen by number: the label holds «hace 3 s», which is another text on the next run.
    number = st.selectbox(
        texts.HISTORY_VERSION,
        list(choices),
        format_func=lambda number: choices[number][0],
        key=f"{kind or 'signature'}_history_version",
    )
    *subject, html = choices[number][1]
    chosen = (*subject, canonical_html(html))  # a row changed behind our back is no way into the editor
    ours = tuple(field.clean for field in page.drafts.of(kind))
    if len(choices) == 1:
        st.caption(texts.HISTORY_EMPTY)
    if chosen == ours:
        st.info(texts.HISTORY_EQUAL, icon=":material/check:")
        return
    st.code(_compare(ours, chosen), language="diff", wrap_lines=True)
    st.caption(texts.HISTORY_LEGEND)
    # A callback: it runs first, whatever part of the page this click runs again.
    st.button(
        texts.HISTORY_TAKE,
        icon=":material/history:",
        key=f"{kind or 'signature'}_history_take",
        on_click=_take,
        args=(page, kind, chosen),
    )
    st.caption(texts.HISTORY_NOTE)


def _take(page: SendingPage, kind: DocumentType | None, chosen: _Texts) -> None:
    for field, text in zip(page.drafts.of(kind), chosen, strict=True):
        field.put(text)
    st.session_state[_TAKEN] = True


def _choices(page: SendingPage, kind: DocumentType | None) -> dict[int, tuple[str, _Texts]]:
    default: _Texts = (default_signature(),)
    if kind is not None:
        source = default_source(kind)
        default = (source.subject, source.body)
    choices: dict[int, tuple[str, _Texts]] = {0: (texts.HISTORY_DEFAULT, default)}
    for version in page.workbench.templates.list_versions(page.actor, kind):
        label = texts.HISTORY_ENTRY.format(version=version.version, moment=when(version.saved))
        choices[version.version] = (label, (version.body,) if kind is None else (version.subject, version.body))
    return choices


def _compare(ours: _Texts, theirs: _Texts) -> str:
    lines = list(unified_diff(_lines(ours), _lines(theirs), lineterm="", n=1))
    shown = [line for line in lines[2:] if not line.startswith("@@")]
    # The words are the same and the formats are not: the markup says what.
    return "\n".join(shown) or "\n".join(list(unified_diff([*ours], [*theirs], lineterm="", n=0))[3:])


def _lines(parts: Sequence[str]) -> list[str]:
    return [line for part in parts for line in readable(part).splitlines()]
