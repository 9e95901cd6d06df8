"""What became of a mail that was sent to try: in a cell, in a dialog, in a toast."""

from __future__ import annotations

import streamlit as st

from cgcore.runs import Run
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.results import escape
from pages.ui.texts import common as texts
from pages.ui.toasts import announce

__all__ = ["announce_sent", "copy_sentence", "draw_sent", "is_sent", "sent_sentence"]


def is_sent(run: Run) -> bool:
    """Return whether the server has taken the message."""
    return bool((run.result or {}).get("sent"))


def sent_sentence(run: Run) -> str:
    """Return, as Markdown, that the server has taken the message and for whom, or that it has not."""
    if not is_sent(run):
        return f":red[:material/error: {texts.MAIL_NOT_SENT}]"
    recipient = escape(str((run.result or {})["recipient"]))
    return f":green[:material/check_circle: {texts.MAIL_SENT.format(recipient=recipient)}]"


def copy_sentence(run: Run) -> str:
    """Return where the copy is, or why there is none."""
    result = run.result or {}
    if result.get("copy") == "stored":
        return texts.COPY_STORED.format(folder=escape(str(result["folder"])))
    if result.get("copy") == "failed" and run.verdict is not None:
        return texts.COPY_FAILED.format(reason=escape(verdict_texts(run.cell, run.verdict)[0]))
    return texts.COPY_NONE


def draw_sent(run: Run) -> None:
    """Draw both under the steps; of a message that has not left, the verdict says why."""
    if is_sent(run):
        st.markdown(sent_sentence(run))
        st.caption(copy_sentence(run))


def announce_sent(run: Run) -> None:
    """Say it where the button is, with the cell out of sight."""
    announce(sent_sentence(run), icon=None)
