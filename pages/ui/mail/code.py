"""Connecting by a code that is typed at the provider, on this device or another: ask for one, follow it, cancel it.

Every tab of the log-in shows the same code; one that was asked for in a tab which was closed goes on.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import streamlit as st

from cgcore.errors import InvalidInput, NotFound, VaultError
from cgcore.mail.oauth_client import OAuthProvider, Way, find_redirect_problem, redirect_uri
from cgcore.texts import write
from cgcore.vault.texts import problem_text
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import Attempt
from cgcore.workbench.oauth.clients import Offer
from cgcore.workbench.oauth.codes import CodeAttempt, CodesUnknown
from cgcore.workbench.oauth.grants import hosts_of
from pages.ui.copyable import draw_large_copyable
from pages.ui.identity import find_actor, while_logged_in
from pages.ui.mail.attempt import FOLLOWED, follow_code
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.server import find_base_address
from pages.ui.texts import common
from pages.ui.texts import oauth as texts
from pages.ui.toasts import announce

__all__ = ["draw_code", "draw_no_codes", "find_ended", "forget_followed", "take_followed"]

_EVERY_S = 3


def draw_code(page: MailPage, offer: Offer, *, again: bool) -> None:
    """Draw the code that is under way for the account on the screen, else the button that asks for one."""
    found = page.workbench.oauth.codes.find_open(page.actor)
    if found is not None and _fits(page, found.attempt, offer.provider):
        st.session_state[FOLLOWED] = found.attempt.id
        _draw_open(page, found, offer.label)
        return
    unfolded = again or _is_alone(offer) or _has_redirect_problem(page, offer.provider)
    # Of its own key in each state: what a person has folded once is not unfolded by an argument.
    key = f"mail_account_oauth_by_code_{unfolded:d}"
    with st.expander(texts.CODE_TITLE, expanded=unfolded, type="compact", key=key):
        alone = texts.CODE_EXPLANATION_ALONE.format(provider=escape(offer.label))
        st.caption(alone if _is_alone(offer) else texts.CODE_EXPLANATION)
        label = texts.CODE_AGAIN if again else texts.CODE_ASK
        if st.button(label, key="mail_account_oauth_code_ask", icon=":material/pin:"):
            _begin(page, offer)


def draw_no_codes(page: MailPage, offer: Offer) -> None:
    """Say who lets codes in, where the link will be refused and nothing but a code would help."""
    if offer.provider is not OAuthProvider.GOOGLE and _has_redirect_problem(page, offer.provider):
        st.caption(texts.CODES_OFF.format(provider=escape(offer.label)))


def find_ended(page: MailPage) -> Attempt | None:
    """Return the attempt whose code stood in this tab, where it has come to something that is to be told."""
    followed = st.session_state.get(FOLLOWED)
    attempt = page.workbench.oauth.attempts.find(page.actor, followed) if followed else None
    return None if attempt is None or attempt.state.is_waiting else attempt


def take_followed() -> str:
    """Return the id of the attempt whose code stood in this tab, once: it has connected."""
    return st.session_state.pop(FOLLOWED, "")


def forget_followed() -> None:
    """Tell no more of the last code."""
    st.session_state.pop(FOLLOWED, None)


def _fits(page: MailPage, attempt: Attempt, provider: OAuthProvider) -> bool:
    same = attempt.mailbox.casefold() == page.draft.user.strip().casefold()
    return same and attempt.provider is provider and set(hosts_of(page.draft)) <= set(attempt.hosts)


def _has_redirect_problem(page: MailPage, provider: OAuthProvider) -> bool:
    base = page.workbench.settings.public_url or find_base_address()
    return bool(find_redirect_problem(provider, redirect_uri(base, provider)))


def _is_alone(offer: Offer) -> bool:
    """Whether there is no other way: a client without a secret."""
    return offer.ways == (Way.CODE,)


def _begin(page: MailPage, offer: Offer) -> None:
    provider = escape(offer.label)
    try:
        with st.spinner(common["STATES"]["running"], show_time=True):
            attempt = page.workbench.oauth.codes.begin(page.actor, offer.provider, page.draft)
    except CodesUnknown:
        told = texts.CODE_UNKNOWN_ALONE if _is_alone(offer) else texts.CODE_UNKNOWN
        st.warning(told.format(provider=provider), icon=":material/link_off:")
    except (InvalidInput, NotFound):
        st.warning(texts.CONNECT_INCOMPLETE, icon=":material/edit:")
    except VaultError as failed:
        announce(str(problem_text(failed.code)), icon=":material/error:", stays=True)
    else:
        follow_code(attempt.id)
        st.rerun()


def _draw_open(page: MailPage, found: CodeAttempt, label: str) -> None:
    with st.container(border=True, gap="small", key="mail_account_oauth_code_open"):
        place = urlsplit(found.address)
        st.markdown(texts.CODE_STEPS.format(user=escape(found.attempt.mailbox), provider=escape(label)))
        draw_large_copyable("oauth_code", texts.CODE, found.user_code)
        st.markdown(f":orange[:material/warning: {texts.CODE_WARNING}]")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.link_button(
                texts.CODE_OPEN.format(place=escape(f"{place.netloc}{place.path}")),
                found.address,
                icon=":material/open_in_new:",
                key="mail_account_oauth_code_place",
            )
            st.button(
                common.CANCEL,
                key="mail_account_oauth_code_cancel",
                on_click=_cancel,
                args=(page.workbench, found.attempt.id),
            )
        _follow(page, found.attempt.id, label)


def _cancel(workbench: Workbench, attempt_id: str) -> None:
    if actor := find_actor():
        workbench.oauth.codes.cancel(actor, attempt_id)
    forget_followed()


@st.fragment(run_every=_EVERY_S)
@while_logged_in
def _follow(page: MailPage, attempt_id: str, label: str) -> None:
    """Say how long the code is good; the page is run again when somebody has answered, here or in another tab."""
    found = page.workbench.oauth.codes.find_open(page.actor)
    if found is None or found.attempt.id != attempt_id:
        attempt = page.workbench.oauth.attempts.find(page.actor, attempt_id)
        if attempt is None or not attempt.state.is_waiting:
            st.rerun()
        st.markdown(f":blue[:material/progress_activity: {texts.CHECKING.format(provider=escape(label))}]")
        return
    left = found.expires - page.workbench.context.clock()
    minutes = max(1, round(left / timedelta(minutes=1)))
    told = texts.CODE_WAITING.format(count=minutes, minutes=write(minutes))
    st.markdown(f":blue[:material/progress_activity: {told}]")
    if found.slowed:
        st.caption(texts.CODE_SLOWER.format(provider=escape(label), seconds=write(found.interval_s)))
