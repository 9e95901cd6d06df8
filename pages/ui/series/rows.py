"""The rows of «Series por defecto»: per document type the choice, what applies and why, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from cgcore.documents import DOCUMENT_TYPES, DocumentType, DocumentTypeInfo, SeriesGroup, info, type_label
from cgcore.identity.actor import Actor
from cgcore.series.defaults import DefaultRow, Defaults, Reason
from cgcore.workbench import Workbench
from pages.ui.editing import Form
from pages.ui.markdown import escape
from pages.ui.problems import draw_search_problem
from pages.ui.series.target import Target, Whose
from pages.ui.templates.view import type_parameters
from pages.ui.texts import series_defaults as texts

__all__ = ["DefaultsForm", "draw_groups", "draw_search", "preview_subject"]


def preview_subject(workbench: Workbench, actor: Actor, target: Target, row: DefaultRow) -> str:
    """Return the subject of the next document of this type, ``""`` where there is no template, number or person."""
    if not info(row.document_type).has_template or not row.next_number or target.whose is not Whose.ME:
        return ""
    series, _, number = row.next_number.rpartition(" ")
    return workbench.template_mail.preview_subject(actor, row.document_type, {"serie": series, "numero": number})


def draw_search(key: str) -> None:
    """Draw the field that shortens the lists of series, where they do not hold them all."""
    st.text_input(texts.SEARCH, key=key, help=texts.SEARCH_HELP, icon=":material/search:", persist_state="session")
    draw_search_problem(st.session_state.get(key) or "")


def draw_groups(
    workbench: Workbench,
    actor: Actor,
    target: Target,
    form: Form,
    defaults: Defaults,
    *,
    quiet: bool = False,
) -> None:
    """Draw Ventas, Compras and Otros, each type once; ``quiet`` leaves out what the page has said for all of them."""
    for group in SeriesGroup:
        st.header(group.label, anchor=False)
        entries = [entry for entry in DOCUMENT_TYPES if entry.group is group]
        with st.container(border=True, key=f"series_defaults_group_{group.name.lower()}"):
            for entry in entries:
                row = defaults.row(entry.code)
                _draw_row(workbench, actor, target, form, entry, replace(row, findings=()) if quiet else row)


def _draw_row(
    workbench: Workbench, actor: Actor, target: Target, form: Form, entry: DocumentTypeInfo, row: DefaultRow
) -> None:
    choice, effect = st.columns([5, 6], gap="small", vertical_alignment="top")
    with choice:
        names = dict(row.options)
        codes = _options(row)
        st.selectbox(
            entry.series_label,
            codes,
            index=form.index_in(entry.code.value, codes),
            format_func=lambda code: _option_label(code, names, row, target),
            key=form.key(entry.code.value),
            persist_state="session",
        )
    with effect:
        st.markdown(f"{_badge(row)} {_effect(row, target)}".strip())
        subject = preview_subject(workbench, actor, target, row)
        if subject:
            with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
                st.caption(texts.SUBJECT.format(subject=escape(subject)), width="stretch")
                st.page_link(
                    "sending_defaults.py",
                    label=texts.TO_TEMPLATE,
                    icon=":material/edit_note:",
                    query_params=type_parameters(entry.code),
                )
        for finding in row.findings:
            color, icon = ("red", "error") if finding.blocks else ("orange", "warning")
            st.markdown(f":{color}[:material/{icon}: {escape(finding.message)}]")


def _options(row: DefaultRow) -> list[str]:
    codes = ["", *(code for code, _name in row.options)]
    # A stored or chosen series stays in sight, forbidden or outside the search.
    return codes if (row.own or "") in codes else ["", row.own or "", *codes[1:]]


def _option_label(code: str, names: dict[str, str], row: DefaultRow, target: Target) -> str:
    if not code:
        if target.whose is Whose.ALL:
            return texts.NO_DEFAULT_OPTION
        return texts.COMPANY_OPTION.format(code=row.company) if row.company else texts.COMPANY_OPTION_NONE
    if code not in names and code == row.own and row.has_error:
        return texts.FORBIDDEN_OPTION.format(code=code)
    return f"{code} · {names[code]}" if names.get(code) else code


def _effect(row: DefaultRow, target: Target) -> str:
    if row.reason is Reason.NONE:
        # Without a finding the badge says it.
        return f":gray[{texts['REASONS'][Reason.NONE]}]" if row.findings else ""
    reason = texts["REASONS"][row.reason]
    if row.reason is Reason.USER and target.whose is Whose.OTHER:
        reason = texts.REASON_OTHER.format(name=escape(target.name))
    own_company = row.reason is Reason.USER and target.whose is Whose.ALL
    parts = [] if own_company else [texts.EFFECTIVE.format(code=escape(row.effective), reason=reason)]
    if row.next_number:
        parts.append(texts.NEXT_NUMBER.format(number=escape(row.next_number)))
    return " · ".join(parts)


def _badge(row: DefaultRow) -> str:
    if row.has_error:
        return f":red-badge[:material/error: {texts.STATE_ERROR}]"
    if row.findings:
        return f":orange-badge[:material/warning: {texts.STATE_WARNING}]"
    if row.reason is Reason.NONE:
        return f":gray-badge[:material/radio_button_unchecked: {texts.STATE_NONE}]"
    return f":green-badge[:material/check_circle: {texts.STATE_OK}]"


class DefaultsForm(Form):
    """The draft of one target."""

    def __init__(self, page: str, target: Target, stored: Defaults) -> None:
        labels = {entry.code.value: type_label(entry.code) for entry in DOCUMENT_TYPES}
        super().__init__(page, target.form_prefix, _values(stored.as_choices()), stored.version, labels)

    def changed_choices(self) -> dict[DocumentType, str | None]:
        """Return the choices that differ from what is stored; None takes the own choice away."""
        return {DocumentType(name): self.value(name) or None for name in self.changed()}

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return the types whose choice differs from ``stored``."""
        return super().differences(_values(stored))


def _values(choices: Mapping[str, Any]) -> dict[str, str]:
    return {entry.code.value: choices.get(entry.code.value) or "" for entry in DOCUMENT_TYPES}
