"""What became of a test mail to oneself: where it has come in, and what the receiving server says of SPF, DKIM, DMARC.

Only its own word counts (RFC 8601 §1.6, §5): the topmost ``Authentication-Results``, whose name has to be of those who
received the mail. Whoever sends a mail can write such a line too; it stands further down then.

It stands alone because steps, pages and tests read it, and it asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from typing import Any

from cgcore.mail.network.public_suffix import registrable_domain
from cgcore.runs import Status
from cgcore.texts import join, sentence

__all__ = ["arrival_status", "arrival_text", "read_results"]

_METHODS = ("spf", "dkim", "dmarc")
_TEXTS = "cgcore.mail"
_RESULT = re.compile(r"\s*([a-z0-9-]+)(?:\s*/\s*\d+)?\s*=\s*([a-z]+)", re.IGNORECASE)
_BY = re.compile(r"\bby\s+([A-Za-z0-9.-]+)")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_FAILING = frozenset({"fail", "softfail", "hardfail", "permerror", "policy"})


def read_results(header: bytes, *receivers: str) -> Mapping[str, str]:
    """Return what the receiving server found, by method (``spf``, ``dkim``, ``dmarc``); nothing where it says nothing.

    ``receivers`` are names of that server or of its domain; ``Received`` tells the one that took the mail in.
    """
    message = message_from_bytes(header)
    lines = [_plain(str(line)) for line in message.get_all("Authentication-Results", [])]
    heads = [line.partition(";") for line in lines]
    name = _name(heads[0][0]) if heads else ""
    known = {registrable_domain(each) for each in _receivers(message, receivers)}
    if not name or registrable_domain(name) not in known:
        return {}
    found: dict[str, str] = {}
    for head, _, rest in heads:
        if _name(head) != name:
            break  # what stands below another's line is not of the receiving server
        for method, result in _list_results(rest):
            if method not in found or (method == "dkim" and result == "pass"):
                found[method] = result  # of several signatures one that holds is enough (RFC 6376 §6.1)
    return found


def arrival_status(details: Mapping[str, Any]) -> Status:
    """Return how good it is what a look has found."""
    is_fine = details.get("code") == "inbox" and not _names(details, _FAILING)
    return Status.OK if is_fine else Status.WARNING


def arrival_text(details: Mapping[str, Any]) -> str:
    """Return where the mail is, after how long, and what the receiving server says of it."""
    code = str(details.get("code", ""))
    values = {name: details[name] for name in ("seconds", "folder") if name in details}
    told = [str(sentence(_TEXTS, f"arrival.{code}", **values))]
    if code != "missing":
        failing, passed = _names(details, _FAILING), _names(details, frozenset({"pass"}))
        absent = _names(details, frozenset({"none"}))
        parts = {"failing": failing, "passed": passed, "absent": absent}
        known = {part: {"count": len(names), "names": join(names)} for part, names in parts.items() if names}
        said = [sentence(_TEXTS, f"arrival.{part}", **filled) for part, filled in known.items()]
        told.append(join(said) if said else sentence(_TEXTS, "arrival.silent"))
    return "; ".join(told) + "."


def _names(details: Mapping[str, Any], results: frozenset[str]) -> Sequence[str]:
    return [method.upper() for method in _METHODS if details.get(method) in results]


def _plain(line: str) -> str:
    """Return a header without comments, line ends and quoted text: nothing of that is a result."""
    before, line = "", _QUOTED.sub("x", " ".join(line.split()))
    while before != line:
        before, line = line, _COMMENT.sub(" ", line)
    return line


def _name(head: str) -> str:
    words = head.split()
    return words[0].lower().rstrip(".") if words else ""


def _receivers(message: Message, named: Sequence[str]) -> list[str]:
    took = _BY.search(_plain(str(message.get("Received", ""))))
    return [each.lower() for each in (*named, took[1] if took else "") if each]


def _list_results(rest: str) -> list[tuple[str, str]]:
    matches = [_RESULT.match(part) for part in rest.split(";")]
    pairs = [(found[1].lower(), found[2].lower()) for found in matches if found]
    return [(method, result) for method, result in pairs if method in _METHODS]
