"""A value that is carried elsewhere: in letters of its own, with a button in sight that copies it.

The code block's own button shows under a pointer alone, so on a telephone nobody finds it.
"""

from __future__ import annotations

import streamlit as st

from pages.ui.texts import common

__all__ = ["draw_copyable", "draw_large_copyable"]


def draw_copyable(name: str, value: str) -> None:
    """Draw ``value``; ``name`` is its own on the page. The browser copies (cgcore/web/companion.js)."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"copyable_{name}"):
        st.code(value, language=None, wrap_lines=True, width="stretch")
        if st.button(common.COPY, key=f"copy_{name}", icon=":material/content_copy:"):
            st.caption(common.COPY_BY_HAND)


def draw_large_copyable(name: str, label: str, value: str) -> None:
    """Draw the same in large letters, under ``label``: a value that is also read from here and typed elsewhere."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"copyable_{name}"):
        st.metric(label, value, width="content")
        if st.button(common.COPY, key=f"copy_{name}", icon=":material/content_copy:"):
            st.caption(common.COPY_BY_HAND)
