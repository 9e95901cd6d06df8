"""What an account without servers has folded: its two servers and the test mail, for whoever fills them in by hand.

It stands alone because the page script puts all three cells into it, and none of them knows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import streamlit as st

from pages.ui.mail.view import MailPage
from pages.ui.tab import is_held
from pages.ui.texts import mail_account as texts

__all__ = ["fold", "unfold"]

_KEY = "mail_account_by_hand"
_WANTED = f"{_KEY}_wanted"  # whether the next run is to open it
_SEEN = f"{_KEY}_seen"  # whether there was something in the cells to see, at the last run


def fold(page: MailPage) -> AbstractContextManager[object]:
    """Return where the cells of the servers go: folded until a server is stored, else just below.

    What comes into them opens them once: servers that were found or filled in, a draft that was taken back, a problem
    that Guardar has met there, :func:`unfold`. From then on they are as the person leaves them.
    """
    if page.form.stored.draft.smtp.host or page.form.stored.draft.imap.host:
        return nullcontext()
    seen = _has_something(page)
    is_news = seen and not st.session_state.get(_SEEN, False)
    st.session_state[_SEEN] = seen
    is_wanted = st.session_state.pop(_WANTED, False)
    # A tab that has come back knows itself what was open.
    if not is_held(_KEY) and (is_news or is_wanted or _KEY not in st.session_state):
        st.session_state[_KEY] = seen or is_wanted
    return st.expander(texts.BY_HAND, icon=":material/edit_note:", key=_KEY, on_change="rerun")


def unfold() -> None:
    """Let the next run of the page open the cells: what was told asks to fill them in."""
    st.session_state[_WANTED] = True


def _has_something(page: MailPage) -> bool:
    """Return whether a server is named, or something is wrong, in the cells that are folded."""
    own = {"user", "password", "sender_name", "sender_reply_to"}
    is_wrong = any(found.field not in own for found in page.problems)
    return bool(page.draft.smtp.host or page.draft.imap.host) or is_wrong
