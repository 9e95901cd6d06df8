"""The certificate card, and the pin that stands for a confirmed certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.ui.mail.view import MailPage
from pages.ui.texts import mail_account as texts

__all__ = ["draw_certificate", "draw_pin"]


def draw_certificate(card: Mapping[str, Any]) -> None:
    """Draw fingerprint, names, issuer and dates of a certificate."""
    digest = str(card.get("sha256", "")).upper()
    lines = [
        (texts.CERTIFICATE_SHA256, "\n" + "\n".join(_grouped(digest))),
        (texts.CERTIFICATE_NAMES, ", ".join(card.get("names", ()))),
        (texts.CERTIFICATE_ISSUER, str(card.get("issuer", ""))),
        (texts.CERTIFICATE_DATES, _dates(card)),
    ]
    with st.container(border=True):
        st.markdown(f":material/badge: **{texts.CERTIFICATE}**")
        # As code: names and issuer are the server's words.
        st.code(
            "\n".join(f"{label}: {value}" for label, value in lines if value.strip()), language=None, wrap_lines=True
        )


def draw_pin(page: MailPage) -> None:
    """Say which certificate is pinned, and offer to forget it."""
    key = page.form.key("imap_pin")
    pin = st.session_state[key]
    with st.container():
        if pin and page.form.draft().imap.security.pinned:
            st.caption(f":material/verified_user: {texts.PIN_SET.format(pin=pin[:16].upper())}")
            st.button(texts.PIN_FORGET, type="tertiary", key="mail_account_pin_forget", on_click=_forget, args=(key,))


def _forget(key: str) -> None:
    st.session_state[key] = ""


def _grouped(digest: str) -> list[str]:
    pairs = [digest[at : at + 2] for at in range(0, len(digest), 2)]
    return [":".join(pairs[at : at + 16]) for at in range(0, len(pairs), 16)]


def _dates(card: Mapping[str, Any]) -> str:
    start, end = (_day(str(card.get(name, ""))) for name in ("not_before", "not_after"))
    return texts.CERTIFICATE_FROM_TO.format(start=start, end=end) if start and end else ""


def _day(moment: str) -> str:
    return "/".join(reversed(moment[:10].split("-"))) if moment else ""
