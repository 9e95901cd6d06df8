"""The choice of the sent folder: the server's own folders after a successful test, what is stored in any case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.mail.steps import Stage
from cgcore.runs import Cell
from pages.ui.mail.view import MailPage
from pages.ui.results import escape
from pages.ui.texts import mail_account as texts

__all__ = ["draw_folder"]


def draw_folder(page: MailPage) -> None:
    """Draw «Carpeta guardar enviados»; a name that the server lacks may be typed, and created afterwards."""
    key = page.form.key("sent_folder")
    offer = _offer(page)
    names = [str(folder["name"]) for folder in offer.get("folders", ()) if folder["selectable"]]
    chosen = st.session_state[key] or ""
    st.selectbox(
        texts.SENT_FOLDER,
        options=["", *names] if chosen in ("", *names) else ["", *names, chosen],
        format_func=lambda name: _label(name, offer),
        key=key,
        persist_state="session",
        accept_new_options=True,
        help=texts.SENT_FOLDER_HELP,
    )
    page.problems_under("sent_folder")
    recommended = str(offer.get("recommended", ""))
    with st.container():
        if recommended and not chosen and not offer.get("server_saves_copy"):
            st.button(
                texts.USE_FOLDER.format(folder=escape(recommended)),
                key="mail_account_use_folder",
                icon=":material/drive_file_move:",
                on_click=_use,
                args=(key, recommended),
            )


def _use(key: str, folder: str) -> None:
    st.session_state[key] = folder


def _offer(page: MailPage) -> Mapping[str, Any]:
    """Return what the last test listed."""
    run = page.runs.find_last(page.actor, Cell.IMAP)
    return next((step.details for step in (run.steps if run else ()) if step.stage == Stage.LIST), {})


def _label(name: str, offer: Mapping[str, Any]) -> str:
    if not name:
        return texts.SENT_FOLDER_NONE
    folder = next((folder for folder in offer.get("folders", ()) if folder["name"] == name), None)
    if folder is None:
        return texts.FOLDER_MISSING.format(name=name) if offer.get("folders") else name
    if folder["use"] == "sent":
        return texts.FOLDER_FLAGGED.format(name=name)
    by_name = name == offer.get("recommended") and offer.get("reason") == "name"
    return texts.FOLDER_BY_NAME.format(name=name) if by_name else name
