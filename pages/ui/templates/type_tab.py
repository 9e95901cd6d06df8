"""One document type: what is written at the left, the message that it makes at the right."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cgcore.company.company import Logo
from cgcore.documents import DocumentType, info, types_with_template
from cgcore.templates.checks import Check, Code, Field
from cgcore.templates.fixes import (
    append_image,
    append_variable,
    default_alt,
    fix_html,
    fix_subject,
    is_fixable,
    place_of,
)
from cgcore.templates.stored import default_signature, default_source
from cgcore.templates.variables import Variable, list_variables
from pages.ui.editor import Picture, rich_text
from pages.ui.identity import while_logged_in
from pages.ui.markdown import escape
from pages.ui.panels import AdminPanel, draw_way
from pages.ui.tab import is_held
from pages.ui.templates.drafts import Drafts, FieldDraft, readable
from pages.ui.templates.history import ask_history
from pages.ui.templates.message import draw_message
from pages.ui.templates.view import SendingPage, is_left, keep_up
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_actions", "draw_checks", "draw_palette", "draw_signature_actions", "draw_type"]


def draw_actions(page: SendingPage, kind: DocumentType) -> None:
    """Draw what can be done to the draft of a type."""
    subject, body = page.drafts.of(kind)
    default = default_source(kind)
    with st.container(horizontal=True, gap="small", key=f"{kind}_actions"):
        _restore(texts.RESTORE_SUBJECT, subject.name, subject.clean != default.subject, subject.put, default.subject)
        _restore(texts.RESTORE_BODY, body.name, body.clean != default.body, body.put, default.body)
        with st.popover(texts.COPY_FROM, icon=":material/content_copy:", key=f"{kind}_copy_box"):
            _draw_copy(page, kind)
        with st.popover(texts.APPLY_ALL, icon=":material/done_all:", key=f"{kind}_apply_box"):
            st.caption(texts.APPLY_NOTE)
            st.button(texts.APPLY, key=f"{kind}_apply", on_click=_apply_to_all, args=(page, kind))
        if st.button(texts.HISTORY, icon=":material/history:", key=f"{kind}_history"):
            ask_history(page, kind)
        _draw_discard(page, kind)


def draw_signature_actions(page: SendingPage) -> None:
    """Draw what can be done to the draft of the signature."""
    field = page.drafts.signature
    default = default_signature()
    with st.container(horizontal=True, gap="small", key="signature_actions"):
        _restore(texts.RESTORE_SIGNATURE, field.name, field.clean != default, field.put, default)
        if st.button(texts.HISTORY, icon=":material/history:", key="signature_history"):
            ask_history(page, None)
        _draw_discard(page, None)


def _restore(label: str, name: str, differs: bool, put, text: str) -> None:
    st.button(
        label,
        icon=":material/restart_alt:",
        key=f"{name}_restore",
        disabled=not differs,
        on_click=put,
        args=(text,),
    )


def _draw_copy(page: SendingPage, kind: DocumentType) -> None:
    others = [entry.code for entry in types_with_template() if entry.code is not kind]
    key = f"{kind}_copy_from"
    chosen = st.selectbox(texts.COPY_FROM_TYPE, others, format_func=lambda code: info(code).tab, key=key)
    st.caption(texts.COPY_NOTE)
    st.button(texts.COPY, key=f"{kind}_copy", on_click=_copy, args=(page, chosen, kind))


def _copy(page: SendingPage, source: DocumentType, target: DocumentType) -> None:
    page.drafts.collect()
    for theirs, ours in zip(page.drafts.of(source), page.drafts.of(target), strict=True):
        ours.put(theirs.value)


def _apply_to_all(page: SendingPage, source: DocumentType) -> None:
    for entry in types_with_template():
        if entry.code is not source:
            _copy(page, source, entry.code)


def _draw_discard(page: SendingPage, kind: DocumentType | None) -> None:
    name = kind or "signature"
    if page.drafts.is_changed(kind):
        st.button(texts.DISCARD, icon=":material/undo:", key=f"{name}_discard", on_click=_discard, args=(page, kind))


def _discard(page: SendingPage, kind: DocumentType | None) -> None:
    for field in page.drafts.of(kind):
        field.put(field.stored)


_SHOWN = 6
# Said with the preview: what is empty depends on the sample document, not on the template.
_OF_THE_SAMPLE = {Code.EMPTY_VALUE}
_TAKEN_OUT = {Code.VARIABLE_NOT_FOR_TYPE, Code.UNSAFE_LINK, Code.REMOTE_IMAGE, Code.UNREADABLE_IMAGE}


def draw_checks(checks: Sequence[Check], field: FieldDraft, where: Field) -> None:
    """Draw the checks of one field, in a place that is there without checks too: the editor below must not move."""
    own = [check for check in checks if check.field is where and check.code not in _OF_THE_SAMPLE]
    with st.container(gap="xxsmall"):
        for number, check in enumerate(own[:_SHOWN]):
            _draw_check(check, field, number)
        if len(own) > _SHOWN:
            st.caption(texts.MORE_CHECKS.format(count=len(own) - _SHOWN))


def _draw_check(check: Check, field: FieldDraft, number: int) -> None:
    color, icon = ("red", "error") if check.blocks else ("orange", "warning")
    place = place_of(readable(field.value) if field.is_html else field.value, check)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{field.name}_check_{number}"):
        said = f":{color}[:material/{icon}: {escape(check.message)}]"
        st.markdown(said + (f"  \n:small[{_shown(place, color)}]" if place else ""), width="stretch")
        if is_fixable(check):
            st.button(
                _label(check),
                icon=":material/auto_fix_high:",
                key=f"{field.name}_fix_{number}",
                on_click=_fix,
                args=(field, check),
            )


def _shown(place: tuple[str, str, str], color: str) -> str:
    before, there, after = (escape(part) for part in place)
    return f"{before}:{color}-background[{there}]{after}" if there else before + after


def _label(check: Check) -> str:
    if check.code is Code.MISSING_ALT:
        return texts.FIX_ALT.format(alt=default_alt())
    if check.code in (Code.UNKNOWN_VARIABLE, Code.WRONG_BRACES):
        return texts.FIX_TO.format(name="{" + (check.suggestion or "") + "}")
    cannot_be_reduced = check.code is Code.IMAGE_TOO_LARGE and check.blocks
    return texts.FIX_REMOVE if check.code in _TAKEN_OUT or cannot_be_reduced else texts.FIX


def _fix(field: FieldDraft, check: Check) -> None:
    field.put(fix_html(field.value, check) if field.is_html else fix_subject(field.value, check))


_LOGO_WIDTH = 200  # pixels, as shown: the width of a letterhead's logo in a mail of 600


def draw_palette(page: SendingPage, kind: DocumentType, logo: Picture | None) -> None:
    """Draw the variables, folded away, and the company's logo.

    In the browser a click puts either in at the cursor (cgcore/web/variables.js); else at the end of the body.
    """
    variables = list_variables(kind)
    labels = {variable.name: variable.label for variable in variables}
    key = f"{kind}_palette"
    with st.container(horizontal=True, gap="small"):
        with st.popover(texts.VARIABLES, icon=":material/data_object:", key=f"{key}_box"):
            st.pills(
                texts.INSERT,
                list(labels),
                format_func=labels.__getitem__,
                key=key,
                wrap=True,
                on_change=_insert,
                args=(page.drafts, kind, key),
            )
            st.caption(texts.INSERT_NOTE)
            with st.expander(texts.GLOSSARY, icon=":material/help:", type="compact"):
                st.markdown(_glossary(variables))
        if logo is None:
            _draw_no_logo(page, kind)
            return
        st.button(
            texts.INSERT_LOGO,
            icon=":material/add_photo_alternate:",
            key=logo.button,
            on_click=_insert_logo,
            args=(page.drafts, kind, logo),
        )


def _draw_no_logo(page: SendingPage, kind: DocumentType) -> None:
    """Draw in the place of the button one that says where a logo comes from."""
    with st.popover(texts.INSERT_LOGO, icon=":material/add_photo_alternate:", key=f"{kind}_no_logo"):
        if page.actor.is_admin:
            st.caption(texts.NO_LOGO)
            draw_way(AdminPanel.COMPANY, texts.WHERE_LOGO)
        else:
            st.caption(texts.NO_LOGO_ASK)


def _glossary(variables: Sequence[Variable]) -> str:
    names = (texts.COLUMN_VARIABLE, texts.COLUMN_WRITTEN, texts.COLUMN_SAMPLE, texts.COLUMN_MEANING)
    rows = [names, ("---",) * len(names)]
    rows += [(each.label, f"`{{{each.name}}}`", escape(each.sample), escape(each.help)) for each in variables]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _insert(drafts: Drafts, kind: DocumentType, key: str) -> None:
    name = st.session_state.get(key)
    st.session_state[key] = None
    if name:
        drafts.collect()
        _, body = drafts.of(kind)
        body.put(append_variable(body.value, name))


def _insert_logo(drafts: Drafts, kind: DocumentType, logo: Picture) -> None:
    drafts.collect()
    _, body = drafts.of(kind)
    body.put(append_image(body.value, logo.src, alt=logo.alt, width=logo.width, height=logo.height))


def _logo_picture(kind: DocumentType, logo: Logo | None) -> Picture | None:
    if logo is None:
        return None
    width = min(logo.width, _LOGO_WIDTH)
    height = max(1, round(logo.height * width / logo.width))
    return Picture(f"{kind}_logo", logo.as_data_uri(), default_alt(), width, height)


@st.fragment
@while_logged_in
def draw_type(page: SendingPage, kind: DocumentType) -> None:
    """Draw a type. A fragment: typing in it redraws it alone, and the page where its head has changed."""
    page.drafts.collect()
    page.save_late()
    if is_left(kind):
        # The browser asks once for what is typed here and for the tab that opens upon it, and names this fragment.
        st.rerun()
    subject, body = page.drafts.of(kind)
    left, right = st.columns([5, 6], gap="medium")
    with right:
        # First: whoever types waits for the message, and the editor shows its text already.
        checks = draw_message(page, kind)
    with left:
        badge = st.empty()
        if not is_held(subject.key):
            st.session_state.setdefault(subject.key, subject.value)
        st.text_input(texts.SUBJECT, key=subject.key, value=subject.value, live=True)
        draw_checks(checks, subject, Field.SUBJECT)
        logo = _logo_picture(kind, page.workbench.company.get(page.actor).logo)
        draw_palette(page, kind, logo)
        st.markdown(texts.BODY, help=texts.EDITOR_HELP)
        with st.container(border=True, key=f"{kind}_editor", gap=None):
            rich_text(
                body.seed,
                key=body.key,
                label=texts.BODY_EDITOR,
                placeholder=texts.EDITOR_PLACEHOLDER,
                variables=list_variables(kind),
                palette=f"{kind}_palette",
                subject=f"{subject.name}-",
                picture=logo,
            )
        draw_checks(checks, body, Field.BODY)
        draw_actions(page, kind)
    _draw_state(page, kind, checks, badge)
    keep_up(page)


def _draw_state(page: SendingPage, kind: DocumentType, checks: tuple[Check, ...], place) -> None:
    default = default_source(kind)
    subject, body = page.drafts.of(kind)
    if any(check.blocks for check in checks):
        place.badge(texts.STATE_ERRORS, icon=":material/error:", color="red")
    elif page.drafts.is_changed(kind):
        place.badge(texts.STATE_UNSAVED, icon=":material/edit:", color="violet")
    elif (subject.clean, body.clean) == (default.subject, default.body):
        place.badge(texts.STATE_DEFAULT, icon=":material/radio_button_unchecked:", color="gray")
    else:
        place.badge(texts.STATE_OWN, icon=":material/check_circle:", color="blue")
