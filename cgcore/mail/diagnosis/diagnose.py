"""What a server's words or an exception mean: one diagnosis key, and its explanation in plain words."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from cgcore.mail.diagnosis.catalogue import Diagnosis, build_diagnosis
from cgcore.mail.diagnosis.codes import (
    key_of_basic_code,
    key_of_capabilities,
    key_of_enhanced_code,
    key_of_imap_code,
    key_of_status,
)
from cgcore.mail.diagnosis.exceptions import key_of_exception
from cgcore.mail.diagnosis.reply import ParsedReply, parse_reply, reply_facts
from cgcore.mail.diagnosis.rules import RuleSearch, Situation
from cgcore.mail.diagnosis.texts import provider_values, sentences
from cgcore.mail.providers import PasswordKind, find_provider
from cgcore.mail.steps import Leg, Stage

__all__ = [
    "PROTOCOLS",
    "Diagnosis",
    "Explanation",
    "build_diagnosis",
    "diagnose_exception",
    "diagnose_reply",
    "explain_reply",
]

_TELLING = (
    "first",
    "oauth",
    "providers",
    "notions",
    "early",
    "sign_in",
    "sign_in_late",
    "envelope",
    "addresses",
    "folders",
    "notions_late",
)
_CHALLENGE = re.compile(r"^(?:334|\+)\s*([A-Za-z0-9+/=]{16,})\s*$")
# «connect to mx.example[192.0.2.4]:25: …», «Connection to mail.example:587 timed out»: who says where, has its address.
_TO_PORT = r"\b(?:connect(?:ion|ing)? (?:to|with)|dial tcp) \S{1,80}:\d{2,5}\b"
_CONNECTS = re.compile(rf"{_TO_PORT}.{{0,20}}(?:timed out|timeout)|timed? ?out.{{0,20}}{_TO_PORT}")
# A plain refusal of these means a wrong password as often as one of the wrong kind: they name the kind themselves.
_NAME_THE_KIND = frozenset({"gmail", "google_workspace"})


def diagnose_reply(protocol: Leg | str, stage: Stage | str, text: str, *, provider: str = "") -> Diagnosis:
    """Return what a server's reply means.

    ``protocol`` is ``smtp``, ``imap`` or ``library`` (an exception's text, class name first; also what other mail
    programs show). ``stage`` is where it appeared, ``""`` when unknown. ``text`` is the reply as it stands on the
    wire: several lines joined by a newline, each with its code; IMAP without the tag. ``provider`` is an id of the
    provider table, ``""`` when unknown. Words nobody knows are ``unclassified``.

    The order: words, enhanced or IMAP code, vague words, basic code at its stage; a number never beats words.
    """
    reply = parse_reply(str(protocol), text)
    where = Situation(str(protocol), str(stage) or _likely_stage(reply), provider)
    return build_diagnosis(_for_provider(_key(reply, where, text), where), stage)


def diagnose_exception(exc: BaseException, leg: Leg, stage: Stage, *, provider: str = "") -> Diagnosis:
    """Return what an exception of the network, TLS, SMTP or IMAP layer means.

    The most specific class decides, then its attributes (error number, verification code, the server's reply). What
    may hold a secret, the arguments of an encoding error, is never read.
    """
    found = key_of_exception(exc, str(stage))
    if found.key:
        return build_diagnosis(found.key, stage)
    return diagnose_reply(leg if found.is_reply else "library", stage, found.text, provider=provider)


def _key(reply: ParsedReply, where: Situation, text: str) -> str:
    key = _told(reply, where, text)
    # That a message may be under way is known only where its end had been reached.
    return "connection_dropped" if key == "delivery_unknown" and not where.stage else key


def _told(reply: ParsedReply, where: Situation, text: str) -> str:
    rules = RuleSearch(reply, where)
    ours = where.protocol == "library" and not reply.code
    return (
        (rules.key("oauth") if ours else "")
        or (rules.key("library") if ours else "")
        or _key_of_good_news(reply, where, text, rules)
        or _key_of_refusal(reply, where, rules)
        or (rules.key("library") if where.protocol == "library" else "")
        or "unclassified"
    )


def _key_of_refusal(reply: ParsedReply, where: Situation, rules: RuleSearch) -> str:
    for name in _TELLING:
        if key := rules.key(name):
            return key
    return (
        key_of_enhanced_code(reply, where.stage)
        or key_of_imap_code(reply, where.stage)
        or rules.key("last")
        or key_of_basic_code(reply, where.stage)
        or key_of_status(reply, where.stage)
    )


def _key_of_good_news(reply: ParsedReply, where: Situation, text: str, rules: RuleSearch) -> str:
    """Return the key of a reply that is no refusal: ``ok``, a token's challenge, or ``""``."""
    if challenge := _CHALLENGE.match(text.strip()):
        return "token_rejected" if _is_token_refusal(challenge[1]) else ""
    if where.stage == Stage.GREETING and (key := rules.key("first")):
        return key
    if 200 <= reply.code < 300 or reply.status == "OK":
        return key_of_capabilities(text, where.stage) or "ok"
    return ""


def _is_token_refusal(challenge: str) -> bool:
    """Whether a challenge is the JSON that says why a token was refused (RFC 7628)."""
    try:
        said = json.loads(base64.b64decode(challenge, validate=True))
    except (binascii.Error, ValueError):
        return False
    return isinstance(said, dict) and "status" in said


def _likely_stage(reply: ParsedReply) -> str:
    """Return the stage that a code belongs to, ``""`` when it may be any."""
    if reply.code in (334, 432, 534, 535, 538) or reply.imap_code in ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED"):
        return Stage.AUTH
    if reply.code in (530, 555):
        return Stage.MAIL_FROM
    if not reply.code and _CONNECTS.search(reply.raw):
        return Stage.TCP
    return Stage.RCPT_TO if reply.code in (551, 553) else ""


def _for_provider(key: str, where: Situation) -> str:
    """Turn a plain refusal into the wish for an app password where the provider has it without saying so."""
    if key != "bad_credentials" or where.provider in _NAME_THE_KIND:
        return key
    provider = find_provider(where.provider) if where.provider else None
    wants_another = provider is not None and provider.password_kind is PasswordKind.APP_PASSWORD
    return "app_password_required" if wants_another else key


PROTOCOLS = ("smtp", "imap", "library")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reply means: the diagnosis key and its two screen texts; ``line``, where it was read from more."""

    key: str
    title: str
    fix: str
    line: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the explanation as plain JSON values."""
        return {"key": self.key, "title": self.title, "fix": self.fix}


def explain_reply(text: str, *, protocol: str = "library", stage: str = "", provider: str = "") -> Explanation:
    """Explain a server's reply or a library's text; ``stage`` and ``provider`` (an id) may be ``""``."""
    found = diagnose_reply(protocol, stage, text, provider=provider)
    leg = Leg.IMAP if protocol == Leg.IMAP or (protocol == "library" and "imap" in text.lower()) else Leg.SMTP
    values = {**reply_facts(found.key, stage, text), **provider_values(provider, found.key, leg)}
    return Explanation(found.key, *sentences(found.key, leg, values))
