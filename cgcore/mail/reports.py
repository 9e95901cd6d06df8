"""What came back for a mail that had left: bounces (RFC 3464), and confirmations that it was shown (RFC 8098).

A report names the message that it is about in one of several ways, and each recipient with what became of them.
Nothing is guessed: of one that names no message only that is known. It stands alone because it reads bytes and asks
nobody; :mod:`cgcore.mail.imap.inbox` fetches them.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from enum import StrEnum
from typing import cast

from cgcore.mail.diagnosis.pasted import explain_pasted
from cgcore.mail.steps import Leg, Stage

__all__ = [
    "OWN_HEADER",
    "Reference",
    "ReferenceKind",
    "Report",
    "ReportKind",
    "ReportParts",
    "Told",
    "decode_part",
    "read_report",
]

OWN_HEADER = "X-Cloud-Gestion-Id"  # kept where a provider replaces the Message-ID
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
_OWN_ID = re.compile(r"[0-9a-f]{32}")
_STATUS = re.compile(r"\b([245])\.\d{1,3}\.\d{1,3}\b")
_LONGEST_WORDS = 500
_MOST_RECIPIENTS = 100
_MOST_REFERENCES = 20
# The copy of the message in a bounce that has no parts (Exim's, before it wrote reports).
_COPY_BEGINS = re.compile(r"^-+ ?(?:This is a copy|Original message|Message headers? follow).*$", re.IGNORECASE | re.M)
# What can be wrong with somebody's address, their server, or the mail. All else that a text may be read as is about
# our own account: nothing of that is known here.
_ABOUT_DELIVERY = frozenset(
    {
        "address_syntax",
        "bounce_refused",
        "content_rejected",
        "greylisted",
        "ip_blocklisted",
        "message_too_big",
        "recipient_full",
        "recipient_unknown",
        "sender_not_verified",
        "sender_unknown",
        "sending_quota",
        "smtputf8_required",
        "too_many_recipients",
    }
)
# What is said of ourselves elsewhere is said of others here: their mailbox, their rules.
_OF_OTHERS = {
    "mailbox_full": "recipient_full",
    "ip_not_allowed": "ip_blocklisted",
    **dict.fromkeys(("blocked_by_policy", "relay_denied", "sender_not_allowed", "account_locked"), "bounce_refused"),
}


class ReferenceKind(StrEnum):
    """How a message is named: by an id of ours, or by a Message-ID."""

    ID = "id"
    MESSAGE_ID = "message_id"


@dataclass(frozen=True, slots=True)
class Reference:
    """One name of the message that a report is about."""

    kind: ReferenceKind
    value: str


class ReportKind(StrEnum):
    """What became of a mail for one recipient: it came back, it is still being tried, or it was shown to them."""

    FAILED = "failed"
    DELAYED = "delayed"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one recipient; ``addresses`` are theirs, first the one that was written to, where it is known.

    ``key`` is a diagnosis, or ``bounce_refused``, ``bounce_expired`` or ``bounce_other``; ``reply`` the words of
    whoever gave up.
    """

    kind: ReportKind
    addresses: Sequence[str] = ()
    status: str = ""
    key: str = ""
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report: the names of its message, the surest first (none: it names none), and what it tells.

    ``identity`` is the same whenever the same report is read again.
    """

    references: Sequence[Reference]
    told: Sequence[Told]
    identity: str = ""


@dataclass(frozen=True, slots=True)
class ReportParts:
    """The parts of a report, decoded; what it does not have is empty.

    ``kind`` is its ``report-type``, ``""`` for a bounce without parts: its ``text`` is all.
    """

    kind: str
    header: bytes
    text: bytes = b""
    fields: bytes = b""
    returned: bytes = b""


def decode_part(data: bytes, encoding: str) -> bytes:
    """Return a part without its transfer encoding (RFC 2045 §6); one that was cut off is decoded as far as it goes."""
    if encoding == "quoted-printable":
        return quopri.decodestring(data)
    if encoding == "base64":
        kept = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        try:
            return base64.b64decode(kept[: len(kept) // 4 * 4])
        except binascii.Error:
            return b""
    return data


def read_report(parts: ReportParts) -> Report:
    """Return what a report says; without ``told`` it says nothing that matters here."""
    header = message_from_bytes(parts.header)
    text = parts.text.decode("utf-8", "replace")
    returned, blocks = message_from_bytes(parts.returned.lstrip()), _blocks(parts.fields)
    if parts.kind == "disposition-notification":
        told = list(_confirmed(blocks))
    elif parts.kind == "delivery-status":
        told = list(_delivered(blocks, text))
    else:
        told = list(_told_in_text(header, text))
        copy = _COPY_BEGINS.search(text)
        returned = message_from_bytes(text[copy.end() :].lstrip().encode()) if copy else Message()
    names = tuple(dict.fromkeys(_references(header, blocks, returned)))[:_MOST_REFERENCES]
    return Report(names, told[:_MOST_RECIPIENTS], _header(header, "Message-ID").strip())


def _blocks(fields: bytes) -> list[Message]:
    """Return the groups of fields: of the message first, then of each recipient (RFC 3464 §2.1)."""
    whole = message_from_bytes(b"Content-Type: message/delivery-status\n\n" + fields.lstrip())
    payload = whole.get_payload()
    blocks = cast("list[Message]", payload) if isinstance(payload, list) else []
    return [block for block in blocks if block.keys()]


def _references(header: Message, blocks: Sequence[Message], returned: Message) -> Iterator[Reference]:
    about = [*blocks, header]
    for block in blocks:
        if _OWN_ID.fullmatch(own := _header(block, "Original-Envelope-Id").strip()):
            yield Reference(ReferenceKind.ID, own)
    for name in ("X-Original-Message-ID", "Original-Message-ID"):
        yield from (found for block in about for found in _ids(_header(block, name)))
    yield from _ids(_header(returned, "Message-ID"))
    if _OWN_ID.fullmatch(own := _header(returned, OWN_HEADER).strip()):
        yield Reference(ReferenceKind.ID, own)
    yield from _ids(_header(returned, "X-Microsoft-Original-Message-ID"))
    for name in ("In-Reply-To", "References"):
        yield from _ids(_header(header, name))


def _ids(text: str) -> Iterator[Reference]:
    yield from (Reference(ReferenceKind.MESSAGE_ID, found) for found in _MESSAGE_ID.findall(text))


def _delivered(blocks: Sequence[Message], text: str) -> Iterator[Told]:
    for block in blocks:
        addresses = tuple(_addresses(block))
        if not addresses:
            continue
        status = _STATUS.search(_header(block, "Status"))
        kind = _kind(_header(block, "Action").strip().lower(), status[1] if status else "")
        if kind is not None:
            words = _words(_header(block, "Diagnostic-Code"))
            yield _judged(kind, addresses, status[0] if status else "", words, text)


def _kind(action: str, status_class: str) -> ReportKind | None:
    if action in ("failed", "delayed"):
        return ReportKind(action)
    # «relayed», «expanded» and «delivered» end what can be known; without an action its class tells (RFC 3463 §2).
    return {"5": ReportKind.FAILED, "4": ReportKind.DELAYED}.get(status_class) if not action else None


def _confirmed(blocks: Sequence[Message]) -> Iterator[Told]:
    for block in blocks:
        if re.search(r";\s*displayed\b", _header(block, "Disposition"), re.IGNORECASE):
            yield Told(ReportKind.CONFIRMED, tuple(_addresses(block)))
            return


def _told_in_text(header: Message, text: str) -> Iterator[Told]:
    copy = _COPY_BEGINS.search(text)
    said = text[: copy.start()] if copy else text
    for address in re.split(r"[,\s]+", _header(header, "X-Failed-Recipients")):
        if "@" in address:
            status = _STATUS.search(said)
            yield _judged(ReportKind.FAILED, (address.strip("<>"),), status[0] if status else "", "", said)


def _judged(kind: ReportKind, addresses: Sequence[str], status: str, words: str, text: str) -> Told:
    said = words or (explain_pasted(text).line if text else "")
    if status and not re.match(r"[45]\d\d\b", said):
        said = f"{status[0]}50 {status} {said}".strip()
    key = next(filter(_ABOUT_DELIVERY.__contains__, _keys(said, status)), "")
    if not key:
        key = "bounce_expired" if kind is ReportKind.FAILED and status.startswith("4") else "bounce_other"
    return Told(kind, addresses, status, key, words or _words(said))


def _keys(said: str, status: str) -> Iterator[str]:
    """Yield what the words may mean where they were said, then what the code alone does (RFC 3463)."""
    for text in (said, f"{status[:1]}50 {status}" if status else ""):
        for stage in (Stage.RCPT_TO, Stage.FINAL) if text else ():
            key = explain_pasted(text, protocol=Leg.SMTP, stage=stage).key
            yield _OF_OTHERS.get(key, key)


def _addresses(block: Message) -> Iterator[str]:
    for name in ("Original-Recipient", "Final-Recipient"):
        _, _, address = _header(block, name).partition(";")
        if "@" in (address := address.strip().strip("<>")):
            yield address[:320]


def _words(text: str) -> str:
    said = " ".join(re.sub(r"^\s*[\w-]+\s*;", "", text).split())
    return said if len(said) <= _LONGEST_WORDS else said[: _LONGEST_WORDS - 1] + "…"


def _header(message: Message, name: str) -> str:
    # Bytes beyond ASCII come as an object of the library's, or as lone surrogates: nobody can store those.
    return str(message.get(name, "")).encode("utf-8", "replace").decode()
