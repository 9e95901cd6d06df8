"""What a cell of «Cuenta mail» offers under its verdict: values, a certificate, a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.mail.account import Security
from cgcore.mail.account_texts import security_label
from cgcore.mail.legs import compare_legs, inference_text
from cgcore.mail.steps import Leg, Stage
from cgcore.runs import Cell, Run, Status, deciding_step
from cgcore.texts import join
from pages.ui.cells import CellState
from pages.ui.mail.support import draw_support
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.texts import mail_account as texts

__all__ = ["draw_certificate", "draw_cure", "draw_folder", "draw_pin"]


def draw_certificate(card: Mapping[str, Any], *, offered: str = "") -> None:
    """Draw fingerprint, names, issuer and dates of a certificate; ask about the name of it that is ``offered``."""
    digest = str(card.get("sha256", "")).upper()
    lines = [
        (texts.CERTIFICATE_SHA256, "\n" + "\n".join(_grouped(digest))),
        (texts.CERTIFICATE_NAMES, join(card.get("names", ()))),
        (texts.CERTIFICATE_ISSUER, str(card.get("issuer", ""))),
        (texts.CERTIFICATE_DATES, _dates(card)),
        (texts.CERTIFICATE_CHAIN, str(texts["CHAINS"].get(str(card.get("chain", "")), ""))),
    ]
    with st.container(border=True):
        st.markdown(f":material/badge: **{texts.CERTIFICATE}**")
        # As code: names and issuer are the server's words.
        st.code(
            "\n".join(f"{label}: {value}" for label, value in lines if value.strip()), language=None, wrap_lines=True
        )
        if offered:
            st.markdown(texts.CERTIFICATE_USE.format(host=escape(offered)))


def draw_pin(page: MailPage) -> None:
    """Say which certificate is pinned, and offer to forget it."""
    key = page.form.key("imap_pin")
    pin = st.session_state[key]
    if pin and page.draft.imap.security.pinned:
        st.caption(f":material/verified_user: {texts.PIN_SET.format(pin=pin[:16].upper())}")
        st.button(texts.PIN_FORGET, type="tertiary", key="mail_account_pin_forget", on_click=_forget, args=(key,))


def _forget(key: str) -> None:
    st.session_state[key] = ""


def _grouped(digest: str) -> list[str]:
    pairs = [digest[at : at + 2] for at in range(0, len(digest), 2)]
    return [":".join(pairs[at : at + 16]) for at in range(0, len(pairs), 16)]


def _dates(card: Mapping[str, Any]) -> str:
    start, end = card.get("not_before"), card.get("not_after")
    return texts.CERTIFICATE_FROM_TO.format(start=start, end=end) if start and end else ""


def draw_cure(page: MailPage, leg: Leg, run: Run, state: CellState) -> None:
    """Draw the good news of a passed run, or the cure of a failed one."""
    if state is CellState.PASSED:
        _draw_success(leg, run)
        return
    step = deciding_step(run.steps)
    if step is None or state is CellState.STALE:
        return
    if step.key == "forbidden_target":
        _draw_refused_target(page, leg)
    if step.details.get("certificate"):
        draw_certificate(step.details["certificate"], offered=str(step.patch.get("host", "")))
    if step.key == "folder_missing" and step.details.get("can_create"):
        label = texts.CREATE_FOLDER.format(folder=escape(str(step.details["can_create"])))
        st.button(label, key=f"mail_account_{leg}_create_folder", on_click=_again, args=(leg,), kwargs={"create": True})
    _draw_inference(page, leg, run)
    if step.patch:
        _draw_patch(page, leg, dict(step.patch))
    draw_support(page, leg, run)


def _draw_inference(page: MailPage, leg: Leg, run: Run) -> None:
    """Say what this test and the other leg's tell together, where both are of the account as it stands."""
    cell = Cell.IMAP if leg is Leg.SMTP else Cell.SMTP
    other = page.runs.find_last(page.actor, cell)
    if other is None or page.state_of(cell, other) in (CellState.STALE, CellState.RUNNING):
        return
    if found := compare_legs(*((run, other) if leg is Leg.SMTP else (other, run))):
        st.markdown(f":material/compare_arrows: {escape(inference_text(found))}")


def _draw_refused_target(page: MailPage, leg: Leg) -> None:
    """Say which of the two is refused: a port that is not one of mail, or an address that a setting may allow."""
    from cgcore.mail.network.policy import MAIL_PORTS

    draft = page.draft
    port = (draft.smtp if leg is Leg.SMTP else draft.imap).port_number(leg)
    if port not in MAIL_PORTS:
        st.markdown(f":material/info: {texts.REFUSED_PORT.format(port=port, ports=sorted(MAIL_PORTS))}")
    st.markdown(f":material/info: {texts.REFUSED_ADDRESS}")


def _draw_patch(page: MailPage, leg: Leg, patch: dict[str, Any]) -> None:
    pinning = "pin" in patch
    if pinning:
        st.caption(texts.PIN_QUESTION)
        label = texts.PIN_CONFIRM
    else:
        label = texts.CURE.format(values=[escape(_value_text(leg, name, value)) for name, value in patch.items()])
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
    return texts["CURES"][name].format(value=value) if name in texts["CURES"] else str(value)


def _draw_success(leg: Leg, run: Run) -> None:
    if leg is Leg.SMTP:
        st.markdown(f":green[:material/check_circle: {texts.PASSED_SMTP}]")
        st.caption(texts.NOT_PROVEN_SMTP)
        return
    copied = any(step.stage == "append" and step.status is Status.OK for step in run.steps)
    text = texts.PASSED_IMAP if copied else texts.PASSED_IMAP_WITHOUT_COPY
    st.markdown(f":green[:material/check_circle: {text}]")


def draw_folder(page: MailPage) -> None:
    """Draw «Carpeta guardar enviados»; a name that the server lacks may be typed, and created afterwards."""
    key = page.form.key("sent_folder")
    offer = _offer(page)
    names = [str(folder["name"]) for folder in offer.get("folders", ()) if folder["selectable"]]
    chosen = page.form.value("sent_folder") or ""
    known = ["", *names] if chosen in ("", *names) else ["", *names, chosen]
    st.selectbox(
        texts.SENT_FOLDER,
        known,
        index=page.form.index_in("sent_folder", known),
        format_func=lambda name: _label(name, offer),
        key=key,
        persist_state="session",
        accept_new_options=True,
        help=texts.SENT_FOLDER_HELP,
    )
    recommended = str(offer.get("recommended", ""))
    # No field follows that these would move.
    page.list_problems("sent_folder")
    if recommended and not chosen and not offer.get("server_saves_copy"):
        st.button(
            texts.USE_FOLDER.format(folder=escape(recommended)),
            key="mail_account_use_folder",
            icon=":material/drive_file_move:",
            on_click=_use,
            args=(key, recommended),
        )


def _use(key: str, folder: str) -> None:
    st.session_state[key] = folder


def _offer(page: MailPage) -> Mapping[str, Any]:
    """Return what the last test listed."""
    run = page.runs.find_last(page.actor, Cell.IMAP)
    return next((step.details for step in (run.steps if run else ()) if step.stage == Stage.LIST), {})


def _label(name: str, offer: Mapping[str, Any]) -> str:
    if not name:
        return texts.SENT_FOLDER_NONE
    folder = next((folder for folder in offer.get("folders", ()) if folder["name"] == name), None)
    if folder is None:
        return texts.FOLDER_MISSING.format(name=name) if offer.get("folders") else name
    if folder["use"] == "sent":
        return texts.FOLDER_FLAGGED.format(name=name)
    by_name = name == offer.get("recommended") and offer.get("reason") == "name"
    return texts.FOLDER_BY_NAME.format(name=name) if by_name else name
