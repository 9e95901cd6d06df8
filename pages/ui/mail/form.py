"""The draft of «Cuenta mail» in the session: seeded once, read on every run, compared with what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cgcore.errors import FieldProblem, InvalidInput
from cgcore.mail.account import (
    MailAccountDraft,
    Security,
    ServerDraft,
    StoredAccount,
    account_from_json,
    check_account,
    default_port,
)
from cgcore.mail.steps import Leg
from cgcore.vault.secret import Secret
from pages.ui.texts import common as texts
from pages.ui.texts.mail_account import FIELD_LABELS

__all__ = ["AccountForm"]

_PREFIX = "mail_account"
_VERSION = f"{_PREFIX}_seeded_version"
_BROUGHT = f"{_PREFIX}_brought_password"
_REFUSED, _NOT_SAVED = f"{_PREFIX}_refused", f"{_PREFIX}_not_saved"


class AccountForm:
    """Reads and writes the widgets' values; ``stored`` is what they are compared with.

    The password field is seeded empty and stays so: a stored password never reaches the browser. Emptying it on
    purpose is a separate act, remembered beside the field.
    """

    name = _PREFIX
    REMOVE_PASSWORD = f"{_PREFIX}_remove_password"

    def __init__(self, stored: StoredAccount) -> None:
        self.stored = stored
        if _VERSION not in st.session_state:
            self.reset()
        for name, value in {**_values(stored.draft), "password": ""}.items():
            st.session_state.setdefault(self.key(name), value)

    @staticmethod
    def key(name: str) -> str:
        """Return the widget key of a field; the names are those of the field problems."""
        return f"{_PREFIX}_{name}"

    @property
    def seeded_version(self) -> int:
        """The version that this draft was read at."""
        return st.session_state[_VERSION]

    def reset(self) -> None:
        """Fill every widget with what is stored; only before the widgets are drawn."""
        self.fill(self.stored.draft)
        st.session_state[_VERSION] = self.stored.version
        self.accept()

    def accept_version(self, version: int) -> None:
        """Keep the draft, and call it based on ``version`` from now on."""
        st.session_state[_VERSION] = version

    def fill(self, draft: MailAccountDraft) -> None:
        """Fill every widget with ``draft``."""
        for name, value in _values(draft).items():
            st.session_state[self.key(name)] = value
        for leg in Leg:
            # A port that its security does not bring was typed once, by whoever saved it.
            server = draft.smtp if leg is Leg.SMTP else draft.imap
            port_key, default = self.key(f"{leg}_port"), str(default_port(leg, server.security))
            st.session_state[f"{port_key}_typed"] = st.session_state[port_key] != default
        # What the program brings along stays here: the field shows only what was typed into it.
        st.session_state[self.key("password")] = ""
        st.session_state[_BROUGHT] = (draft.password, _targets(draft)) if draft.password else None
        st.session_state[self.REMOVE_PASSWORD] = False

    @property
    def brought_password(self) -> Secret | None:
        """The password that came with :meth:`fill`, as long as it is for the user and the servers it came for."""
        password, targets = st.session_state.get(_BROUGHT) or (None, None)
        value = self._value
        now = value("user"), value("smtp_host"), value("imap_host")
        return password if targets == now else None

    def apply(self, leg: Leg, patch: Mapping[str, Any]) -> None:
        """Write the proven values of a patch into the fields of ``leg``."""
        names = {"folder": "sent_folder", "user": "user"}
        for field, value in patch.items():
            name = names.get(field, f"{leg}_{field}")
            if self.key(name) in st.session_state:
                st.session_state[self.key(name)] = Security(value) if field == "security" else str(value)

    def draft(self) -> MailAccountDraft:
        """Return what the fields hold now."""
        value = self._value
        return MailAccountDraft(
            user=value("user"),
            password=self._password(),
            smtp=ServerDraft(value("smtp_host"), value("smtp_port"), value("smtp_security") or Security.STARTTLS),
            imap=ServerDraft(
                value("imap_host"), value("imap_port"), value("imap_security") or Security.SSL, value("imap_pin")
            ),
            read_receipt=bool(value("read_receipt")),
            sent_folder=value("sent_folder") or "",
        )

    def changed_fields(self) -> int:
        """Return how many fields differ from what is stored; a typed password counts as one."""
        stored, now = _values(self.stored.draft), _values(self.draft())
        changed = sum(stored[name] != now[name] for name in stored)
        return changed + (self._password() is not None)

    def differences(self, stored: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Return label, own value and stored value of each field that differs from ``stored`` (API shape)."""
        theirs, mine = _values(account_from_json(stored)), _values(self.draft())
        return [
            (FIELD_LABELS[name], _shown(mine[name]), _shown(theirs[name]))
            for name in mine
            if mine[name] != theirs[name]
        ]

    def refuse(self, refused: InvalidInput, *, starting: bool = False) -> None:
        """Remember why a save, or the start of a test (``starting``), was refused."""
        st.session_state[_REFUSED] = refused.problems
        st.session_state[_NOT_SAVED] = not starting

    def accept(self) -> None:
        """Forget earlier refusals."""
        for key in (_REFUSED, _NOT_SAVED):
            st.session_state.pop(key, None)

    @property
    def is_refused(self) -> bool:
        """Whether a save was refused, and something in the way of it still stands."""
        return bool(st.session_state.get(_NOT_SAVED)) and any(found.blocking for found in self.problems())

    def problems(self) -> list[FieldProblem]:
        """Return what is wrong with the fields as they stand; an empty one only once it was asked for."""
        refused: tuple[FieldProblem, ...] = st.session_state.get(_REFUSED, ())
        standing = [found for found in refused if self._still_stands(found)]
        now = [found for found in check_account(self.draft()) if found.code != "empty"]
        return list({(found.field, found.code): found for found in (*standing, *now)}.values())

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
        if found.code == "password_again":
            return self._password() is None
        return found.field == "recipient"

    def _value(self, name: str) -> Any:
        return st.session_state[self.key(name)]

    def _password(self) -> Secret | None:
        typed = self._value("password")
        if typed:
            return Secret(typed)
        if self.brought_password is not None:
            return self.brought_password
        return Secret("") if st.session_state[self.REMOVE_PASSWORD] else None


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
    }


def _port_text(leg: Leg, server: ServerDraft) -> str:
    return str(server.port) or str(default_port(leg, server.security))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return texts.YES if value else texts.NO
    return str(value) or "–"
