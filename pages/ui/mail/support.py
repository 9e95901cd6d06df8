"""«Mensaje para tu proveedor»: a ready text about a test that failed, to copy or to download."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.steps import Leg
from cgcore.mail.support import SUPPORT_LANGUAGES, support_message
from cgcore.runs import Run
from pages.ui.files import draw_download
from pages.ui.mail.view import MailPage
from pages.ui.texts import mail_account as texts

__all__ = ["draw_support"]


def draw_support(page: MailPage, leg: Leg, run: Run) -> None:
    """Draw the panel, folded; what it holds is made when it is open."""
    key = f"mail_account_{leg}_support"
    panel = st.expander(texts.SUPPORT, type="compact", icon=":material/support_agent:", key=key, on_change="rerun")
    if not panel.open:
        return
    with panel:
        language = st.segmented_control(
            texts.SUPPORT_LANGUAGE,
            SUPPORT_LANGUAGES,
            format_func=lambda code: texts["SUPPORT_LANGUAGES"][code],
            default=SUPPORT_LANGUAGES[0],
            key=f"{key}_language",
            required=True,
        )
        draft = page.draft
        message = support_message(run, draft.smtp if leg is Leg.SMTP else draft.imap, draft.user, str(language))
        st.code(message, language=None, wrap_lines=True)
        draw_download(
            texts.SUPPORT_DOWNLOAD,
            lambda _: message,
            file_name=f"{leg}-{run.number}.txt",
            mime="text/plain",
            key=f"{key}_download",
        )
        st.caption(texts.SUPPORT_NOTE)
