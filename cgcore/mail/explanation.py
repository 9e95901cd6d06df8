"""A reply in plain words: key, title and fix, with what provider and reply tell. Command line and API show the same."""

from __future__ import annotations

from dataclasses import dataclass

from cgcore.mail.diagnosis import diagnose_reply
from cgcore.mail.reply_facts import reply_facts
from cgcore.mail.steps import Leg
from cgcore.mail.texts import provider_values, sentences

__all__ = ["PROTOCOLS", "Explanation", "explain_reply"]

PROTOCOLS = ("smtp", "imap", "library")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reply means: the diagnosis key and its two screen texts."""

    key: str
    title: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """Return the explanation as plain JSON values."""
        return {"key": self.key, "title": self.title, "fix": self.fix}


def explain_reply(text: str, *, protocol: str = "library", stage: str = "", provider: str = "") -> Explanation:
    """Explain a server's reply or a library's text; ``stage`` and ``provider`` (an id) may be ``""``."""
    found = diagnose_reply(protocol, stage, text, provider=provider)
    leg = Leg.IMAP if protocol == Leg.IMAP or (protocol == "library" and "imap" in text.lower()) else Leg.SMTP
    values = {**reply_facts(found.key, stage, text), **provider_values(provider, found.key, leg)}
    return Explanation(found.key, *sentences(found.key, leg, values))
