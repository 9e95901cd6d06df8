"""The rich-text editor behind one function: the only place that knows which component it is."""

from __future__ import annotations

import time

from streamlit_quill import st_quill

__all__ = ["await_last_keys", "rich_text"]

# The component hands a text over 200 ms after its last key; the rest is for a slow browser.
_HANDOVER_S = 0.5

# What mail shows well; the component's default also offers formulas, scripts and any size of heading.
_TOOLBAR = [
    ["bold", "italic", "underline"],
    [{"color": []}],
    [{"list": "ordered"}, {"list": "bullet"}],
    [{"align": []}],
    ["link", "image"],
    ["clean"],
]


def rich_text(value: str, *, key: str, placeholder: str = "") -> str:
    """Draw the editor and return its HTML.

    ``value`` counts when ``key`` is mounted; afterwards it must stay the same, and a new text needs a new ``key``
    (the component would show the old text and return the new one).
    """
    found = st_quill(value=value, placeholder=placeholder, html=True, toolbar=_TOOLBAR, key=key)
    return value if found is None else str(found)


def await_last_keys() -> None:
    """Wait until what was typed before this run's click has come; the next run has it, this one has not."""
    time.sleep(_HANDOVER_S)
