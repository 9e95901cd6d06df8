"""Inicio de sesión con proveedores: what to register at each of them, and what they have given for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput, NotFound, VaultError
from cgcore.identity.actor import Actor
from cgcore.mail.diagnosis.texts import sentences
from cgcore.mail.oauth_client import (
    Client,
    ClientDraft,
    OAuthProvider,
    consent_link,
    find_redirect_problem,
    redirect_uri,
)
from cgcore.mail.steps import Leg
from cgcore.texts import write
from cgcore.vault.secret import Secret
from cgcore.vault.texts import problem_text
from cgcore.workbench import Workbench
from pages.ui.cells import cell
from pages.ui.copyable import draw_copyable
from pages.ui.editing import Form, store
from pages.ui.identity import dialog, while_logged_in
from pages.ui.light import at_each_key
from pages.ui.markdown import escape
from pages.ui.panels import PROVIDER
from pages.ui.server import find_base_address
from pages.ui.texts import common
from pages.ui.texts import oauth as texts
from pages.ui.toasts import announce

__all__ = ["OAuthPanel"]

_PAGE = "administration"
_CHECKED = f"{_PAGE}_oauth_checked"  # provider, version and outcome of the last check
_TROUBLE = f"{_PAGE}_oauth_trouble"  # why the vault did not take the secret, until the next attempt
_CHOICES = [provider.value for provider in OAuthProvider]
_DATE = "%d/%m/%Y"
# What Microsoft calls, where permissions are ticked, the scopes that are asked for by other names.
_GRAPH = ("SMTP.Send", "IMAP.AccessAsUser.All", "offline_access", "openid", "email")


class ClientForm(Form):
    """The draft of one client. The secret's field is seeded empty: a stored one never reaches the browser."""

    def __init__(self, provider: OAuthProvider, stored: Client | None) -> None:
        self.provider, self.stored = provider, stored
        values = _values(stored.as_json() if stored else {})
        labels = texts["FIELD_LABELS"]
        super().__init__(_PAGE, f"{_PAGE}_oauth_{provider}", values, stored.version if stored else 0, labels)
        self._edit.seeds.setdefault("secret", "")
        self._show("secret", "")

    def reset(self) -> None:
        """Take what is stored; the secret's field is empty again."""
        super().reset()
        self.ensure("secret", "")

    def values(self) -> dict[str, Any]:
        """Return what every field holds now, the secret's too: it is never one of the stored values."""
        return {**super().values(), "secret": self.value("secret")}

    def changed(self) -> list[str]:
        """Return the fields that differ from what is stored; a typed secret is one of them."""
        return [*super().changed(), *(["secret"] if self.value("secret") else [])]

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return the fields that differ from what a stale save found."""
        return super().differences(_values(stored))

    def client(self) -> Client:
        """Return what the fields hold, for what is shown of it."""
        client_id, tenant = self.value("client_id").strip(), self.value("tenant").strip()
        return Client(self.provider, client_id, tenant, public=self.is_public)

    @property
    def is_public(self) -> bool:
        """Whether the fields describe a client that has no secret: no browser comes back, and no secret ends."""
        return self.provider is not OAuthProvider.GOOGLE and bool(self.value("public"))

    def draft(self) -> ClientDraft:
        """Return what the fields hold now. Raises :class:`InvalidInput` for a date that is none."""
        value, secret = self.value, self.value("secret")
        return ClientDraft(
            self.provider,
            client_id=value("client_id"),
            secret=Secret(secret) if secret else None,
            tenant=value("tenant"),
            issuer=value("issuer"),
            name=value("name"),
            domains=tuple(part for part in value("domains").replace(";", ",").replace(" ", ",").split(",") if part),
            scope=value("scope"),
            secret_ends=_read_date(value("secret_ends")),
            public=self.is_public,
            codes=bool(value("codes")),
        )


def _values(stored: Mapping[str, Any]) -> dict[str, Any]:
    ends = stored.get("secret_ends")
    return {
        **{name: stored.get(name, "") for name in ("client_id", "tenant", "issuer", "name", "scope")},
        "domains": " ".join(stored.get("domains", ())),
        "secret_ends": write(date.fromisoformat(ends)) if ends else "",
        "public": bool(stored.get("public")),
        "codes": bool(stored.get("codes")),
    }


def _read_date(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        return datetime.strptime(text.strip().replace("-", "/").replace(".", "/"), _DATE).replace(tzinfo=UTC).date()
    except ValueError:
        raise InvalidInput(FieldProblem("secret_ends", "date", texts.text("DATE_WRONG"))) from None


class OAuthPanel:
    """The panel of one run: the client of the chosen provider."""

    can_save = True
    wants_save = False

    def __init__(self, workbench: Workbench, actor: Actor) -> None:
        self._workbench, self._actor = workbench, actor
        if st.session_state.get(PROVIDER) not in _CHOICES:
            st.session_state[PROVIDER] = _CHOICES[0]
        self.provider = OAuthProvider(st.session_state[PROVIDER])
        self._stored = workbench.oauth.clients.find(actor, self.provider)
        self.form = ClientForm(self.provider, self._stored)

    @property
    def forms(self) -> tuple[ClientForm]:
        """The draft of the provider that is shown."""
        return (self.form,)

    def changed(self) -> int:
        """Return how many fields differ from what is stored."""
        return self.form.count_changed()

    def save(self) -> bool:
        """Store what differs; return whether it is stored."""
        st.session_state.pop(_TROUBLE, None)
        try:
            return store(self.form, self._save)
        except VaultError as failed:
            st.session_state[_TROUBLE] = failed.code
            return False

    def reset(self) -> None:
        """Take what is stored; only before the widgets are drawn."""
        self.form.reset()

    def draw(self) -> None:
        """Draw the choice of the provider, what to register, the fields, and the check."""
        st.caption(texts.INTRODUCTION)
        st.segmented_control(
            texts.PROVIDER,
            _CHOICES,
            format_func=lambda choice: _label(OAuthProvider(choice)),
            key=PROVIDER,
            default=st.session_state.get(PROVIDER),
            required=True,
            persist_state="session",
        )
        provider = _name(self.provider, self._stored)
        with cell("oauth_register", texts.CELL_REGISTER.format(provider=provider)):
            self._draw_registration()
        with cell("oauth_client", texts.CELL_CLIENT.format(provider=provider)):
            self._draw_fields()
        with cell("oauth_check", texts.CELL_CHECK):
            self._draw_check(provider)
        if self._stored and st.button(texts.REMOVE, icon=":material/delete:", key="administration_oauth_remove"):
            _ask_remove(self._workbench, self._actor, self._stored)

    def _save(self) -> None:
        self._workbench.oauth.clients.save(self._actor, self.form.draft(), version=self.form.version)

    def _draw_registration(self) -> None:
        uri = redirect_uri(self._workbench.settings.public_url or find_base_address(), self.provider)
        left, right = st.columns(2, gap="medium")
        with left:
            if not self.form.is_public:
                self._draw_redirect(uri)
            self._draw_scopes(uri)
        with right:
            st.markdown(f"**{texts.STEPS_TITLE}**")
            st.markdown((texts["STEPS_PUBLIC"] if self.form.is_public else texts["STEPS"])[self.provider])

    def _draw_redirect(self, uri: str) -> None:
        _draw_value("redirect", texts.REDIRECT_URI, uri)
        if problem := find_redirect_problem(self.provider, uri):
            said = texts["REDIRECT_PROBLEMS"][problem].format(provider=_label(self.provider))
            st.warning(said, icon=":material/warning:")
        elif not self._workbench.settings.public_url:
            st.caption(texts.LOCAL_ONLY)

    def _draw_scopes(self, uri: str) -> None:
        if self.provider is OAuthProvider.MICROSOFT:
            _draw_value("permissions", texts.PERMISSIONS, "\n".join(_GRAPH))
            st.markdown(f":small[{texts.CONSENT}]")
            client = self.form.client()
            if client.client_id and client.tenant:
                draw_copyable("oauth_consent", consent_link(client, uri))
                st.caption(texts.CONSENT_EXPLANATION)
            else:
                st.caption(f"{texts.CONSENT_EXPLANATION} {texts.CONSENT_WAITING}")
            return
        scopes = Client(self.provider, "", scope=self.form.value("scope")).scopes
        _draw_value("scopes", texts.SCOPES, "\n".join(scopes))

    def _draw_fields(self) -> None:
        left, right = st.columns(2, gap="medium")
        with left:
            self._draw_text("client_id", texts.CLIENT_ID)
            if self.provider is not OAuthProvider.GOOGLE:
                st.toggle(texts.PUBLIC, help=texts.PUBLIC_HELP, **self.form.widget("public"))
                if not self.form.is_public:
                    st.toggle(texts.CODES, help=texts.CODES_HELP, **self.form.widget("codes"))
            if not self.form.is_public:
                self._draw_secret()
                self._draw_text("secret_ends", texts.SECRET_ENDS, texts.SECRET_ENDS_HELP, texts.DATE_FORM)
        with right:
            if self.provider is OAuthProvider.MICROSOFT:
                self._draw_text("tenant", texts.TENANT, texts.TENANT_HELP, texts.TENANT_FORM)
            if self.provider is OAuthProvider.CUSTOM:
                self._draw_text("issuer", texts.ISSUER, texts.ISSUER_HELP, texts.ISSUER_FORM)
                self._draw_text("name", texts.NAME)
                self._draw_text("scope", texts.SCOPE, texts.SCOPE_HELP)
            self._draw_text("domains", texts.DOMAINS, texts.DOMAINS_HELP, texts.DOMAINS_FORM)

    def _draw_text(self, name: str, label: str, tip: str | None = None, placeholder: str | None = None) -> None:
        st.text_input(label, live=True, help=tip, placeholder=placeholder, autocomplete="off", **self.form.widget(name))
        self.form.problems_under(name)

    def _draw_secret(self) -> None:
        st.text_input(
            texts.SECRET,
            type="password",
            key=self.form.key("secret"),
            persist_state="session",
            autocomplete="new-password",
            live=at_each_key(),
            placeholder=texts.SECRET_STORED if self._has_secret() else texts.SECRET_EMPTY,
        )
        self.form.problems_under("secret")
        if _TROUBLE in st.session_state:
            trouble = problem_text(st.session_state[_TROUBLE])
            st.error(str(trouble.fix or ""), title=str(trouble.title), icon=":material/error:")

    def _has_secret(self) -> bool:
        try:
            return self._stored is not None and self._workbench.oauth.clients.has_secret(self._actor, self._stored)
        except VaultError as failed:
            st.session_state[_TROUBLE] = failed.code
            return False

    def _draw_check(self, provider: str) -> None:
        public = self.form.is_public
        st.caption((texts.CHECK_EXPLANATION_PUBLIC if public else texts.CHECK_EXPLANATION).format(provider=provider))
        unsaved = self._stored is None or bool(self.form.count_changed())
        clicked = st.button(
            texts.CHECK, icon=":material/play_arrow:", key="administration_oauth_check", disabled=unsaved
        )
        if self._stored is None or unsaved:
            st.caption(texts.CHECK_UNSAVED)
            return
        if clicked:
            with st.spinner(common["STATES"]["running"], show_time=True):
                found = self._workbench.oauth.clients.check(self._actor, self.provider)
            st.session_state[_CHECKED] = self.provider, self._stored.version, found.key, dict(found.values)
        about, version, key, values = st.session_state.get(_CHECKED, ("", 0, "", {}))
        if (about, version) != (self.provider, self._stored.version):
            return
        if not key:
            done = (texts.CHECK_DONE_PUBLIC if public else texts.CHECK_DONE).format(provider=provider)
            st.markdown(f":green[:material/check_circle: {done}]")
            return
        title, fix = (escape(text) for text in sentences(key, Leg.SMTP, values))
        st.error(fix or title, title=title if fix else None, icon=":material/error:")


def _draw_value(name: str, label: str, value: str) -> None:
    """Draw what is copied to the provider's console, in letters of its own and with a button to copy it."""
    st.markdown(f":small[{label}]")
    draw_copyable(f"oauth_{name}", value)


def _label(provider: OAuthProvider) -> str:
    return str(texts.OWN) if provider is OAuthProvider.CUSTOM else Client(provider, "").label


def _name(provider: OAuthProvider, stored: Client | None) -> str:
    return escape(stored.label) if stored else _label(provider)


@dialog(lambda: texts.REMOVE, icon=":material/delete:")
@while_logged_in
def _ask_remove(workbench: Workbench, actor: Actor, client: Client) -> None:
    st.markdown(f"**{texts.REMOVE_TITLE.format(provider=escape(client.label))}**")
    count = workbench.oauth.clients.count_connected(actor, client.provider)
    by_hand = client.provider is OAuthProvider.MICROSOFT
    told = texts.REMOVE_BY_HAND if by_hand else texts.REMOVE_SOMEBODY
    values = {"count": write(count), "provider": escape(client.label)}
    st.caption(told.format(**values) if count else texts.REMOVE_NOBODY)
    with st.container(horizontal=True):
        if st.button(texts.REMOVE, type="primary", key="administration_oauth_remove_yes"):
            with suppress(NotFound):  # somebody else was quicker
                workbench.oauth.clients.remove(actor, client.provider)
            announce(texts.REMOVED)
            st.rerun()
        if st.button(common.CANCEL, key="administration_oauth_remove_no"):
            st.rerun()
