"""Of which attempt to connect this tab tells: the last one that was begun here, by the link or by a code."""

from __future__ import annotations

import streamlit as st

__all__ = ["FOLLOWED", "LEFT", "TOLD", "follow_code", "follow_link"]

LEFT = "mail_account_oauth_left"  # the id of the attempt whose link was clicked
TOLD = "mail_account_oauth_told"  # the id of the one by a link whose end is told
FOLLOWED = "mail_account_oauth_code"  # the id of the one whose code stands in this tab


def follow_link(attempt_id: str) -> None:
    """A link was clicked: what came of a link or a code before is not told any more."""
    _forget(TOLD, FOLLOWED)
    st.session_state[LEFT] = attempt_id


def follow_code(attempt_id: str) -> None:
    """A code was asked for, in place of what was begun before."""
    _forget(TOLD, LEFT)
    st.session_state[FOLLOWED] = attempt_id


def _forget(*names: str) -> None:
    for name in names:
        st.session_state.pop(name, None)
