"""«Explícame este error»: a mail error of whatever program is pasted, and told in one sentence with its fix."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.diagnosis.pasted import LONGEST_TEXT, explain_pasted
from pages.ui.identity import while_logged_in
from pages.ui.markdown import escape
from pages.ui.texts import common as texts

__all__ = ["draw_explainer"]


@st.fragment
@while_logged_in
def draw_explainer(page: str, provider: str = "") -> None:
    """Draw the panel, folded; ``provider`` is the id of the one that the account uses, ``""`` where it has none."""
    panel = st.expander(
        texts.EXPLAIN, type="compact", icon=":material/troubleshoot:", key=f"{page}_explain", on_change="rerun"
    )
    if not panel.open:
        return
    with panel:
        pasted = st.text_area(
            texts.EXPLAIN_TEXT,
            key=f"{page}_explain_text",
            placeholder=texts.EXPLAIN_PLACEHOLDER,
            help=texts.EXPLAIN_HELP,
            max_chars=LONGEST_TEXT,
            height=140,
        )
        shown = f"{page}_explain_shown"
        if st.button(texts.EXPLAIN_RUN, key=f"{page}_explain_run", icon=":material/troubleshoot:"):
            st.session_state[shown] = (pasted or "").strip()
        # No place of its own above the button: nothing moves under the hand.
        with st.container(key=f"{page}_explain_verdict", gap="small"):
            if text := st.session_state.get(shown):
                _draw(text, provider)


def _draw(text: str, provider: str) -> None:
    found = explain_pasted(text, provider=provider)
    title, fix = escape(found.title), escape(found.fix)
    if found.key == "ok":
        st.success(fix or title, title=title if fix else None, icon=":material/check_circle:")
    elif found.key == "unclassified":
        st.warning(fix or title, title=title if fix else None, icon=":material/help:")
    else:
        st.error(fix or title, title=title if fix else None, icon=":material/error:")
    if found.key != "unclassified":
        st.caption(texts.EXPLAIN_READ)
        st.code(found.line, language=None, wrap_lines=True)
