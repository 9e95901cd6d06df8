"""The way out of the form: the preview, «Enviar», and the message that was made, until the next document begins."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import streamlit as st

from cgcore.errors import InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.outbox.message import Message
from cgcore.outbox.refused import OutboxRefused
from cgcore.outbox.states import CopyState, Kind, State
from cgcore.texts import join
from cgcore.workbench import Workbench
from cgcore.workbench.outbox.compose import Composed, request_hash
from cgcore.workbench.outbox.describe import refusal_text
from pages.ui.identity import dialog, while_logged_in
from pages.ui.markdown import escape
from pages.ui.moments import seconds_until, when
from pages.ui.outbox.draft import PAGE, DocumentDraft, DocumentFields
from pages.ui.outbox.form import DocumentForm, tells_coming
from pages.ui.outbox.message import change, draw_message
from pages.ui.outbox.pace import draw_pace
from pages.ui.outbox.saved import draw_keep
from pages.ui.preview import View, draw_inbox_row, draw_message_view, parse_message
from pages.ui.tab import is_fragment_run
from pages.ui.texts import common
from pages.ui.texts import send_document as texts
from pages.ui.texts import sending_defaults as view_texts

__all__ = ["draw_handed", "draw_missing_account", "draw_preview", "draw_sending"]

_SOURCE_AT_MOST = 60_000
_SOON_S = 120
_NAMED = 5
_MOVING = frozenset({State.QUEUED, State.CLAIMED, State.IN_FLIGHT})


def draw_missing_account() -> None:
    """Say that there is no account to send with, and where it is set up."""
    st.info(refusal_text("account_missing"), icon=":material/mail:")
    st.page_link("mail_account.py", label=texts.GO_TO_ACCOUNT, icon=":material/arrow_forward:")


def draw_sending(workbench: Workbench, actor: Actor, fields: DocumentFields, form: DocumentForm) -> None:
    """Draw «Vista previa» and the message of the form; «Enviar» sends only what was seen."""
    draft = fields.draft
    row = st.container(horizontal=True, vertical_alignment="center", key=f"{PAGE}_actions")
    aside = st.container(horizontal=True, vertical_alignment="center", key=f"{PAGE}_aside")
    with row:
        kind = "secondary" if draft.is_shown else "primary"
        st.button(
            texts.PREVIEW, type=kind, icon=":material/visibility:", key=f"{PAGE}_preview", on_click=_show, args=(draft,)
        )
    draw_keep(workbench, actor, fields, form, aside)
    with aside:
        if st.button(texts.MARK_SENT, type="tertiary", icon=":material/done_all:", key=f"{PAGE}_note"):
            _ask_to_note(workbench, actor, fields, form)
    if not draft.is_shown:
        row.caption(texts.PREVIEW_FIRST)
        return
    composed = _compose(workbench, actor, form)
    blocked = composed is None or bool(composed.rendered.errors)
    again = blocked or _ask_again(workbench, actor, draft, form)
    with row:
        off = blocked or not again
        asked = st.button(texts.SEND, type="primary", icon=":material/send:", key=f"{PAGE}_send", disabled=off)
    seen, draft.seen = draft.seen, "" if composed is None else request_hash(form.request)
    if asked and draft.seen != seen:
        st.warning(texts.CHANGED, icon=":material/sync_problem:")
    elif asked and again and not tells_coming():
        _send(workbench, actor, fields, form)
    if blocked:
        st.warning(texts.TO_MEND, icon=":material/error:")
    if composed is not None:
        if empty := form.name_empty(composed.rendered.checks):
            st.warning(texts.GOES_WITHOUT.format(fields=join(empty)), icon=":material/warning:")
        draw_pace(workbench, actor, [len(composed.recipients)])
        draw_preview(composed, f"{PAGE}_view")


def _ask_again(workbench: Workbench, actor: Actor, draft: DocumentDraft, form: DocumentForm) -> bool:
    """Return whether the document may go: one that was handed in already, here or in another tab, only once it is
    ticked."""
    before = workbench.batches.find_before(actor, form.request)
    if before is None:
        return True
    told = texts.SENT_BEFORE if before.state is State.SENT else texts.HANDED_BEFORE
    known = told.format(moment=when(before.moment), addresses=join(before.addresses))
    st.warning(escape(known), icon=":material/content_copy:")
    return st.checkbox(texts.RESEND_CONFIRM, key=f"{PAGE}_again-{draft.round}-{before.moment}")


def _show(draft: DocumentDraft) -> None:
    draft.show()


def _compose(workbench: Workbench, actor: Actor, form: DocumentForm) -> Composed | None:
    try:
        composed = workbench.outbox.preview(actor, form.request)
    except InvalidInput as refused:
        form.tell(refused.problems)
    except OutboxRefused as refused:
        _tell_refusal(refused)
    else:
        form.tell_checks(composed.rendered.checks)
        return composed
    return None


def _tell_refusal(refused: OutboxRefused) -> None:
    if refused.code == "account_missing":
        draw_missing_account()
    else:
        st.error(refusal_text(refused.code), icon=":material/error:")


def _send(workbench: Workbench, actor: Actor, fields: DocumentFields, form: DocumentForm) -> None:
    try:
        message, _ = workbench.outbox.send(actor, form.request, fields.draft.key)
    except InvalidInput as refused:
        form.tell(refused.problems)
        st.error(texts.TO_MEND, icon=":material/error:")
    except OutboxRefused as refused:
        _tell_refusal(refused)
    else:
        _finish(workbench, actor, fields, message.id)


@dialog(lambda: texts.MARK_SENT)
@while_logged_in
def _ask_to_note(workbench: Workbench, actor: Actor, fields: DocumentFields, form: DocumentForm) -> None:
    """Say that no mail leaves, then note that the document went another way."""
    st.markdown(texts.MARK_EXPLAINED)
    place = st.container(gap="xxsmall")
    with st.container(horizontal=True):
        noted = st.button(texts.MARK_SENT, type="primary", icon=":material/done_all:", key=f"{PAGE}_note_confirm")
        if st.button(common.CANCEL, key=f"{PAGE}_note_cancel"):
            st.rerun()
    if not noted:
        return
    try:
        message = workbench.by_hand.note_sent(actor, form.request, fields.draft.key)
    except InvalidInput as refused:
        with place:
            for problem in refused.problems:
                st.markdown(
                    f":red[:material/error: {texts['NOTED_FIELDS'].get(problem.field, '')} {escape(problem.message)}]"
                )
    except OutboxRefused as refused:
        with place:
            _tell_refusal(refused)
    else:
        _finish(workbench, actor, fields, message.id)


def _finish(workbench: Workbench, actor: Actor, fields: DocumentFields, message: str) -> None:
    """Show the message that was made of the document, which is no draft any more."""
    with suppress(NotFound):
        workbench.saved.delete(actor, fields.saved)
    fields.draft.hand(message, fields.saved)
    st.rerun()


def draw_preview(composed: Composed, key: str) -> None:
    """Draw a message as it will go; ``key`` is that of the choice of how."""
    names = join(
        texts.IS_BCC.format(address=each.address) if each.kind is Kind.BCC else each.address
        for each in composed.recipients
    )
    st.caption(escape(texts.FROM_TO.format(sender=composed.sender, recipients=names)))
    view = st.pills(
        view_texts.VIEW,
        list(View),
        format_func=lambda view: view.label,
        default=View.DESKTOP,
        key=key,
        required=True,
        wrap=True,
    )
    raw = composed.message.as_bytes()
    message = parse_message(raw)
    draw_inbox_row(message, whole=view is not View.PHONE)
    if composed.files:
        files = [texts.ARRIVES.format(name=name, size=size) for name, size in composed.files[:_NAMED]]
        more = len(composed.files) - _NAMED
        named = join([*files, *([texts.AND_MORE.format(count=more)] if more > 0 else [])])
        st.caption(f":material/attach_file: {escape(named)}")
    # The source is that of the bytes that go, as far as it is shown: files may be large.
    draw_message_view(message, _source(composed) if view is View.SOURCE else raw, view or View.DESKTOP)


def _source(composed: Composed) -> bytes:
    pieces: list[bytes] = []
    whole = (piece for part in composed.parts for piece in part())
    for piece in whole:
        pieces.append(piece)
        if sum(map(len, pieces)) > _SOURCE_AT_MOST:
            break
    return b"".join(pieces)


def draw_handed(workbench: Workbench, actor: Actor, fields: DocumentFields) -> None:
    """Draw the message that was made of the document: how long it can be undone, then what became of it."""
    draft = fields.draft
    message = _find(workbench, actor, draft)
    if message is None:
        with suppress(NotFound):
            workbench.saved.take_back(actor, draft.discarded)
        draft.take_back()
        st.rerun()
    if _is_moving(workbench, message):
        _draw_live(workbench, actor, draft)
    else:
        _draw_handed(workbench, actor, message)
    if st.button(texts.ANOTHER, icon=":material/add:", key=f"{PAGE}_another"):
        fields.begin_another()
        st.rerun()


@st.fragment(run_every=timedelta(seconds=1))
@while_logged_in
def _draw_live(workbench: Workbench, actor: Actor, draft: DocumentDraft) -> None:
    """Follow the message; the page is run again when there is no more to follow."""
    message = _find(workbench, actor, draft)
    if is_fragment_run() and (message is None or not _is_moving(workbench, message)):
        st.rerun()
    if message is not None:
        _draw_handed(workbench, actor, message)


def _find(workbench: Workbench, actor: Actor, draft: DocumentDraft) -> Message | None:
    """Return the message, None where it was undone."""
    try:
        message = workbench.outbox.get(actor, draft.handed)
    except NotFound:
        return None
    return None if message.state is State.CANCELLED else message


def _is_moving(workbench: Workbench, message: Message) -> bool:
    soon = message.state in _MOVING and seconds_until(message.due) < _SOON_S
    # A copy that was tried in vain is tried again in minutes or hours.
    filing = message.copy_state is CopyState.PENDING and not message.copy_key
    return workbench.settings.outbox == "on" and (soon or filing)


def _draw_handed(workbench: Workbench, actor: Actor, message: Message) -> None:
    left = seconds_until(message.due)
    if message.state is not State.QUEUED or message.tries or not left:
        draw_message(workbench, actor, message)
        return
    with st.container(border=True, key=f"cell_{PAGE}_undo"):
        st.markdown(f"**{texts.LEAVES_IN.format(count=left)}**")
        st.progress(min(1.0, left / max(1, workbench.outbox.preferences.get(actor).undo_s)))
        if workbench.settings.outbox == "off":
            st.caption(f":material/info: {texts.SWITCHED_OFF}")
        with st.container(horizontal=True, key=f"{PAGE}_undo_row"):
            if st.button(texts.UNDO, icon=":material/undo:", key=f"{PAGE}_undo"):
                change(workbench.outbox.cancel, actor, message.id, done=texts.UNDONE)
            if st.button(texts.SEND_NOW, icon=":material/send:", type="tertiary", key=f"{PAGE}_now"):
                change(workbench.outbox.send_now, actor, message.id)
