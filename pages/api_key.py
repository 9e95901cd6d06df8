"""«API Key»: the keys of other applications, made with the password, shown once, watched, ended."""

from __future__ import annotations

import streamlit as st

from cgcore.workbench import get_workbench
from pages.ui.heads import page_title
from pages.ui.identity import require_actor
from pages.ui.keys.cells import draw_key_list, draw_snippets, draw_usage_cell
from pages.ui.keys.check_cell import draw_check_cell
from pages.ui.keys.dialogs import ask_issue, ask_pairing, held_key, held_pairing, show_key, show_pairing
from pages.ui.keys.view import KeysPage
from pages.ui.texts import api_key as texts

page = KeysPage(get_workbench(), require_actor())

page_title(texts.TITLE, texts.SUBTITLE if page.keys else texts.FIRST_TIME)
with st.container(horizontal=True):
    issue = st.button(texts.ISSUE, type="primary", key="api_key_issue", icon=":material/key:")
    pair = bool(page.keys) and st.button(texts.PAIR, key="api_key_pair", icon=":material/qr_code_2:")

if page.keys:
    draw_key_list(page)
    draw_usage_cell(page)
    draw_check_cell(page)
    draw_snippets(page)

# One dialog a run. A held key comes first: it is seen now or never.
if held_key() is not None:
    show_key(page)
elif held_pairing() is not None:
    show_pairing(page)
elif issue:
    ask_issue(page)
elif pair:
    ask_pairing(page)
