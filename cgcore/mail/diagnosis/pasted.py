"""What somebody pastes: a line, a bounce, the log of another program; the part of it that tells what is wrong.

Called by page, API and command line. A single reply goes to :func:`explain_reply` as it is; out of many lines the first
cause is taken, not the last code: what follows a refusal (QUIT, «connection lost») is its consequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email import message_from_string
from email.message import Message
from typing import cast

from cgcore.mail.diagnosis.catalogue import key_facts
from cgcore.mail.diagnosis.diagnose import Explanation, diagnose_reply, explain_reply
from cgcore.mail.steps import Leg, Stage

__all__ = ["LONGEST_TEXT", "explain_pasted"]

LONGEST_TEXT = 100_000  # characters that are read
_MOST_LINES = 1500
_LONGEST_LINE = 1000

_CODE = re.compile(r"(?:^|[\s:('\"<\[=])([45]\d\d)(?:[ -](?=\S)|, b?['\"])")
_IMAP = re.compile(r"(?:^|[\s:'\"<])((?:\*|[A-Za-z]{0,8}\d{1,8}) (?:NO|BAD|BYE)\b.*)")
_GOOD = re.compile(r"(?:^|[<:\]>\s])(?:[123]\d\d[ -]|(?:\*|[A-Za-z]{0,8}\d{1,8}) (?:OK|PREAUTH|LIST|CAPABILITY)\b)")
_SPECIAL = re.compile(r"Traceback \(most recent call last\)")
# Which command a line answers, as Postfix, Exim, sendmail, Exchange and programs for sending write it.
_COMMANDS: tuple[tuple[str, Stage], ...] = (
    (r"end[ -]of[ -]data|after data\b.*\bend|final dot|\bBODY\b.{0,20}command", Stage.FINAL),
    (r"\bSTARTTLS\b", Stage.STARTTLS),
    (r"\bAUTH(?:ENTICATE)?\b|\bLOGIN\b|password command|username command", Stage.AUTH),
    (r"\bRCPT(?: TO)?\b", Stage.RCPT_TO),
    (r"\bMAIL\b", Stage.MAIL_FROM),
    (r"\bDATA\b", Stage.DATA),
    (r"\b(?:EHLO|HELO)\b", Stage.EHLO),
    (r"\bAPPEND\b", Stage.APPEND),
    (r"\b(?:SELECT|EXAMINE)\b", Stage.SELECT),
)
_STAGE_WORDS = tuple((re.compile(pattern, re.IGNORECASE), stage) for pattern, stage in _COMMANDS)
_ANSWERS = re.compile(
    r"in reply to (?:the )?(.{1,40}?)(?: command|\)|$)"
    r"|\bafter ((?:RCPT|MAIL|DATA|AUTH|EHLO|HELO|STARTTLS|initial|end)\b.{0,60}?)(?=:|\s[45]\d\d|$)"
    r"|\b(\w+ command) failed"
    r"|(?:>>>|-> SERVER:?|\bSMTP>>|^\s*(?:C|CLIENT)\s*[:>])\s*(\S.{0,60})",
    re.IGNORECASE,
)
_ONE_REPLY = re.compile(r"(?:[ \t]*[2-5]\d\d(?:[ -].*|)(?:\n|$))+")
_SAYS = re.compile(r"\b(?:said|returned|responded|response|reply|answer(?:ed)?)(?: was)?:?\s+['\"]?(?=[45]\d\d)")
_DSN_FIELD = re.compile(r"^(Diagnostic-Code|Status):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.IGNORECASE | re.MULTILINE)
# Behind these a bounce repeats the message itself.
_ORIGINAL = re.compile(
    r"^(?:Content-Type:\s*(?:message/rfc822|text/rfc822-headers)|-+ ?(?:This is a copy|Original message"
    r"|\w+ original\b|Message (?:header|body) follows|Below this line)|Original message headers:)",
    re.IGNORECASE | re.MULTILINE,
)
# What is only said because something else had failed, or could mean anything.
_VAGUE = frozenset({"temporary_failure", "connection_dropped", "protocol_error", "server_silent", "wrong_protocol"})


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of what was pasted: a server's words, or a line of a program."""

    text: str
    protocol: str
    stage: str
    weight: int


def explain_pasted(text: str, *, protocol: str = "library", stage: str = "", provider: str = "") -> Explanation:
    """Explain whatever was pasted; ``line`` of the answer is what it was read from.

    ``protocol`` other than ``library`` and ``stage`` are what the caller knows already: then the text is one reply.
    """
    text = text.strip()[:LONGEST_TEXT]
    is_one = _ONE_REPLY.fullmatch(text) or ("\n" not in text and not _stage_of(text))
    if protocol != "library" or stage or is_one:
        return replace(explain_reply(text, protocol=protocol, stage=stage, provider=provider), line=_short(text))
    best: tuple[int, _Part] | None = None
    for part in _parts(text):
        part = _placed(part, provider)
        key = diagnose_reply(part.protocol, part.stage, part.text, provider=provider).key
        worth = part.weight + _worth_of(key)
        if key != "ok" and (best is None or worth > best[0]):
            best = worth, part
    if best is None or (best[0] < _worth_of("unclassified") and "\n" not in text):
        return replace(explain_reply(text, provider=provider), line=_short(text))
    part = best[1]
    found = explain_reply(part.text, protocol=part.protocol, stage=part.stage, provider=provider)
    return replace(found, line=_short(part.text))


def _placed(part: _Part, provider: str) -> _Part:
    """Give a reply of an unknown stage the one that it can only belong to, lest it is taken for a refused password."""
    if part.stage:
        return part
    if part.protocol == Leg.IMAP:
        return replace(part, stage=Stage.APPEND) if "[TRYCREATE]" in part.text else part
    if part.protocol != Leg.SMTP or not part.text.startswith(("45", "55")) or part.text.startswith("454"):
        return part
    key = diagnose_reply(part.protocol, "", part.text, provider=provider).key
    return replace(part, stage=Stage.RCPT_TO) if Stage.AUTH in key_facts(key).stages.get(Leg.SMTP, ()) else part


def _worth_of(key: str) -> int:
    return 0 if key == "unclassified" else 1 if key in _VAGUE else 4


def _short(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= _LONGEST_LINE else said[: _LONGEST_LINE - 1] + "…"


def _parts(text: str) -> Iterator[_Part]:
    """Yield what may tell the cause, each with how much its form speaks for it: a server's own words before others."""
    if _SPECIAL.search(text):
        yield _Part(text, "library", "", 3)
    said = _unfolded(_told_by_bounce(text))
    stage = _stage_of(said)
    for name, value in _DSN_FIELD.findall(said):
        if name.lower() == "diagnostic-code":
            words = re.sub(r"^[\w-]+;\s*", "", " ".join(value.split()))
            yield from _of_line(words, stage, 4)
    yield from _of_lines(_joined(_DSN_FIELD.sub("", said).splitlines()[:_MOST_LINES]))


def _of_lines(lines: Iterator[str]) -> Iterator[_Part]:
    command = ""
    for line in lines:
        if found := _stage_of(line):
            command = found
        if line.rstrip()[-1:] == "." and re.search(r"(?:>>>|->|C:|SERVER:)\s*\.$", line.rstrip()):
            command = Stage.FINAL
        yield from _of_line(line, command, 2)


def _of_line(line: str, stage: str, weight: int) -> Iterator[_Part]:
    if (answer := _SAYS.search(line)) or (answer := _CODE.search(line)):
        start = answer.end() if answer.re is _SAYS else answer.start(1)
        words = re.sub(r"^(\d{3}), b?['\"]", r"\1 ", line[start:])
        yield _Part(words.replace("\t", "\n").rstrip("'\"]) "), "smtp", stage, weight)
    elif refused := _IMAP.search(line):
        yield _Part(refused[1], "imap", stage, weight)
    elif not _GOOD.search(line) and line.strip():
        yield _Part(line, "library", "", weight - 2)


def _stage_of(line: str) -> str:
    """Return the stage of the command that a line is, or answers; ``""`` where it names none."""
    found = _ANSWERS.search(line)
    command = next(filter(None, found.groups()), "") if found else ""
    return next((stage for pattern, stage in _STAGE_WORDS if pattern.search(command)), "")


def _joined(lines: list[str]) -> Iterator[str]:
    """Yield the lines, those of one reply («550-…», «550 …») as one with a tab between them."""
    held, code = "", ""
    for line in lines:
        found = re.search(r"(?:^|[\s<:])([245]\d\d)([ -])(?=\S)", line[:120])
        same = found is not None and found[1] == code
        if held and not same:
            yield held
            held = ""
        held = f"{held}\t{line[found.start(1) :]}" if held and found else line
        code = found[1] if found and found[2] == "-" else ""
        if not code:
            yield held
            held = ""
    if held:
        yield held


def _unfolded(text: str) -> str:
    """Cut the message that a bounce repeats."""
    original = _ORIGINAL.search(text)
    return text[: original.start()] if original and original.start() > 0 else text


def _told_by_bounce(text: str) -> str:
    """Return the readable parts of a bounce that was pasted with its headers (RFC 3464), other text as it is."""
    if "multipart/report" not in text.lower():
        return text
    parsed = message_from_string(text.lstrip())
    told: list[str] = []
    for part in parsed.walk():
        if part.get_content_type() == "message/delivery-status":
            told += [str(fields) for fields in cast("list[Message]", part.get_payload())]
        elif part.get_content_type() == "text/plain" and not told:
            payload = part.get_payload(decode=True)
            told.append(payload.decode("utf-8", "replace") if isinstance(payload, bytes) else "")
    return "\n".join(told) or text
