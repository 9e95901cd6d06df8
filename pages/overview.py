"""«Resumen»: how each section stands, and one button that proves the mail account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from cgcore.errors import InvalidInput
from cgcore.runs import Run
from cgcore.series.series import Finding
from cgcore.workbench import get_workbench
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellState, draw_badge
from pages.ui.drafts import moment_of
from pages.ui.heads import page_title
from pages.ui.identity import require_actor
from pages.ui.moments import when
from pages.ui.problems import draw_problems
from pages.ui.runs import draw_step, escape, follow
from pages.ui.texts import common
from pages.ui.texts import drafts as draft_texts
from pages.ui.texts import overview as texts

_SECTIONS = {
    SectionName.MAIL_ACCOUNT: ("mail_account.py", ":material/mail:"),
    SectionName.TEMPLATES: ("sending_defaults.py", ":material/edit_note:"),
    SectionName.SERIES: ("series_defaults.py", ":material/format_list_numbered:"),
    SectionName.API_KEY: ("api_key.py", ":material/key:"),
}
_STATES = {
    SectionState.UNTESTED: CellState.IDLE,
    SectionState.OK: CellState.PASSED,
    SectionState.ERROR: CellState.FAILED,
    SectionState.RUNNING: CellState.RUNNING,
}


def _section_names() -> dict[SectionName, str]:
    return {
        SectionName.MAIL_ACCOUNT: common.PAGE_MAIL_ACCOUNT,
        SectionName.TEMPLATES: common.PAGE_SENDING,
        SectionName.SERIES: common.PAGE_SERIES,
        SectionName.API_KEY: common.PAGE_API_KEY,
    }


def _draw_line(line: OverviewLine, drafts: Mapping[str, datetime], *, admin: bool) -> None:
    page, icon = _SECTIONS[line.section]
    label = _section_names()[line.section]
    with st.container(border=True, key=f"overview_{line.section}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.page_link(page, label=f"**{label}**", icon=icon)
            if line.state is SectionState.WARNING:
                st.badge(texts.ATTENTION, icon=":material/warning:", color="orange")
            elif line.state is SectionState.IDLE:
                st.badge(texts.NOT_SET_UP, icon=CellState.IDLE.icon, color="gray")
            else:
                draw_badge(_STATES[line.state])
        values = {name: escape(str(value)) for name, value in line.values.items()}
        # Nobody is told to ask somebody else for what they can do.
        code = "series_empty_admin" if admin and line.code == "series_empty" else line.code
        fact = texts["FACTS"][code].format(sentence=escape(_sentence(line.about)), **values)
        st.caption(f"{fact.removesuffix('.')} · {when(line.at)}" if line.at else fact)
        if typed := drafts.get(page.removesuffix(".py")):
            st.caption(f":violet[:material/edit: {draft_texts.OVERVIEW_LINE.format(moment=moment_of(typed))}]")


def _sentence(about: Run | Finding | None) -> str:
    if isinstance(about, Finding):
        return about.message
    return verdict_texts(about.cell, about.verdict)[0] if about and about.verdict else ""


actor = require_actor()
workbench = get_workbench()

page_title(texts.TITLE, texts.SUBTITLE.format(name=escape(actor.full_name or actor.username)))
with st.container(horizontal=True, vertical_alignment="center"):
    clicked = st.button(texts.RUN_ALL, type="primary", icon=":material/play_arrow:", key="overview_run_all")
    st.caption(texts.RUN_ALL_EXPLANATION)
lines = st.empty()
with lines.container():
    drafts = workbench.drafts.marks(actor)
    for line in workbench.overview.lines(actor):
        _draw_line(line, drafts, admin=actor.is_admin)
if clicked:
    try:
        runs = workbench.mail_runs.start_all(actor)
    except InvalidInput as refused:
        st.warning(texts.RUN_ALL_INCOMPLETE, icon=":material/warning:")
        for problem in refused.problems:
            draw_problems([problem], problem.field)
        st.page_link("mail_account.py", label=texts.GO_TO_ACCOUNT, icon=":material/mail:")
    else:
        places = {}
        for run, column in zip(runs, st.columns(len(runs), gap="medium"), strict=True):
            column.markdown(f"**{texts['LEGS'][run.cell]}**")
            places[run.id] = (column.container(gap="xxsmall"), 0)
        with st.spinner(CellState.RUNNING.label, show_time=True):
            for run in follow(workbench, actor, *runs):
                place, drawn = places[run.id]
                with place:
                    for step in run.steps[drawn:]:
                        draw_step(step)
                places[run.id] = (place, len(run.steps))
        st.rerun()
