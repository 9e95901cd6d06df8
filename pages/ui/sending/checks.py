"""What is wrong with a field, said under it, with the click that puts it right."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cgcore.templates.checks import Check, Code, Field
from cgcore.templates.edits import DEFAULT_ALT, fix_html, fix_subject, is_fixable
from pages.ui.results import escape
from pages.ui.sending.drafts import FieldDraft
from pages.ui.texts import sending_defaults as texts

__all__ = ["draw_checks"]

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
    place = "" if check.position is None else f" · {texts.PLACE.format(position=check.position + 1)}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"{field.name}_check_{number}"):
        st.markdown(f":{color}[:material/{icon}: {escape(check.message)}]{place}", width="stretch")
        if is_fixable(check):
            st.button(
                _label(check),
                icon=":material/auto_fix_high:",
                key=f"{field.name}_fix_{number}",
                on_click=_fix,
                args=(field, check),
            )


def _label(check: Check) -> str:
    if check.code is Code.MISSING_ALT:
        return texts.FIX_ALT.format(alt=DEFAULT_ALT)
    if check.code in (Code.UNKNOWN_VARIABLE, Code.WRONG_BRACES):
        return texts.FIX_TO.format(name="{" + (check.suggestion or "") + "}")
    cannot_be_reduced = check.code is Code.IMAGE_TOO_LARGE and check.blocks
    return texts.FIX_REMOVE if check.code in _TAKEN_OUT or cannot_be_reduced else texts.FIX


def _fix(field: FieldDraft, check: Check) -> None:
    field.put(fix_html(field.value, check) if field.is_html else fix_subject(field.value, check))
