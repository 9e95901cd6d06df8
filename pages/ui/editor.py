"""The rich-text editor behind one function: the only place that knows which component it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from streamlit_quill import st_quill

from cgcore.templates.variables import Variable

__all__ = ["Picture", "await_last_keys", "rich_text"]

# What was typed comes before the click or with it (cgcore/web/editor.js); this is for a browser that is slow with it.
_HANDOVER_S = 0.1

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


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that the button of the key ``button`` puts in at the cursor; sizes in pixels, as shown."""

    button: str
    src: str
    alt: str
    width: int
    height: int


def rich_text(
    value: str,
    *,
    key: str,
    label: str,
    placeholder: str = "",
    variables: Sequence[Variable] = (),
    palette: str = "",
    subject: str = "",
    picture: Picture | None = None,
) -> str:
    """Draw the editor and return its HTML; ``label`` is its name for whoever does not see it.

    ``value`` counts when ``key`` is mounted; afterwards it must stay the same, and a new text needs a new ``key``
    (the component would show the old text and return the new one).

    ``variables`` are proposed after an opening brace, and go in at the cursor when they are chosen in the pills of the
    key ``palette``, which stand in a popover ``<palette>_box``. They go into the text field whose key begins with
    ``subject`` where that was written in last; it proposes them too. ``picture`` goes in at the cursor of the text.
    """
    # The component has no place for any of these: the scripts in its frame read them here (cgcore/web/editor.js).
    known = [{"name": each.name, "label": each.label, "sample": each.sample} for each in variables]
    places = {"palette": palette, "subject": f"st-key-{subject}" if subject else ""}
    history = {
        **_HISTORY,
        "key": key,
        "label": label,
        "variables": known,
        **places,
        "picture": asdict(picture) if picture else None,
    }
    found = st_quill(value=value, placeholder=placeholder, html=True, toolbar=_TOOLBAR, history=history, key=key)
    return value if found is None else str(found)


def await_last_keys() -> None:
    """Wait until what was typed before this run's click has come; the next run has it, this one has not."""
    time.sleep(_HANDOVER_S)
