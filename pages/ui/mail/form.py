"""The draft of «Cuenta mail» in the session: seeded once, read on every run, compared with what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.mail.account import (
    AuthKind,
    LoginNames,
    MailAccountDraft,
    Security,
    ServerDraft,
    StoredAccount,
    account_from_json,
    check_account,
    default_port,
)
from cgcore.mail.sender import SenderDraft
from cgcore.mail.steps import Leg
from cgcore.vault.secret import Secret
from pages.ui.editing import Form
from pages.ui.texts import mail_account as texts

__all__ = ["AccountForm"]

_PAGE = "mail_account"
_NOT_SAVED = f"{_PAGE}_not_saved"


class AccountForm(Form):
    """The draft of the account; the names of its fields are those of the field problems.

    The password field is seeded empty and stays so: a stored password never reaches the browser. Emptying it on
    purpose is a separate act, remembered beside the field.
    """

    REMOVE_PASSWORD = f"{_PAGE}_remove_password"
    _BROUGHT = f"{_PAGE}_brought_password"

    def __init__(self, stored: StoredAccount) -> None:
        self.stored = stored
        super().__init__(_PAGE, _PAGE, _values(stored.draft), stored.version, texts["FIELD_LABELS"])
        self._edit.seeds.setdefault("password", "")
        self._show("password", "")

    def reset(self) -> None:
        """Fill every widget with what is stored; only before the widgets are drawn."""
        super().reset()
        self._note_ports()
        self._bring(None)

    def fill(self, draft: MailAccountDraft) -> None:
        """Fill every widget with ``draft``."""
        for name, value in _values(draft).items():
            self.put(name, value)
        self._note_ports()
        self._bring(draft)

    def kept(self) -> dict[str, Any] | None:
        """Return what a draft keeps; of the password only that it is to be removed."""
        kept = super().kept()
        if not st.session_state.get(self.REMOVE_PASSWORD):
            return kept
        return {**(kept or {"version": self.version, "values": {}}), "remove_password": True}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take what :meth:`kept` has returned once."""
        super().restore(kept)
        self._note_ports()
        st.session_state[self.REMOVE_PASSWORD] = bool(kept.get("remove_password")) and self.stored.password_set

    def settle(self) -> None:
        """Take over what the browser shows."""
        super().settle()
        self._note_ports()

    @property
    def brought_password(self) -> Secret | None:
        """The password that came with :meth:`fill`, as long as it is for the user and the servers it came for."""
        password, targets = st.session_state.get(self._BROUGHT) or (None, None)
        now = self.value("user"), self.value("smtp_host"), self.value("imap_host")
        return password if targets == now else None

    def apply(self, leg: Leg, patch: Mapping[str, Any]) -> None:
        """Write the proven values of a patch into the fields of ``leg``."""
        names = {"folder": "sent_folder", "user": "user"}
        for field, value in patch.items():
            name = names.get(field, f"{leg}_{field}")
            if name in self.stored_values:
                self.put(name, Security(value) if field == "security" else str(value))

    def draft(self) -> MailAccountDraft:
        """Return what the fields hold now."""
        value = self.value
        return MailAccountDraft(
            user=value("user"),
            password=self._password(),
            smtp=ServerDraft(value("smtp_host"), value("smtp_port"), value("smtp_security") or Security.STARTTLS),
            imap=ServerDraft(
                value("imap_host"), value("imap_port"), value("imap_security") or Security.SSL, value("imap_pin")
            ),
            read_receipt=bool(value("read_receipt")),
            sent_folder=value("sent_folder") or "",
            auth=value("auth") or AuthKind.PASSWORD,
            sender=SenderDraft(
                value("sender_name").strip(), value("sender_reply_to").strip(), bool(value("sender_copy"))
            ),
            logins=self._logins(),
        )

    def values(self) -> dict[str, Any]:
        """Return what every field holds now, as it would be stored; not the password."""
        return _values(self.draft())

    def changed(self) -> list[str]:
        """Return the fields that differ from what is stored; a typed password is one of them."""
        now = self.values()
        changed = [name for name, value in self.stored_values.items() if now[name] != value]
        return changed if self._password() is None else [*changed, "password"]

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs from ``stored`` (API shape)."""
        return super().differences(_values(account_from_json(stored)))

    def refuse(self, refused: InvalidInput, *, starting: bool = False) -> None:
        """Remember why a save, or the start of a test (``starting``), was refused."""
        super().refuse(refused)
        st.session_state[_NOT_SAVED] = not starting

    @property
    def is_refused(self) -> bool:
        """Whether a save was refused, and something in the way of it still stands."""
        refused = bool(self.problems_of_save) and st.session_state.get(_NOT_SAVED, False)
        return refused and any(found.blocking for found in self.problems())

    def problems(self) -> list[FieldProblem]:
        """Return what is wrong with the fields as they stand; an empty one only once it was asked for."""
        standing = [found for found in self.problems_of_save if self._still_stands(found)]
        now = [found for found in check_account(self.draft()) if found.code != "empty"]
        password_lost = FieldProblem.of("cgcore.workbench", "password", "password_lost")
        lost = [replace(password_lost, blocking=False)] if self.stored.password_lost else []
        told = [*filter(self._still_stands, lost), *standing, *now]
        return list({(found.field, found.code): found for found in told}.values())

    def follow_security(self, leg: Leg) -> None:
        """Give the port its default for the chosen security, unless the port was typed (callback of the choice)."""
        port_key = self.key(f"{leg}_port")
        if st.session_state.get(f"{port_key}_typed"):
            return
        security = st.session_state[self.key(f"{leg}_security")]
        if security is not None:
            st.session_state[port_key] = str(default_port(leg, security))

    def mark_typed(self, leg: Leg) -> None:
        """Remember that the port was typed by hand (callback of the field); an emptied one follows again."""
        port_key = self.key(f"{leg}_port")
        st.session_state[f"{port_key}_typed"] = bool(st.session_state[port_key].strip())

    def _still_stands(self, found: FieldProblem) -> bool:
        if found.field == "password" and found.code == "empty":
            return self._password() is None and not self.stored.password_set
        if found.code == "empty":
            return not str(st.session_state.get(self.key(found.field), "")).strip()
        if found.code in ("password_again", "password_lost"):
            return self._password() is None
        return found.field == "recipient"

    def _logins(self) -> LoginNames:
        # Nothing shows or uses them beside a password, so none is kept with one.
        if self.value("auth") in (None, AuthKind.PASSWORD):
            return LoginNames()
        return LoginNames(self.value("logins_smtp").strip(), self.value("logins_imap").strip())

    def _note_ports(self) -> None:
        for leg in Leg:
            # A port that its security does not bring was typed once, by whoever saved it.
            default = default_port(leg, self.value(f"{leg}_security"))
            st.session_state[f"{self.key(f'{leg}_port')}_typed"] = self.value(f"{leg}_port") != str(default)

    def _bring(self, draft: MailAccountDraft | None) -> None:
        # What the program brings along stays here: the field shows only what was typed into it.
        self.ensure("password", "")
        brought = draft is not None and draft.password
        st.session_state[self._BROUGHT] = (draft.password, _targets(draft)) if draft and brought else None
        st.session_state[self.REMOVE_PASSWORD] = False

    def _password(self) -> Secret | None:
        typed = self.value("password")
        if typed:
            return Secret(typed)
        if self.brought_password is not None:
            return self.brought_password
        return Secret("") if st.session_state.get(self.REMOVE_PASSWORD) else None


def _targets(draft: MailAccountDraft) -> tuple[str, str, str]:
    return draft.user, draft.smtp.host, draft.imap.host


def _values(draft: MailAccountDraft) -> dict[str, Any]:
    return {
        "user": draft.user,
        "smtp_host": draft.smtp.host,
        "smtp_port": _port_text(Leg.SMTP, draft.smtp),
        "smtp_security": draft.smtp.security,
        "imap_host": draft.imap.host,
        "imap_port": _port_text(Leg.IMAP, draft.imap),
        "imap_security": draft.imap.security,
        "imap_pin": draft.imap.pin,
        "read_receipt": draft.read_receipt,
        "sent_folder": draft.sent_folder,
        "auth": draft.auth,
        "sender_name": draft.sender.name,
        "sender_reply_to": draft.sender.reply_to,
        "sender_copy": draft.sender.copy_to_self,
        "logins_smtp": draft.logins.smtp,
        "logins_imap": draft.logins.imap,
    }


def _port_text(leg: Leg, server: ServerDraft) -> str:
    return str(server.port) or str(default_port(leg, server.security))
