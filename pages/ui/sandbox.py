"""The list of the test mailbox and one open message. Nothing of a message is shown but escaped or in a frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from cgcore.texts import write
from cgcore.workbench.sandbox import MessageSummary, ReadMessage, SandboxSection
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.preview import sandboxed_html
from pages.ui.texts import sandbox as texts

__all__ = ["draw_message", "pick_message", "subject_of"]

_FRAME_HEIGHT = 520
_LIST_HEIGHT = 720
_ROWS_IN_SIGHT = 9


def subject_of(message: MessageSummary) -> str:
    """Return the subject, escaped."""
    return escape(message.subject) or texts.NO_SUBJECT


def pick_message(messages: Sequence[MessageSummary], *, key: str) -> int:
    """Draw the list and return the id of the chosen message; the newest where the chosen one is gone."""
    by_id = {message.id: message for message in messages}
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = messages[0].id
    labels = _labels(messages)
    captions = [f"{escape(message.sender) or texts.NO_SENDER} · {when(message.received)}" for message in messages]
    with st.container(height=_LIST_HEIGHT if len(messages) > _ROWS_IN_SIGHT else "content", border=False):
        picked = st.radio(texts.LIST, list(by_id), format_func=labels.__getitem__, captions=captions, key=key)
    return picked or messages[0].id


def _labels(messages: Sequence[MessageSummary]) -> dict[int, str]:
    # Streamlit tells options apart by their labels: of two that read the same only the last could be chosen.
    subjects = {message.id: subject_of(message) for message in messages}
    often = Counter(subjects.values())
    return {
        id: subject if often[subject] == 1 else texts.SAME_SUBJECT.format(subject=subject, number=id)
        for id, subject in subjects.items()
    }


def draw_message(section: SandboxSection, message: ReadMessage, *, key: str) -> None:
    """Draw who, what and when, then the message by its parts."""
    st.header(subject_of(message.summary), anchor=False)
    st.caption("  \n".join(_facts(message)))
    st.download_button(
        texts.DOWNLOAD_ORIGINAL,
        message.raw,
        file_name=texts.FILE_NAME.format(id=message.summary.id),
        mime="message/rfc822",
        icon=":material/download:",
        key=f"{key}_original",
        on_click="ignore",
    )
    attachments = texts.TAB_ATTACHMENTS.format(count=len(message.attachments))
    as_html, as_text, headers, files = st.tabs([texts.TAB_HTML, texts.TAB_TEXT, texts.TAB_HEADERS, attachments])
    with as_html:
        if message.html:
            title = texts.FRAME_TITLE.format(subject=message.summary.subject or texts.NO_SUBJECT)
            with st.container(border=True):
                sandboxed_html(section.build_document(message), _FRAME_HEIGHT, title)
            st.caption(texts.FRAME_NOTE)
        else:
            st.caption(texts.NO_HTML)
    with as_text:
        if message.text.strip():
            st.code(message.text, language=None, wrap_lines=True)
        else:
            st.caption(texts.NO_TEXT)
    with headers:
        st.code("\n".join(f"{name}: {value}" for name, value in message.headers), language=None, wrap_lines=True)
    with files:
        _draw_attachments(message, key)


def _facts(message: ReadMessage) -> list[str]:
    facts = [
        texts.FROM.format(sender=escape(message.summary.sender) or texts.NO_SENDER),
        texts.TO.format(recipients=escape(message.recipients)) if message.recipients else "",
        texts.DELIVERED_TO.format(recipients=[escape(address) for address in message.delivered_to])
        if message.went_elsewhere
        else "",
        texts.RECEIVED.format(moment=when(message.summary.received)),
    ]
    return [fact for fact in facts if fact]


def _draw_attachments(message: ReadMessage, key: str) -> None:
    if not message.attachments:
        st.caption(texts.NO_ATTACHMENTS)
    for number, attachment in enumerate(message.attachments):
        st.download_button(
            f"{escape(attachment.name)} · {write(len(attachment.data), 'bytes')}",
            attachment.data,
            file_name=attachment.name,
            # Never the type that the message claims: a file is saved here, not opened.
            mime="application/octet-stream",
            icon=":material/attach_file:",
            key=f"{key}_attachment_{message.summary.id}_{number}",
            on_click="ignore",
        )
