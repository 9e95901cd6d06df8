"""The facts that a server's own words offer to the sentences: our address, the block list, how long to wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import ceil

from cgcore.mail.steps import Stage

__all__ = ["reply_facts"]

_ADDRESS = re.compile(r"<?([^\s<>()\[\]:;,'\"`]+@[\w-]+(?:\.[\w-]+)+)>?")
_IP = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
_LIST = re.compile(
    r"\b((?:[\w-]+\.)*(?:[\w-]*(?:spamhaus|spamcop|barracuda|sorbs|uceprotect|abuseat|dnsbl|rbl)[\w-]*)(?:\.[\w-]+)+)"
)
_WAIT = re.compile(r"\b(\d{1,5}) ?(seconds?|secs?|minutes?|mins?|hours?)\b", re.IGNORECASE)
_SCOPE = re.compile(r"disabled for the (tenant|mailbox)", re.IGNORECASE)
_FOLDER = re.compile(r"(?:exist|mailbox|folder|found)s?: *\"?([^\"\r\n]{1,80}?)\"?(?: \(Failure\))?\s*$", re.IGNORECASE)
_OWNER = re.compile(r"not owned by user (\S+)", re.IGNORECASE)
_CERTIFIED = re.compile(r"not valid for '([^']+)'")
_MINUTES = {"s": 1 / 60, "m": 1, "h": 60}


def reply_facts(key: str, stage: Stage | str, text: str) -> Mapping[str, object]:
    """Return the values that the text of a diagnosis offers to its sentences, under their names; often none.

    Server words are no authority: what the caller knows itself comes first.
    """
    found = {name: value for name, read in _BY_KEY.get(key, {}).items() if (value := read(text))}
    if key == "address_syntax" and stage in (Stage.MAIL_FROM, Stage.RCPT_TO):
        found["address"] = _group(_ADDRESS)(text)
    return found


def _group(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        match = pattern.search(text)
        return match[1] if match else ""

    return read


def _minutes(text: str) -> int:
    """Return how many minutes the server asks to wait, 0 when it does not say."""
    match = _WAIT.search(text)
    return ceil(int(match[1]) * _MINUTES[match[2][0].lower()]) if match else 0


def _scope(text: str) -> str:
    from cgcore.mail.texts import scope_label

    match = _SCOPE.search(text)
    return scope_label(match[1].lower()) if match else ""


_BY_KEY: Mapping[str, Mapping[str, Callable[[str], object]]] = {
    "ip_blocklisted": {"ip": _group(_IP), "list_name": _group(_LIST)},
    "ip_not_allowed": {"ip": _group(_IP)},
    "too_many_attempts": {"minutes": _minutes},
    "temporary_failure": {"minutes": _minutes},
    "smtp_auth_disabled": {"scope": _scope},
    "sender_not_allowed": {"sender": _group(_ADDRESS), "user": _group(_OWNER)},
    "sender_not_verified": {"sender": _group(_ADDRESS)},
    "sender_unknown": {"sender": _group(_ADDRESS)},
    "recipient_unknown": {"recipient": _group(_ADDRESS)},
    "folder_missing": {"folder": _group(_FOLDER)},
    "cert_wrong_name": {"host": _group(_CERTIFIED)},
    "unclassified": {"reply": str},
}
