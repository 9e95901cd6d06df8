"""The first cell of «Cuenta mail»: user, password or connection, and the ways to fill in the servers."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cgcore.errors import VaultError
from cgcore.mail.account import AuthKind, MailAccountDraft, Security
from cgcore.mail.providers import get_provider
from cgcore.vault import PlaceKind
from cgcore.vault.texts import place_text, problem_text
from pages.ui.cells import cell
from pages.ui.identity import find_actor
from pages.ui.light import at_each_key
from pages.ui.mail import connection, setup
from pages.ui.mail.form import AccountForm
from pages.ui.mail.view import MailPage
from pages.ui.markdown import escape
from pages.ui.texts import drafts as draft_texts
from pages.ui.texts import mail_account as texts

__all__ = ["draw"]


def draw(page: MailPage) -> None:
    """Draw user, password or connection, the one button that finds the rest, and below it what few need."""
    with cell("account", texts.CELL_ACCOUNT) as head:
        user, password = st.columns(2, gap="medium")
        with user:
            st.text_input(
                texts.USER,
                live=True,
                placeholder=texts.USER_PLACEHOLDER,
                autocomplete="off",
                **page.form.widget("user"),
            )
            page.list_problems("user")
        with password:
            by_password = connection.draw_choice(page) is AuthKind.PASSWORD
            if by_password:
                _draw_password(page)
            else:
                connection.draw(page)
        if by_password:
            setup.draw(page, head)
        with st.container(horizontal=True):
            _draw_gmail(page)
            _draw_sender(page)
            if page.workbench.settings.sandbox_on:
                _draw_sandbox(page)
        page.list_problems("sender_name", "sender_reply_to")


def _draw_password(page: MailPage) -> None:
    place = page.workbench.vault.describe()
    st.text_input(
        texts.PASSWORD,
        type="password",
        key=page.form.key("password"),
        persist_state="session",
        autocomplete="new-password",
        # At each key: a password that is left with the Tab key never arrives otherwise. The eye inside the field
        # takes the focus, and Streamlit 1.67 commits nothing when it leaves from there. With a pause, a Guardar
        # within it would save all but the password.
        live=at_each_key(),
        placeholder=_password_state(page),
    )
    page.list_problems("password")
    where = place_text(place, page.workbench.settings)
    title = escape(str(where.title))
    note = f"{title} · {draft_texts.PASSWORD_NOT_KEPT}" if st.session_state[page.form.key("password")] else None
    st.caption(f":material/lock: {note or title}", help=escape(str(where.detail)))
    unchanged = page.form.brought_password is None and not st.session_state[page.form.key("password")]
    if (page.form.stored.password_set or page.form.stored.password_lost) and unchanged:
        _draw_removal()


def _password_state(page: MailPage) -> str:
    if page.form.brought_password is not None:
        return texts.PASSWORD_BROUGHT
    if page.form.stored.password_lost and not st.session_state[AccountForm.REMOVE_PASSWORD]:
        return texts.PASSWORD_LOST
    if not page.form.stored.password_set or st.session_state[AccountForm.REMOVE_PASSWORD]:
        return texts.PASSWORD_EMPTY
    in_keyring = page.workbench.vault.describe().kind is PlaceKind.OS_KEYRING
    return texts.PASSWORD_STORED_KEYRING if in_keyring else texts.PASSWORD_STORED_VAULT


def _draw_removal() -> None:
    removing = st.session_state[AccountForm.REMOVE_PASSWORD]
    if removing:
        st.markdown(f":violet[:material/edit: {texts.PASSWORD_REMOVED}]")
    label = texts.PASSWORD_KEEP if removing else texts.PASSWORD_REMOVE
    if st.button(label, type="tertiary", key="mail_account_password_removal"):
        st.session_state[AccountForm.REMOVE_PASSWORD] = not removing
        st.rerun()


def _draw_gmail(page: MailPage) -> None:
    with _popover(texts.GMAIL_PANEL, "help", "mail_account_gmail") as panel:
        if panel.open:
            st.markdown(texts.GMAIL_STEPS)
            st.button(texts.GMAIL_FILL, key="mail_account_gmail_fill", on_click=_fill_gmail, args=(page.form,))


def _draw_sender(page: MailPage) -> None:
    """Draw how mail presents itself; what is wrong with it stands below, where it shows while this is closed too."""
    with _popover(texts.SENDER, "badge", "mail_account_sender") as panel:
        if not panel.open:
            return
        name = page.workbench.template_mail.own_values(page.actor).get("empresa") or page.actor.full_name
        st.text_input(
            texts.SENDER_NAME,
            live=True,
            placeholder=name,
            autocomplete="off",
            help=texts.SENDER_NAME_HELP,
            **page.form.widget("sender_name"),
        )
        st.text_input(
            texts.SENDER_REPLY_TO,
            live=True,
            placeholder=page.draft.user,
            autocomplete="off",
            help=texts.SENDER_REPLY_TO_HELP,
            **page.form.widget("sender_reply_to"),
        )
        st.toggle(texts.SENDER_COPY, help=texts.SENDER_COPY_HELP, **page.form.widget("sender_copy"))


def _popover(label: str, icon: str, key: str):
    """Return a popover that is filled when it is open: nobody needs what is in it before."""
    return st.popover(label, icon=f":material/{icon}:", key=key, width="content", on_change="rerun")


def _fill_gmail(form: AccountForm) -> None:
    gmail = get_provider("gmail")
    now = form.draft()
    for name, server in (("smtp", gmail.smtp), ("imap", gmail.imap)):
        if server is not None:
            st.session_state[form.key(f"{name}_host")] = server.host
            st.session_state[form.key(f"{name}_port")] = str(server.port)
            st.session_state[form.key(f"{name}_security")] = Security(server.security)
    st.session_state[form.key("imap_pin")] = ""
    # Gmail files the copy itself: a folder of ours would make it two.
    if now.sent_folder:
        st.session_state[form.key("sent_folder")] = ""
    st.toast(texts.GMAIL_FILLED, icon=":material/check:")


def _draw_sandbox(page: MailPage) -> None:
    with _popover(texts.SANDBOX_PANEL, "inbox", "mail_account_sandbox") as panel:
        if panel.open:
            st.markdown(texts.SANDBOX_EXPLANATION)
            st.button(texts.SANDBOX_FILL, key="mail_account_sandbox_fill", on_click=_fill_sandbox, args=(page,))


def _fill_sandbox(page: MailPage) -> None:
    actor = find_actor()
    if actor is None:
        return
    try:
        account: MailAccountDraft = page.workbench.sandbox.use_for(actor)
    except VaultError as failed:
        st.toast(str(problem_text(failed.code)), icon=":material/error:", duration="long")
        return
    page.form.fill(replace(account, sender=page.form.draft().sender))
    st.toast(texts.SANDBOX_FILLED, icon=":material/check:")
