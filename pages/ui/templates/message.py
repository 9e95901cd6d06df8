"""The preview of a type: the message for a sample document, ways to look at it, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from cgcore.documents import DocumentType
from cgcore.errors import InvalidInput
from cgcore.templates.checks import Check, Code, Field
from cgcore.templates.fixes import place_of
from cgcore.templates.variables import Sample, list_samples
from cgcore.workbench.template_mail import Preview
from pages.ui.cells import CellState
from pages.ui.editor import await_last_keys
from pages.ui.files import draw_download
from pages.ui.markdown import escape
from pages.ui.panels import AdminPanel, draw_way
from pages.ui.preview import View, draw_inbox_row, draw_message_view, parse_message
from pages.ui.runs import announce_sent, follow_run
from pages.ui.templates.drafts import PAGE
from pages.ui.templates.view import SendingPage
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_message"]

_LIMIT = 102 * 1024
_DUE = f"{PAGE}_send_due"
_DUE_S = 5.0


def draw_message(page: SendingPage, kind: DocumentType) -> tuple[Check, ...]:
    """Draw the message of the draft and return the checks of its rendering."""
    view = (
        st.pills(
            texts.VIEW,
            list(View),
            format_func=lambda view: view.label,
            default=View.DESKTOP,
            key=f"{kind}_view",
            required=True,
            wrap=True,
        )
        or View.DESKTOP
    )
    samples = list_samples()
    sample = st.selectbox(texts.SAMPLE, samples, format_func=lambda entry: entry.label, key=f"{kind}_sample")
    preview = page.workbench.template_mail.preview(page.actor, kind, page.source(kind), sample.values)
    message = parse_message(preview.raw)
    faults = _faults(page.source(kind).subject, preview.rendered.checks)
    draw_inbox_row(message, whole=view is not View.PHONE, faults=faults)
    if not preview.sender_known:
        st.caption(f":material/info: {texts.UNKNOWN_SENDER}")
    for name in preview.invented:
        st.caption(f":material/info: {texts['INVENTED'][name]}")
    draw_message_view(message, preview.raw, view)
    if view is View.DARK:
        st.caption(texts.DARK_NOTE)
    _draw_meter(preview)
    _draw_empty_values(preview)
    _draw_buttons(page, kind, sample, preview)
    return preview.rendered.checks


def _faults(subject: str, checks: Sequence[Check]) -> set[str]:
    """Return what of the subject is no variable and is meant to be one, as it is written."""
    own = [check for check in checks if check.field is Field.SUBJECT and check.blocks]
    places = (place_of(subject, check) for check in own if check.variable)
    return {place[1] for place in places if place and place[1]}


def _draw_meter(preview: Preview) -> None:
    size = len(preview.rendered.html.encode())
    names = [part.get_filename() for part in preview.message.iter_attachments()]
    facts = [
        texts.SIZE.format(size=max(1, round(size / 1024))),
        texts.SIZE_TEXT,
        texts.SIZE_IMAGES.format(count=len(preview.rendered.images)),
        *(texts.SIZE_ATTACHMENT.format(name=escape(str(name))) for name in names),
    ]
    st.progress(min(1.0, size / _LIMIT), text=" · ".join(facts))


def _draw_empty_values(preview: Preview) -> None:
    empty = [check.variable for check in preview.rendered.checks if check.code is Code.EMPTY_VALUE]
    if empty:
        names = [f"`{{{name}}}`" for name in dict.fromkeys(empty)]
        st.caption(f":material/info: {texts.SAMPLE_WARNINGS.format(names=names)}")


def _draw_buttons(page: SendingPage, kind: DocumentType, sample: Sample, preview: Preview) -> None:
    with st.container(horizontal=True, gap="small", key=f"{kind}_message_actions"):
        asked = st.button(texts.SEND_TEST, icon=":material/send:", key=f"{kind}_send_test", help=texts.SENT_TO_YOU)
        draw_download(
            texts.DOWNLOAD,
            lambda _: preview.raw,
            file_name=f"{kind}.eml",
            mime="message/rfc822",
            key=f"{kind}_download",
        )
    if asked:
        # Noted before the wait: what arrives meanwhile may end this run at its next line.
        st.session_state[_DUE] = kind, time.monotonic()
        with st.spinner(CellState.RUNNING.label):
            await_last_keys()
        st.rerun()
    if _is_due(kind):
        _send(page, kind, sample)


def _is_due(kind: DocumentType) -> bool:
    due, since = st.session_state.get(_DUE, (None, 0.0))
    if due is not kind:
        return False
    del st.session_state[_DUE]
    # Whoever has left the page meanwhile is not surprised by a mail when they come back.
    return time.monotonic() - since < _DUE_S


def _send(page: SendingPage, kind: DocumentType, sample: Sample) -> None:
    try:
        run = page.workbench.template_mail.send_test(page.actor, kind, page.source(kind), sample.values)
    except InvalidInput as refused:
        reasons = "\n".join(f"- {escape(problem.message)}" for problem in refused.problems)
        st.error(reasons, title=texts.REFUSED, icon=":material/error:")
        _link_cures(page, {problem.field for problem in refused.problems})
        return
    announce_sent(follow_run(page.workbench, page.actor, run))
    st.rerun()


def _link_cures(page: SendingPage, fields: set[str]) -> None:
    if "empresa" in fields and page.actor.is_admin:
        draw_way(AdminPanel.COMPANY, texts["WHERE_NAMED"]["empresa"])
    if "usuario" in fields:
        st.page_link("profile.py", label=texts["WHERE_NAMED"]["usuario"], icon=":material/arrow_forward:")
