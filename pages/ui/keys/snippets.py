"""Cell 4: how other applications call the API, with its real address."""

from __future__ import annotations

import streamlit as st

from pages.ui.cells import cell
from pages.ui.keys.view import KeysPage
from pages.ui.texts import api_key as texts

__all__ = ["draw_snippets"]

_CURL = """curl -H "Authorization: Bearer $CG_API_KEY" {address}/me"""

_PYTHON = """import json, os, urllib.request

request = urllib.request.Request(
    "{address}/me",
    headers={{"Authorization": "Bearer " + os.environ["CG_API_KEY"]}},
)
with urllib.request.urlopen(request) as response:
    print(json.load(response))"""

_JAVASCRIPT = """const response = await fetch("{address}/me", {{
  headers: {{ Authorization: `Bearer ${{process.env.CG_API_KEY}}` }},
}});
console.log(response.status, await response.json());"""


def draw_snippets(page: KeysPage) -> None:
    """Draw one tab a language, and the way to the documentation."""
    with cell("api_key_snippets", texts.CELL_SNIPPETS):
        st.markdown(texts.SNIPPETS_NOTE)
        languages = zip(texts.LANGUAGES, ("bash", "python", "javascript"), (_CURL, _PYTHON, _JAVASCRIPT), strict=True)
        for tab, (_, highlight, snippet) in zip(st.tabs(texts.LANGUAGES), languages, strict=True):
            with tab:
                st.code(snippet.format(address=page.address), language=highlight, wrap_lines=True)
        st.link_button(texts.DOCS, "/api/v1/docs", icon=":material/menu_book:")
