"""The rows of «Resumen», and what a person has still to do before a first document can leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import streamlit as st

from cgcore.company.company import Company
from cgcore.identity.actor import Actor
from cgcore.mail.watch import Trouble, trouble_text
from cgcore.runs import Run
from cgcore.series.series import Finding
from cgcore.workbench import Workbench
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState
from cgcore.workbench.verdicts import verdict_texts
from pages.ui.cells import CellState, draw_badge
from pages.ui.drafts import moment_of
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.panels import AdminPanel, draw_way, parameters
from pages.ui.texts import common
from pages.ui.texts import drafts as draft_texts
from pages.ui.texts import oauth as oauth_texts
from pages.ui.texts import overview as texts
from pages.ui.texts import send_document as send_texts

__all__ = ["COMPANY", "STEPS", "draw_company", "draw_ending_secrets", "draw_line", "missing_steps"]

COMPANY = "company"
STEPS = 4  # company, mail account, templates, series; a key is for who needs one
_SECTIONS = {
    SectionName.MAIL_ACCOUNT: ("mail_account.py", ":material/mail:"),
    SectionName.TEMPLATES: ("sending_defaults.py", ":material/edit_note:"),
    SectionName.SERIES: ("series_defaults.py", ":material/format_list_numbered:"),
    SectionName.API_KEY: ("api_key.py", ":material/key:"),
    SectionName.OUTBOX: ("send_document.py", ":material/send:"),
}
_COMPANY_ICON = ":material/apartment:"
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
        SectionName.OUTBOX: common.PAGE_SEND,
    }


def draw_ending_secrets(workbench: Workbench, actor: Actor) -> None:
    """Tell an administrator of the secrets of providers that end: when one has, every mailbox by it fails at once."""
    for client, days in workbench.oauth.clients.list_ending(actor):
        told = oauth_texts.SECRET_ENDS_SOON if days >= 0 else oauth_texts.SECRET_ENDED
        sentence = told.format(provider=escape(client.label), date=client.secret_ends)
        with st.container(border=True, key=f"overview_secret_{client.provider}", gap="xxsmall"):
            (st.warning if days >= 0 else st.error)(sentence, icon=":material/event_busy:")
            draw_way(AdminPanel.SIGN_IN, oauth_texts.GO_TO_ADMINISTRATION, provider=client.provider.value)


def draw_company(company: Company, *, may_edit: bool, is_next: bool) -> None:
    """Draw the row of the company, which only administrators change."""
    with st.container(border=True, key="overview_company"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            if may_edit:
                draw_way(AdminPanel.COMPANY, f"**{texts.COMPANY}**", icon=_COMPANY_ICON)
            else:
                st.markdown(f"{_COMPANY_ICON} **{texts.COMPANY}**")
            if company.name:
                draw_badge(CellState.PASSED)
            else:
                st.badge(texts.NOT_SET_UP, icon=CellState.IDLE.icon, color="gray")
        missing = texts.COMPANY_EMPTY if may_edit else texts.COMPANY_EMPTY_ASK
        st.caption(escape(" · ".join(filter(None, (company.name, company.tax_id)))) or missing)
        _offer(COMPANY, is_next=is_next)


def draw_line(actor: Actor, line: OverviewLine, drafts: Mapping[str, datetime], *, is_next: bool) -> None:
    """Draw the row of a section: link, state, fact, unsaved draft, and the button where it is the next step."""
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
        values = {name: value if isinstance(value, date) else escape(str(value)) for name, value in line.values.items()}
        facts, own = texts["FACTS"], f"{line.code}_admin"
        fact = facts[own if actor.is_admin and own in facts else line.code].format(
            sentence=escape(_sentence(line.about)), **values
        )
        st.caption(f"{fact.removesuffix('.')} · {when(line.at)}" if line.at else fact)
        if typed := drafts.get(page.removesuffix(".py")):
            st.markdown(f":small[:violet[:material/edit: {draft_texts.OVERVIEW_LINE.format(moment=moment_of(typed))}]]")
        if line.section is SectionName.OUTBOX:
            _draw_way_to_sent()
        _offer(line.section, is_next=is_next)


def _draw_way_to_sent() -> None:
    """Offer the list itself: the page opens with the form of the next document."""
    if st.button(texts.SEE_SENT, type="tertiary", icon=":material/arrow_forward:", key="overview_sent"):
        st.session_state["send_document_tab"] = send_texts.TAB_SENT
        st.switch_page(_SECTIONS[SectionName.OUTBOX][0])


def _offer(step: str, *, is_next: bool) -> None:
    if not is_next:
        return
    label = texts["NEXT"][step]
    if st.button(label, type="primary", icon=":material/arrow_forward:", key="overview_next"):
        if step == COMPANY:
            st.switch_page("administration.py", query_params=parameters(AdminPanel.COMPANY))
        st.switch_page(_SECTIONS[SectionName(step)][0])


def missing_steps(actor: Actor, company: Company, lines: Sequence[OverviewLine]) -> list[str]:
    """Return what this person has still to do before a first document can leave, in the order of the page."""
    # A certificate that ends some day soon keeps nothing from leaving today, nor does what else the watch warns of.
    works = {"mail_certificate_ends": SectionState.OK, "mail_watch_warned": SectionState.OK}
    states = {line.section: works.get(line.code, line.state) for line in lines}
    missing = [COMPANY] if actor.is_admin and not company.name else []
    if states[SectionName.MAIL_ACCOUNT] not in (SectionState.OK, SectionState.RUNNING):
        missing.append(SectionName.MAIL_ACCOUNT)
    if states[SectionName.TEMPLATES] is SectionState.ERROR:
        missing.append(SectionName.TEMPLATES)
    # Only who administers makes series; a warning stops nothing.
    if states[SectionName.SERIES] is SectionState.ERROR or (
        actor.is_admin and states[SectionName.SERIES] is SectionState.IDLE
    ):
        missing.append(SectionName.SERIES)
    return missing


def _sentence(about: Run | Finding | Trouble | None) -> str:
    if isinstance(about, Trouble):
        return trouble_text(about)
    if isinstance(about, Finding):
        return about.message
    return verdict_texts(about.cell, about.verdict)[0] if about and about.verdict else ""
