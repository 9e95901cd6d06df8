"""A value that is carried elsewhere: in letters of its own, with a button in sight that copies it.

The code block's own button shows under a pointer alone, so on a telephone nobody finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import streamlit as st

from pages.ui.texts import common

__all__ = ["draw_copyable", "draw_large_copyable"]


def draw_copyable(name: str, value: str) -> None:
    """Draw ``value``; ``name`` is its own on the page. The browser copies (cgcore/web/companion.js)."""
    with _beside_button(name, "center"):
        st.code(value, language=None, wrap_lines=True, width="stretch")


def draw_large_copyable(name: str, label: str, value: str) -> None:
    """Draw the same in large letters, under ``label``: a value that is also read from here and typed elsewhere."""
    with _beside_button(name, "bottom"):
        st.metric(label, value, width="content")


@contextmanager
def _beside_button(name: str, alignment: Literal["center", "bottom"]) -> Iterator[None]:
    with st.container(horizontal=True, vertical_alignment=alignment, gap="xsmall", key=f"copyable_{name}"):
        yield
        if st.button(common.COPY, key=f"copy_{name}", icon=":material/content_copy:"):
            st.caption(common.COPY_BY_HAND)
