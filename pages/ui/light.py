"""What Streamlit does by loading numpy, Pillow and pandas for a few bytes, done without: 95 MB of each process.

It stands alone because it speaks to Streamlit below its public functions; a test watches that nothing else does it
(``tests/unit/test_light_visit.py``).
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from streamlit.elements.widgets import text_widgets
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Logo_pb2 import Logo
from streamlit.proto.PageConfig_pb2 import PageConfig
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.time_util import time_to_seconds

__all__ = ["at_each_key", "draw_frame", "draw_logo"]

_FOLDER = Path(__file__).parent
_AT_ONCE = "0ms"


def draw_frame(title: str) -> None:
    """Give the browser's tab its title and icon, and the page the whole width: ``st.set_page_config``."""
    message = ForwardMsg()
    message.page_config_changed.title = title
    message.page_config_changed.favicon = _drawing("icon")
    message.page_config_changed.layout = PageConfig.WIDE
    _send(message)


def draw_logo() -> None:
    """Draw the logo at the top of the sidebar, and the icon where that is folded: ``st.logo``."""
    message = ForwardMsg()
    message.logo.image, message.logo.image_type = _drawing("logo"), Logo.ImageType.IMAGE
    message.logo.icon_image, message.logo.icon_image_type = _drawing("icon"), Logo.ImageType.IMAGE
    message.logo.size = "large"
    _send(message)


def at_each_key() -> str:
    """Return the ``live`` of a text field that hands over what it holds at each key, without a pause."""
    setattr(text_widgets, "time_to_seconds", _to_seconds)  # noqa: B010  no name of its public ones
    return _AT_ONCE


def _to_seconds(value: str) -> float:
    # The only wording that we use; Streamlit asks pandas what it means.
    return 0.0 if value == _AT_ONCE else time_to_seconds(value)


@cache
def _drawing(name: str) -> str:
    packed = base64.b64encode((_FOLDER / f"{name}.svg").read_bytes()).decode()
    return f"data:image/svg+xml;base64,{packed}"


def _send(message: ForwardMsg) -> None:
    context = get_script_run_ctx()
    if context is not None:
        context.enqueue(message)
