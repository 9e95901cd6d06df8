"""«Administración»: company, series, users, providers to sign in with, and the whole configuration as one file."""

from __future__ import annotations

import streamlit as st

from cgcore.mail.oauth_client import OAuthProvider
from cgcore.workbench import get_workbench
from pages.ui.admin.company_panel import CompanyPanel
from pages.ui.admin.oauth import OAuthPanel
from pages.ui.admin.series import SeriesPanel
from pages.ui.admin.users import UsersPanel
from pages.ui.drafts import draw_draft
from pages.ui.editing import draw_notices, wants_save
from pages.ui.heads import page_title, save_bar
from pages.ui.identity import require_actor
from pages.ui.panels import PANEL, PROVIDER, AdminPanel, take_way
from pages.ui.portable import CopyPanel
from pages.ui.texts import administration as texts

PAGE = "administration"
PANELS = {
    AdminPanel.COMPANY.value: CompanyPanel,
    AdminPanel.SERIES.value: SeriesPanel,
    AdminPanel.USERS.value: UsersPanel,
    AdminPanel.SIGN_IN.value: OAuthPanel,
    AdminPanel.COPY.value: CopyPanel,
}

actor = require_actor()
if not actor.is_admin:
    st.error(texts.ADMINS_ONLY, icon=":material/block:")
    st.stop()
workbench = get_workbench()
take_way({PANEL: PANELS, PROVIDER: {provider.value for provider in OAuthProvider}})
if st.session_state.get(PANEL) not in PANELS:
    st.session_state.pop(PANEL, None)
name: str = st.session_state.setdefault(PANEL, "company")
panel = PANELS[name](workbench, actor)

bar = save_bar(PAGE, disabled=not panel.can_save)
asked = wants_save(bar, *panel.forms)
if (asked or panel.wants_save) and panel.save():
    panel = PANELS[name](workbench, actor)
    panel.reset()
if panel.can_save:
    bar.show(panel.changed())

draw_draft(bar.page, bar.notices, workbench, actor)
draw_notices(bar, *panel.forms)
page_title(texts.TITLE, texts.SUBTITLE)
st.segmented_control(
    texts.PANEL,
    list(PANELS),
    format_func=lambda panel: texts["PANELS"][panel],
    key=PANEL,
    default=name,
    required=True,
    label_visibility="collapsed",
    persist_state="session",
)
panel.draw()
