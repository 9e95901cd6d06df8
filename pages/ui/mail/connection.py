"""Signing in with Google, Microsoft or an own provider in place of a password: connect, see what holds, disconnect.

The link leads to another tab, so that nothing typed here is lost; this one follows the attempt while it is open.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from cgcore.errors import InvalidInput, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.account import AuthKind, Security
from cgcore.mail.diagnosis.texts import sentences
from cgcore.mail.oauth_client import OAuthProvider, Way
from cgcore.mail.providers import get_provider
from cgcore.mail.steps import Leg
from cgcore.texts import write
from cgcore.vault.texts import problem_text
from cgcore.workbench import Workbench
from cgcore.workbench.oauth.attempts import ATTEMPT_LIFETIME, Attempt, AttemptState
from cgcore.workbench.oauth.clients import Offer
from cgcore.workbench.oauth.grants import Connected, GrantState, hosts_of
from pages.ui.copyable import draw_copyable
from pages.ui.heads import ask_for_save
from pages.ui.identity import dialog, while_logged_in
from pages.ui.mail.attempt import LEFT, TOLD, follow_link
from pages.ui.mail.code import draw_code, draw_no_codes, find_ended, take_followed
from pages.ui.mail.disconnect import ask_disconnect
from pages.ui.mail.form import AccountForm
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.moments import when
from pages.ui.panels import AdminPanel, draw_way
from pages.ui.server import find_base_address
from pages.ui.texts import common
from pages.ui.texts import oauth as texts
from pages.ui.toasts import announce

__all__ = ["draw", "draw_choice", "end_for_password", "must_ask", "offer_instead"]

_LINK = "mail_account_oauth_link"  # the attempt behind the link in sight, and what it is for
_ASKED = "mail_account_oauth_asked"  # whether the question before a password is being answered
_EVERY_S = 2
_WALL = "oauth_needs_admin"
_BY_ADMINISTRATORS = frozenset({"oauth_client_wrong", "oauth_redirect"})
_SERVERS = {AuthKind.GOOGLE: "gmail", AuthKind.MICROSOFT: "microsoft365"}
# Whose mailboxes each signs in to, by the ids of the provider table; a custom one says itself for whom it is.
_MAILBOXES = {
    OAuthProvider.GOOGLE: ("gmail", "google_workspace"),
    OAuthProvider.MICROSOFT: ("outlook_com", "microsoft365", "godaddy_m365"),
}


@dataclass(frozen=True, slots=True)
class _Link:
    """An attempt that nobody has finished yet, and the account on the screen that it was begun for."""

    id: str
    wanted: tuple[object, ...]


def draw_choice(page: MailPage) -> AuthKind:
    """Draw «Forma de entrar» where there is a choice; return what is chosen."""
    offers = _offers(page)
    chosen = page.draft.auth
    ways = [AuthKind.PASSWORD, *(AuthKind(offer.provider.value) for offer in offers)]
    if chosen not in ways:
        ways.append(chosen)
    if len(ways) > 1:
        labels: dict[str, str] = {offer.provider.value: offer.label for offer in offers}
        labels[AuthKind.PASSWORD] = str(texts.PASSWORD)
        st.segmented_control(
            texts.HOW,
            ways,
            format_func=lambda way: labels.get(way) or str(way).title(),
            required=True,
            on_change=_fill_servers,
            args=(page.form,),
            **page.form.choice("auth"),
        )
    return chosen


def offer_instead(page: MailPage, provider_id: str) -> None:
    """For a provider that takes no passwords: offer the connection that is set up for it, else say who sets it up."""
    fitting = [offer for offer in _offers(page) if provider_id in _MAILBOXES.get(offer.provider, (provider_id,))]
    for offer in fitting:
        st.button(
            texts.CONNECT_INSTEAD.format(provider=escape(offer.label)),
            key=f"mail_account_instead_{offer.provider}",
            icon=":material/link:",
            type="primary",
            on_click=_choose,
            args=(page.form, AuthKind(offer.provider.value)),
        )
    if not fitting:
        st.caption(texts.SET_UP_BY_YOU if page.actor.is_admin else texts.SET_UP_BY_ADMIN)


def _choose(form: AccountForm, kind: AuthKind) -> None:
    form.put("auth", kind)
    _fill_servers(form)


def draw(page: MailPage) -> None:
    """Draw how the connection by the chosen provider stands, and what can be done about it."""
    provider = OAuthProvider(page.draft.auth.value)
    offer = next((each for each in _offers(page) if each.provider is provider), Offer(provider, provider.value.title()))
    label = offer.label
    found = page.workbench.oauth.grants.connection(page.actor)
    connected = found if found is not None and found.provider is provider else None
    with st.container(gap="small", key="mail_account_connection"):
        if connected is not None and connected.is_for(page.draft) and connected.state is GrantState.CONNECTED:
            _draw_connected(page, connected, label)
        else:
            _draw_missing(page, offer, connected)
        _draw_logins(page)
        if connected is not None and st.button(
            texts.DISCONNECT, key="mail_account_disconnect", icon=":material/link_off:"
        ):
            ask_disconnect(page, connected, label)


def must_ask(workbench: Workbench, actor: Actor, form: AccountForm, page: str) -> bool:
    """Ask, before a password takes the place of a connection, whether that may end; return whether it has to be asked.

    The answer asks for the save of ``page`` once more, which is let pass.
    """
    if form.draft().auth is not AuthKind.PASSWORD or st.session_state.pop(_ASKED, False):
        return False
    connected = workbench.oauth.grants.connection(actor)
    if connected is None:
        return False
    st.session_state[_ASKED] = True
    _ask_for_password(connected.address, page)
    return True


def end_for_password(workbench: Workbench, actor: Actor) -> None:
    """After a save with a password: end the connection that it has taken the place of."""
    if workbench.oauth.grants.connection(actor) is not None:
        with suppress(NotFound):
            workbench.oauth.grants.disconnect(actor)


def _offers(page: MailPage) -> Sequence[Offer]:
    return page.workbench.oauth.clients.offered_for(page.actor, page.draft.user)


def _fill_servers(form: AccountForm) -> None:
    """Where no server is typed yet, put those that the chosen provider is known for."""
    known = _SERVERS.get(form.draft().auth)
    if known is None or form.value("smtp_host"):
        return
    provider = get_provider(known)
    for leg, server in ((Leg.SMTP, provider.smtp), (Leg.IMAP, provider.imap)):
        if server is not None:
            patch = {"host": server.host, "port": str(server.port), "security": Security(server.security)}
            form.apply(leg, patch)


def _draw_connected(page: MailPage, connected: Connected, label: str) -> None:
    _prove_once(page)
    address, mailbox = escape(connected.address), escape(connected.mailbox)
    own = connected.address.casefold() == connected.mailbox.casefold()
    who = texts.CONNECTED_AS if own else texts.CONNECTED_FOR
    badge = f":green-badge[:material/check_circle: {texts.CONNECTED}]"
    st.markdown(f"{badge} {who.format(address=address, mailbox=mailbox)}")
    since = texts.CONNECTED_SINCE.format(when=when(connected.since), hosts=escape(write([*connected.hosts])))
    st.caption(since)
    if connected.ends is not None:
        told = texts.CONNECTED_ENDS.format(provider=escape(label), date=connected.ends.date())
        st.warning(told, icon=":material/schedule:")
    with st.expander(texts.PERMISSIONS_GIVEN, type="compact", key="mail_account_oauth_scopes"):
        st.code("\n".join(connected.scopes), language=None, wrap_lines=True)
    if page.form.count_changed():
        st.markdown(f":violet[:material/edit: {texts.NOT_SAVED}]")


def _draw_logins(page: MailPage) -> None:
    """Draw the user of each server; what is wrong with them stands below, where it shows while this is closed too."""
    with st.expander(texts.LOGINS, type="compact", key="mail_account_logins", on_change="rerun") as panel:
        if panel.open:
            st.caption(texts.LOGINS_EXPLANATION.format(user=escape(page.draft.user)))
            for leg, label, told in (
                (Leg.SMTP, texts.LOGIN_SMTP, texts.LOGIN_SMTP_HELP),
                (Leg.IMAP, texts.LOGIN_IMAP, texts.LOGIN_IMAP_HELP),
            ):
                st.text_input(
                    label,
                    live=True,
                    placeholder=page.draft.user,
                    autocomplete="off",
                    help=told,
                    **page.form.widget(f"logins_{leg}"),
                )
    page.list_problems("logins_smtp", "logins_imap")


def _prove_once(page: MailPage) -> None:
    """Just connected: let both servers be proven with the new token, in their own cells below."""
    link: _Link | None = st.session_state.pop(_LINK, None)
    left = st.session_state.pop(LEFT, "")
    st.session_state.pop(TOLD, None)
    if not take_followed() and (link is None or link.id != left):
        return
    for leg in Leg:
        if page.draft.smtp.host if leg is Leg.SMTP else page.draft.imap.host:
            st.session_state[f"mail_account_{leg}_again"] = True


def _draw_missing(page: MailPage, offer: Offer, connected: Connected | None) -> None:
    label = offer.label
    if connected is not None and connected.state is not GrantState.CONNECTED:
        st.markdown(f":red-badge[:material/link_off: {texts.DEAD}]")
        _draw_refusal(connected.key, {"provider": label, "user": connected.mailbox, **connected.facts})
    else:
        st.markdown(f":gray-badge[:material/link_off: {texts.NOT_CONNECTED}]")
        if connected is not None and not connected.is_for(page.draft):
            hosts = escape(write([*connected.hosts]))
            st.caption(texts.OTHER_TARGET.format(mailbox=escape(connected.mailbox), hosts=hosts))
    link = _find_link(page, offer.provider) if Way.LINK in offer.ways else None
    told = find_ended(page) or _find_told(page)
    if told is not None:
        _draw_end(page, told, label)
    keys = {each.key for each in (connected, told) if each is not None}
    _draw_cure(page, keys, label)
    if link is not None:
        _draw_link(page, link, label, again=told is not None or connected is not None)
        # Who meets that wall stays there, and never comes back with a refusal.
        if st.session_state.get(LEFT) == link.id and _WALL not in keys:
            with st.expander(texts.WALL.format(provider=escape(label)), type="compact", key="mail_account_oauth_wall"):
                _draw_consent(page, label)
    elif Way.LINK in offer.ways or not hosts_of(page.draft) or not page.draft.user.strip():
        st.caption(texts.CONNECT_INCOMPLETE)
    if Way.CODE not in offer.ways:
        draw_no_codes(page, offer)
    elif link is not None or Way.LINK not in offer.ways:
        draw_code(page, offer, again=told is not None and told.way is Way.CODE)


def _draw_link(page: MailPage, link: Attempt, label: str, *, again: bool) -> None:
    words = (texts.CONNECT_AGAIN if again else texts.CONNECT).format(provider=escape(label))
    st.link_button(
        words,
        link.path,
        key=f"mail_account_connect_{link.id[:16]}",
        icon=":material/open_in_new:",
        type="primary",
        on_click=follow_link,
        args=(link.id,),
    )
    if st.session_state.get(LEFT) == link.id:
        _follow(page, link.id, label)
    else:
        st.caption(texts.CONNECT_EXPLANATION.format(user=escape(page.draft.user)))


@st.fragment(run_every=_EVERY_S)
@while_logged_in
def _follow(page: MailPage, attempt_id: str, label: str) -> None:
    """Say how an attempt stands; the page is run again when that is decided."""
    attempt = page.workbench.oauth.attempts.find(page.actor, attempt_id)
    if attempt is None or not attempt.state.is_waiting:
        st.rerun()
    checking = attempt.state is AttemptState.CHECKING
    told = texts.CHECKING.format(provider=escape(label)) if checking else texts.WAITING
    st.markdown(f":blue[:material/progress_activity: {told}]")
    st.caption(texts.REDIRECT_HELP.format(provider=escape(label)))


def _find_link(page: MailPage, provider: OAuthProvider) -> Attempt | None:
    """Return the attempt behind the link: the one that waits, else a new one; None while the account lacks a part."""
    wanted = (provider, page.draft.user.strip(), hosts_of(page.draft))
    link: _Link | None = st.session_state.get(_LINK)
    if link is not None and link.wanted == wanted:
        attempt = page.workbench.oauth.attempts.find(page.actor, link.id)
        was_left = st.session_state.get(LEFT) == link.id
        if attempt is not None and attempt.state.is_waiting and (was_left or _is_fresh(page, attempt)):
            return attempt
        if attempt is not None and was_left:
            st.session_state[TOLD] = link.id
    try:
        attempt = page.workbench.oauth.attempts.begin(page.actor, provider, page.draft)
    except (InvalidInput, NotFound):
        st.session_state.pop(_LINK, None)
        return None
    st.session_state[_LINK] = _Link(attempt.id, wanted)
    return attempt


def _is_fresh(page: MailPage, attempt: Attempt) -> bool:
    """Whether there is time enough left for a person to log in and agree, should the link be clicked now."""
    return page.workbench.context.clock() < attempt.made + ATTEMPT_LIFETIME / 2


def _find_told(page: MailPage) -> Attempt | None:
    told = st.session_state.get(TOLD)
    return page.workbench.oauth.attempts.find(page.actor, told) if told else None


def _draw_end(page: MailPage, attempt: Attempt, label: str) -> None:
    """Say what an attempt has come to, with what can be done besides trying again."""
    if attempt.state is AttemptState.EXPIRED:
        late = texts.CODE_TOO_LATE if attempt.way is Way.CODE else texts.TOO_LATE
        st.warning(late, icon=":material/schedule:")
    elif attempt.state is AttemptState.OTHER_ADDRESS:
        values = {"address": escape(attempt.address), "mailbox": escape(attempt.mailbox)}
        title, fix = texts.OTHER_ADDRESS.format(**values), texts.OTHER_ADDRESS_FIX.format(**values)
        st.warning(fix, title=title, icon=":material/person_alert:")
        if st.button(texts.CONFIRM_SHARED.format(**values), key="mail_account_oauth_confirm"):
            _confirm(page, attempt)
    elif attempt.state is AttemptState.REFUSED:
        _draw_refusal(attempt.key, {"provider": label, "user": attempt.mailbox, **attempt.facts})


def _confirm(page: MailPage, attempt: Attempt) -> None:
    try:
        page.workbench.oauth.attempts.confirm(page.actor, attempt.id)
    except NotFound:
        announce(str(texts.GONE), icon=":material/error:")
    except VaultError as failed:
        announce(str(problem_text(failed.code)), icon=":material/error:", stays=True)
    else:
        # What is connected is proven, as after any other attempt.
        st.session_state[_LINK], st.session_state[LEFT] = _Link(attempt.id, ()), attempt.id
    st.rerun()


def _draw_refusal(key: str, values: dict[str, object]) -> None:
    try:
        title, fix = (escape(text) for text in sentences(key, Leg.SMTP, values))
    except KeyError:
        title, fix = "", str(problem_text("vault")) if key == "vault" else str(texts.BROKEN)
    st.error(fix or title, title=title if fix and title else None, icon=":material/error:")


def _draw_cure(page: MailPage, keys: Set[str], label: str) -> None:
    """Draw what others have to do about refusals, ready to be sent or opened; once, whatever was refused twice."""
    if _WALL in keys:
        _draw_consent(page, label)
    elif keys & _BY_ADMINISTRATORS and page.actor.is_admin:
        draw_way(AdminPanel.SIGN_IN, texts.GO_TO_ADMINISTRATION, provider=page.draft.auth.value)


def _draw_consent(page: MailPage, label: str) -> None:
    provider = OAuthProvider(page.draft.auth.value)
    base = page.workbench.settings.public_url or find_base_address()
    if request := page.workbench.oauth.clients.consent_request(page.actor, provider, base):
        st.markdown(f"**{texts.CONSENT}**")
        st.caption(texts["ASK_ADMIN"][provider].format(provider=escape(label)))
        draw_copyable("oauth_request", request)


def _forget_question() -> None:
    st.session_state.pop(_ASKED, None)


@dialog(lambda: texts.TO_PASSWORD, icon=":material/password:", on_dismiss=_forget_question)
@while_logged_in
def _ask_for_password(address: str, page: str) -> None:
    st.markdown(texts.TO_PASSWORD_QUESTION.format(address=escape(address)))
    with st.container(horizontal=True):
        if st.button(texts.TO_PASSWORD_SAVE, type="primary", key="mail_account_to_password", icon=":material/save:"):
            ask_for_save(page)
            st.rerun()
        if st.button(common.CANCEL, key="mail_account_to_password_no"):
            _forget_question()
            st.rerun()
