"""The variables of a type, each a click away from the end of a field, and what they mean."""

from __future__ import annotations

import streamlit as st

from cgcore.company.company import Logo
from cgcore.documents import DocumentType
from cgcore.templates.edits import DEFAULT_ALT, append_image, append_variable
from cgcore.templates.variables import list_variables
from pages.ui.results import escape
from pages.ui.sending.drafts import Drafts
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_palette"]


_LOGO_WIDTH = 200  # pixels, as shown: the width of a letterhead's logo in a mail of 600


def draw_palette(drafts: Drafts, kind: DocumentType, logo: Logo | None) -> None:
    """Draw the variables and the company's logo; a click adds one at the end of its field, and the page says so."""
    variables = list_variables(kind)
    samples = {variable.name: variable.sample for variable in variables}
    key, target = f"{kind}_palette", f"{kind}_palette_target"
    st.pills(
        texts.VARIABLES,
        list(samples),
        format_func=lambda name: "{" + name + "}",
        key=key,
        wrap=True,
        on_change=_insert,
        args=(drafts, kind, key, target),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.session_state.setdefault(target, texts.INTO_BODY)
        st.segmented_control(texts.INSERT_INTO, [texts.INTO_BODY, texts.INTO_SUBJECT], key=target, required=True)
        with st.popover(texts.GLOSSARY, icon=":material/help:"):
            st.table(
                {
                    texts.COLUMN_VARIABLE: ["`{" + variable.name + "}`" for variable in variables],
                    texts.COLUMN_SAMPLE: [escape(variable.sample) for variable in variables],
                    texts.COLUMN_MEANING: [escape(variable.help) for variable in variables],
                },
                border="horizontal",
                hide_index=True,
                alt=texts.GLOSSARY,
            )
        if logo is not None:
            st.button(
                texts.INSERT_LOGO,
                icon=":material/add_photo_alternate:",
                key=f"{kind}_logo",
                on_click=_insert_logo,
                args=(drafts, kind, logo),
            )
    st.caption(texts.INSERT_NOTE)


def _insert(drafts: Drafts, kind: DocumentType, key: str, target: str) -> None:
    name = st.session_state.get(key)
    st.session_state[key] = None
    if not name:
        return
    drafts.collect()
    subject, body = drafts.of(kind)
    if st.session_state.get(target) == texts.INTO_SUBJECT:
        subject.put(f"{subject.value.rstrip()} {{{name}}}".lstrip())
    else:
        body.put(append_variable(body.value, name))


def _insert_logo(drafts: Drafts, kind: DocumentType, logo: Logo) -> None:
    drafts.collect()
    _, body = drafts.of(kind)
    width = min(logo.width, _LOGO_WIDTH)
    height = max(1, round(logo.height * width / logo.width))
    body.put(append_image(body.value, logo.as_data_uri(), alt=DEFAULT_ALT, width=width, height=height))
