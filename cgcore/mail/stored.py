"""The mail account as it is stored, and what of it may be shown: everything but the password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cgcore.mail.account import MailAccountDraft, Security, ServerDraft
from cgcore.mail.steps import Leg

__all__ = ["StoredAccount", "account_from_json", "account_to_json", "changed_targets"]


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A stored account; its draft holds no password. ``version`` 0: nothing is stored yet.

    ``password_mark`` is a keyed digest of the stored password, ``""`` without one.
    """

    draft: MailAccountDraft = field(default_factory=MailAccountDraft)
    password_set: bool = False
    password_mark: str = ""
    version: int = 0
    updated: datetime | None = None


def changed_targets(stored: MailAccountDraft, draft: MailAccountDraft) -> list[str]:
    """Return the fields whose change would send the stored password to somebody else, or as somebody else.

    A field that was empty before counts as well: the password was never meant for that server. Emptying a field
    sends nothing anywhere. An encrypted connection that becomes plain counts too: the password would be readable.
    """
    changed = [
        name
        for name, old, new in (
            ("user", stored.user, draft.user),
            ("smtp_host", stored.smtp.host, draft.smtp.host),
            ("imap_host", stored.imap.host, draft.imap.host),
        )
        if new.strip().lower() and new.strip().lower() != old.strip().lower()
    ]
    for leg, old, new in ((Leg.SMTP, stored.smtp, draft.smtp), (Leg.IMAP, stored.imap, draft.imap)):
        if old.security.encrypted and not new.security.encrypted and new.host.strip():
            changed.append(f"{leg}_security")
    return changed


def account_to_json(draft: MailAccountDraft) -> dict[str, Any]:
    """Return the account as API and export show it, without password and version (DESIGN §9, API objects)."""
    return {
        "user": draft.user,
        "smtp": _server_to_json(draft.smtp),
        "imap": {**_server_to_json(draft.imap), "pin": draft.imap.pin},
        "read_receipt": draft.read_receipt,
        "sent_folder": draft.sent_folder,
    }


def account_from_json(value: Mapping[str, Any]) -> MailAccountDraft:
    """Return the draft that such an object describes; what is absent is empty.

    Raises ``ValueError`` on a wrong shape.
    """
    smtp, imap = _mapping(value.get("smtp", {})), _mapping(value.get("imap", {}))
    return MailAccountDraft(
        user=_text(value, "user"),
        smtp=_server_from_json(smtp, Security.STARTTLS),
        imap=_server_from_json(imap, Security.SSL),
        read_receipt=bool(value.get("read_receipt", False)),
        sent_folder=_text(value, "sent_folder"),
    )


def _server_to_json(server: ServerDraft) -> dict[str, Any]:
    text = str(server.port).strip()
    return {"host": server.host, "port": int(text) if text.isdigit() else None, "security": server.security.value}


def _server_from_json(value: Mapping[str, Any], security: Security) -> ServerDraft:
    port = value.get("port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise ValueError("port must be a whole number")
    return ServerDraft(
        host=_text(value, "host"),
        port="" if port is None else port,
        security=Security(value.get("security", security)),
        pin=_text(value, "pin"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("a server must be an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text")
    return text
