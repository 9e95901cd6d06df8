"""What a cell offers under its verdict: proven values, a folder to create, a certificate to confirm."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cgcore.mail.account import Security
from cgcore.mail.account_texts import security_label
from cgcore.mail.steps import Leg
from cgcore.runs import Run, Status, deciding_step
from pages.ui.cells import CellState
from pages.ui.mail.certificate import draw_certificate
from pages.ui.mail.view import MailPage
from pages.ui.results import escape
from pages.ui.texts import mail_account as texts

__all__ = ["draw_cure"]

_VALUE_TEXTS = {
    "port": texts.CURE_PORT,
    "host": texts.CURE_HOST,
    "folder": texts.CURE_FOLDER,
    "user": texts.CURE_USER,
}


def draw_cure(page: MailPage, leg: Leg, run: Run, state: CellState) -> None:
    """Draw the good news of a passed run, or the cure of a failed one."""
    if state is CellState.PASSED:
        _draw_success(leg, run)
        return
    step = deciding_step(run.steps)
    if step is None or state is CellState.STALE:
        return
    if step.details.get("certificate"):
        draw_certificate(step.details["certificate"])
    if step.key == "folder_missing" and step.details.get("can_create"):
        label = texts.CREATE_FOLDER.format(folder=escape(str(step.details["can_create"])))
        st.button(label, key=f"mail_account_{leg}_create_folder", on_click=_again, args=(leg,), kwargs={"create": True})
    if step.patch:
        _draw_patch(page, leg, dict(step.patch))


def _draw_patch(page: MailPage, leg: Leg, patch: dict[str, Any]) -> None:
    pinning = "pin" in patch
    if pinning:
        st.caption(texts.PIN_QUESTION)
        label = texts.PIN_CONFIRM
    else:
        values = ", ".join(_value_text(leg, name, value) for name, value in patch.items())
        label = texts.CURE.format(values=escape(values))
    clicked = st.button(
        label,
        key=f"mail_account_{leg}_cure",
        icon=":material/verified_user:" if pinning else ":material/auto_fix_high:",
        type="primary" if page.form.count_changed() == 0 else "secondary",
        on_click=_apply,
        args=(page, leg, patch),
    )
    if not clicked and not pinning:
        st.caption(f":material/check: {texts.CURE_PROVEN}")


def _apply(page: MailPage, leg: Leg, patch: dict[str, Any]) -> None:
    page.form.apply(leg, patch)
    _again(leg)


def _again(leg: Leg, *, create: bool = False) -> None:
    st.session_state[f"mail_account_{leg}_again"] = True
    st.session_state[f"mail_account_{leg}_create"] = create


def _value_text(leg: Leg, name: str, value: Any) -> str:
    if name == "security":
        return texts.CURE_SECURITY.format(value=security_label(leg, Security(value)))
    return _VALUE_TEXTS.get(name, "{value}").format(value=value)


def _draw_success(leg: Leg, run: Run) -> None:
    if leg is Leg.SMTP:
        st.markdown(f":green[:material/check_circle: {texts.PASSED_SMTP}]")
        st.caption(texts.NOT_PROVEN_SMTP)
        return
    copied = any(step.stage == "append" and step.status is Status.OK for step in run.steps)
    text = texts.PASSED_IMAP if copied else texts.PASSED_IMAP_WITHOUT_COPY
    st.markdown(f":green[:material/check_circle: {text}]")
