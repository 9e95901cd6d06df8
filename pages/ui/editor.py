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

_HISTORY = {"delay": 1000, "maxStack": 100, "userOnly": True}


def rich_text(value: str, *, key: str, label: str, placeholder: str = "") -> str:
    """Draw the editor and return its HTML; ``label`` is its name for whoever does not see it.

    ``value`` counts when ``key`` is mounted; afterwards it must stay the same, and a new text needs a new ``key``
    (the component would show the old text and return the new one).
    """
    # The component has no place for a name: the script in its frame reads it here (cgcore/web/editor.js).
    history = {**_HISTORY, "label": label}
    found = st_quill(value=value, placeholder=placeholder, html=True, toolbar=_TOOLBAR, history=history, key=key)
    return value if found is None else str(found)


def await_last_keys() -> None:
    """Wait until what was typed before this run's click has come; the next run has it, this one has not."""
    time.sleep(_HANDOVER_S)
