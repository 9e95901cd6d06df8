"""Servidores de correo de la empresa: those of each domain, which an administrator keeps and removes."""

from __future__ import annotations

import streamlit as st

from cgcore.errors import InvalidInput, NotFound
from cgcore.identity.actor import Actor
from cgcore.mail.preset import MailPreset
from cgcore.texts import text
from cgcore.workbench import Workbench
from pages.ui.identity import find_actor
from pages.ui.markdown import escape
from pages.ui.texts import administration as texts

__all__ = ["draw", "keep"]

_KEY = "administration_mail_servers"


def draw(workbench: Workbench, actor: Actor) -> None:
    """Draw the folded part; it is filled while it is open."""
    with st.expander(texts.MAIL_SERVERS, icon=":material/domain:", key=_KEY, on_change="rerun") as part:
        if part.open:
            _draw_kept(workbench, actor)


def keep(workbench: Workbench) -> None:
    """Keep the servers of one's own account for everybody (callback of a button), and say so."""
    actor = find_actor()
    if actor is None:
        return
    try:
        domain = workbench.mail_presets.keep(actor).domain
    except InvalidInput as refused:
        st.toast(refused.problems[0].message, icon=":material/error:", duration="long")
        return
    st.toast(texts.MAIL_SERVERS_KEPT.format(domain=escape(domain)), icon=":material/check:")


def _draw_kept(workbench: Workbench, actor: Actor) -> None:
    section = workbench.mail_presets
    kept = section.list(actor)
    st.caption(texts.MAIL_SERVERS_EXPLANATION)
    if not kept:
        st.markdown(texts.MAIL_SERVERS_NONE)
    for preset in kept:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(_line(preset))
            st.button(
                texts.MAIL_SERVERS_REMOVE.format(domain=escape(preset.domain)),
                key=f"{_KEY}_remove_{preset.domain}",
                icon=":material/delete:",
                on_click=_remove,
                args=(workbench, preset.domain),
            )
    problem = section.find_problem(actor)
    st.button(
        texts.MAIL_SERVERS_KEEP,
        key=f"{_KEY}_keep",
        icon=":material/domain_add:",
        disabled=bool(problem),
        on_click=keep,
        args=(workbench,),
    )
    if problem:
        st.caption(escape(str(text("cgcore.workbench", problem))))


def _line(preset: MailPreset) -> str:
    smtp, imap = (f"{server.host}:{server.port}" for server in (preset.smtp, preset.imap))
    return texts.MAIL_SERVERS_LINE.format(domain=escape(preset.domain), smtp=escape(smtp), imap=escape(imap))


def _remove(workbench: Workbench, domain: str) -> None:
    actor = find_actor()
    if actor is None:
        return
    try:
        workbench.mail_presets.remove(actor, domain)
    except NotFound:
        return  # somebody else was quicker
    st.toast(texts.MAIL_SERVERS_REMOVED.format(domain=escape(domain)), icon=":material/check:")
