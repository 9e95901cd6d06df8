"""«Enviar documento»: one document with the text of its template, and the messages that have left or wait."""

from __future__ import annotations

import streamlit as st

from cgcore.workbench import get_workbench
from pages.ui.drafts import draw_draft
from pages.ui.heads import page_title
from pages.ui.identity import require_actor
from pages.ui.outbox.batch import draw_batch, draw_earlier, find_open_batch
from pages.ui.outbox.draft import PAGE, load_document
from pages.ui.outbox.form import DocumentForm
from pages.ui.outbox.many import draw_many, draw_uploads, load_many
from pages.ui.outbox.saved import draw_keep, draw_saved, take_opened
from pages.ui.outbox.sending import draw_handed, draw_missing_account, draw_sending
from pages.ui.outbox.sent import draw_sent
from pages.ui.texts import send_document as texts

actor = require_actor()
workbench = get_workbench()
fields = load_document(workbench, actor)
take_opened(workbench, actor, fields)
draft = fields.draft

page_title(texts.TITLE, texts.SUBTITLE)
draw_draft(PAGE, st.container(), workbench, actor)
one, many, sent, saved = st.tabs(
    [texts.TAB_ONE, texts.TAB_MANY, texts.TAB_SENT, texts.TAB_SAVED], on_change="rerun", key=f"{PAGE}_tab"
)
with one:
    # Also while the other tab is open: files that are not drawn are dropped.
    written, way = st.columns([5, 6], gap="medium")
    with written:
        form = DocumentForm(workbench, actor, fields)
    with way:
        account = workbench.mail_account.get(actor)
        if not one.open:
            # Two messages would be drawn at once, with the same buttons.
            st.empty()
        elif draft.handed:
            draw_handed(workbench, actor, fields)
        elif account.draft.smtp.host and account.can_sign_in:
            draw_sending(workbench, actor, fields, form)
        else:
            draw_missing_account()
            draw_keep(workbench, actor, fields, form, st.container())
with many:
    looked_at = load_many(actor)
    open_batch = find_open_batch(workbench, actor, looked_at) if many.open else None
    if open_batch is not None:
        draw_batch(workbench, actor, looked_at, open_batch)
    else:
        kind, uploads = draw_uploads(looked_at)
        if many.open:
            draw_many(workbench, actor, looked_at, kind, uploads)
            draw_earlier(workbench, actor, looked_at)
if sent.open:
    with sent:
        draw_sent(workbench, actor)
if saved.open:
    with saved:
        draw_saved(workbench, actor, fields)
