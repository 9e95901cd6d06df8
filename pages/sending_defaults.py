"""«Valores por defecto para envío»: subject and body of each document type, one signature, the message they make."""

from __future__ import annotations

import streamlit as st

from cgcore.runs import Cell
from cgcore.templates.checks import Field
from cgcore.templates.variables import list_common_variables
from cgcore.workbench import get_workbench
from pages.ui.cells import cell, state_of
from pages.ui.drafts import draw_draft
from pages.ui.editing import draw_stale, wants_save
from pages.ui.editor import rich_text
from pages.ui.heads import page_title, save_bar
from pages.ui.identity import require_actor
from pages.ui.runs import draw_run, draw_sent, follow_run
from pages.ui.templates.drafts import PAGE, load_drafts
from pages.ui.templates.portable import draw_portable
from pages.ui.templates.type_tab import draw_checks, draw_signature_actions, draw_type
from pages.ui.templates.view import SendingPage, draw_head, draw_tabs
from pages.ui.texts import sending_defaults as texts

OPEN = f"{PAGE}_signature_open"

actor = require_actor()
workbench = get_workbench()
drafts = load_drafts(workbench, actor)

bar = save_bar(PAGE)
page_title(texts.TITLE, texts.SUBTITLE)
page = SendingPage(workbench, actor, drafts, bar, summary=st.empty())
draw_draft(bar.page, bar.notices, workbench, actor)
with bar.notices:
    if wants_save(bar, *drafts.forms.values()):
        page.save()
    else:
        page.save_late()
    page.draw_refusals()
    draw_stale(PAGE, *drafts.forms.values())
draw_head(page)

signature = drafts.signature
kind, tab = draw_tabs()
with tab:
    draw_type(page, kind)

with st.container(border=True, key="cell_signature"):
    # Folded at first: written once, and an editor that nobody uses costs a page as much as all the rest.
    panel = st.expander(
        f"**{texts.SIGNATURE}**", type="compact", icon=":material/ink_pen:", key=OPEN, on_change="rerun"
    )
    st.caption(texts.SIGNATURE_HELP)
    if panel.open:
        with panel:
            rich_text(
                signature.seed,
                key=signature.key,
                label=texts.SIGNATURE_EDITOR,
                placeholder=texts.EDITOR_PLACEHOLDER,
                variables=list_common_variables(),
            )
            draw_signature_actions(page)
    signature.collect()
    draw_checks(page.signature_checks(signature.value), signature, Field.SIGNATURE)

run = workbench.runs.find_last(actor, Cell.TEMPLATE_MAIL)
if run is not None:
    with cell("template_mail", texts.CELL_SENDING, state_of(run)):
        if run.is_running:
            follow_run(workbench, actor, run)
            st.rerun()
        draw_run(run, state_of(run), key=f"{PAGE}_mail", after_verdict=draw_sent)
draw_portable(page)
