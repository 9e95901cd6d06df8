"""The mail account in a configuration file."""

from __future__ import annotations

from typing import Any

from cgcore.mail.account import MailAccountDraft, Security, account_from_json
from cgcore.portable.fields import Fields
from cgcore.portable.problems import refuse

__all__ = ["read_account"]


def read_account(value: Any, place: str) -> MailAccountDraft:
    """Return the account at ``place``, checked in form: only known fields, each of its type, and never a password."""
    fields = Fields(value, place, ("user", "smtp", "imap", "read_receipt", "sent_folder"))
    fields.text("user")
    fields.text("sent_folder")
    fields.boolean("read_receipt", False)
    for leg in ("smtp", "imap"):
        _check_server(Fields(fields.mapping(leg), f"{place}.{leg}", ("host", "port", "security", "pin")), leg)
    try:
        return account_from_json(fields.values)
    except ValueError:
        raise refuse(place, "wrong_type", clase="") from None


def _check_server(fields: Fields, leg: str) -> None:
    if leg == "smtp" and fields.has("pin"):
        raise refuse(fields.at("pin"), "unknown_field")
    fields.text("host")
    fields.text("pin")
    fields.choice("security", [security.value for security in Security], Security.NONE.value)
    port = fields.values.get("port")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool)):
        raise refuse(fields.at("port"), "wrong_value", valor=port)
