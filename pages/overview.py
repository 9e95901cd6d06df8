"""«Resumen»: how each section stands, what the next step is, and one button that proves the mail account."""

from __future__ import annotations

import streamlit as st

from cgcore.errors import InvalidInput
from cgcore.workbench import get_workbench
from pages.ui.cells import CellState
from pages.ui.explainer import draw_explainer
from pages.ui.heads import page_title
from pages.ui.identity import require_actor
from pages.ui.markdown import escape
from pages.ui.overview_rows import COMPANY, STEPS, draw_company, draw_ending_secrets, draw_line, missing_steps
from pages.ui.runs import draw_steps, follow
from pages.ui.texts import mail_account as account_texts
from pages.ui.texts import overview as texts

actor = require_actor()
workbench = get_workbench()

company, sections = workbench.company.get(actor), workbench.overview.lines(actor)
missing = missing_steps(actor, company, sections)
name = escape(actor.full_name or actor.username)
if missing:
    told = texts.MISSING_ONE if len(missing) == 1 else texts.MISSING
    page_title(texts.TITLE, told.format(name=name, count=len(missing), total=STEPS))
    st.progress(1 - len(missing) / STEPS)
else:
    page_title(texts.TITLE, texts.SUBTITLE.format(name=name))
with st.container(horizontal=True, vertical_alignment="center"):
    # One primary button in sight: the next step, while there is one.
    kind = "secondary" if missing else "primary"
    clicked = st.button(texts.RUN_ALL, type=kind, icon=":material/play_arrow:", key="overview_run_all")
    st.caption(texts.RUN_ALL_EXPLANATION)
if actor.is_admin:
    draw_ending_secrets(workbench, actor)
told_here = st.container()
lines = st.empty()
with lines.container():
    drafts = workbench.drafts.marks(actor)
    draw_company(company, may_edit=actor.is_admin, is_next=missing[:1] == [COMPANY])
    for line in sections:
        draw_line(actor, line, drafts, is_next=missing[:1] == [line.section])
draw_explainer("overview")
if clicked:
    try:
        runs = workbench.mail_runs.start_all(actor)
    except InvalidInput as refused:
        labels = account_texts["FIELD_LABELS"]
        named = [f"- **{labels[problem.field]}**: {escape(problem.message)}" for problem in refused.problems]
        with told_here:
            st.warning("\n".join(named), title=texts.RUN_ALL_INCOMPLETE, icon=":material/warning:")
            st.page_link("mail_account.py", label=texts.GO_TO_ACCOUNT, icon=":material/mail:")
    else:
        places = {}
        for run, column in zip(runs, told_here.columns(len(runs), gap="medium"), strict=True):
            column.markdown(f"**{texts['LEGS'][run.cell]}**")
            places[run.id] = column.empty()
        with told_here, st.spinner(CellState.RUNNING.label, show_time=True):
            for run in follow(workbench, actor, *runs):
                with places[run.id]:
                    draw_steps(run.steps)
        st.rerun()
