"""What discovery finds and says: sources, offers, legs, hints; and its one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cgcore.mail.account import Security
from cgcore.mail.diagnosis.texts import provider_values
from cgcore.mail.steps import Leg
from cgcore.texts import lookup

__all__ = [
    "CandidateReport",
    "Confidence",
    "Discovery",
    "FoundServer",
    "Offer",
    "Reason",
    "Source",
    "SourceReport",
    "SourceStatus",
    "TryStatus",
    "Verdict",
    "hint_texts",
]


class Source(StrEnum):
    """Where an offer comes from, the most trustworthy first."""

    COMPANY = "company"
    TABLE = "table"
    MX = "mx"
    SRV = "srv"
    AUTOCONFIG = "autoconfig"
    WELL_KNOWN = "well_known"
    ISPDB = "ispdb"
    CERTIFICATE = "certificate"
    GUESS = "guess"


class SourceStatus(StrEnum):
    """What became of a source; ``off``: not asked, because it is switched off or was not needed."""

    FOUND = "found"
    NOTHING = "nothing"
    ERROR = "error"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    OFF = "off"


class TryStatus(StrEnum):
    """What became of a candidate."""

    PROVEN = "proven"
    FAILED = "failed"
    FORBIDDEN = "forbidden"
    NOT_TRIED = "not_tried"


class Verdict(StrEnum):
    """Both legs proven, one of them, or none."""

    OK = "ok"
    PARTIAL = "partial"
    NONE = "none"


class Reason(StrEnum):
    """Why there are no settings."""

    INVALID_ADDRESS = "invalid_address"
    NO_SUCH_DOMAIN = "no_such_domain"
    DNS_TEMPORARY = "dns_temporary"
    NO_MAIL_SERVICE = "no_mail_service"
    NOTHING_PROVEN = "nothing_proven"
    INCOMPATIBLE = "incompatible"


class Confidence(StrEnum):
    """How sure it is that the mailbox lives there: by a table, by what the domain says, or by its name alone."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Offer:
    """A server that a source names. ``confirm``: a foreign host that an unsigned answer named, so ask first.

    ``provider`` is the id of the row of the provider table that it comes from, ``""`` when none.
    """

    leg: Leg
    host: str
    port: int
    security: Security
    source: Source
    confidence: Confidence
    username_form: str = "address"
    username: str = ""
    confirm: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of one source; ``detail`` is a word, or the host that it was read from."""

    source: Source
    status: SourceStatus
    ms: int = 0
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"source": self.source, "status": self.status, "ms": self.ms, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """What became of one candidate; ``key`` is the diagnosis of a failed one."""

    offer: Offer
    status: TryStatus
    key: str = ""
    ms: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        offer = self.offer
        return {
            "leg": offer.leg,
            "host": offer.host,
            "port": offer.port,
            "security": offer.security,
            "source": offer.source,
            "status": self.status,
            "key": self.key,
            "ms": self.ms,
        }


@dataclass(frozen=True, slots=True)
class FoundServer:
    """The server of one leg. ``proven``: a verified handshake under this name in this run, and its capabilities."""

    offer: Offer
    username: str
    proven: bool

    def to_json(self) -> dict[str, Any]:
        """Return the leg as plain JSON values."""
        offer = self.offer
        return {
            "host": offer.host,
            "port": offer.port,
            "security": offer.security,
            "username": self.username,
            "username_form": offer.username_form,
            "source": offer.source,
            "confidence": offer.confidence,
            "proven": self.proven,
            "confirm": offer.confirm,
        }


@dataclass(frozen=True, slots=True)
class Discovery:
    """The whole answer. ``hints`` are codes; ``provider`` is the id of a known provider, ``""`` for an unknown one."""

    address: str
    domain: str
    verdict: Verdict
    seconds: float = 0.0
    reason: Reason | None = None
    suggestion: str = ""
    legs: Mapping[Leg, FoundServer] = field(default_factory=dict[Leg, FoundServer])
    hints: Sequence[str] = ()
    provider: str = ""
    sources: Sequence[SourceReport] = ()
    candidates: Sequence[CandidateReport] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that command line and API answer; what is not known is ``""`` or null."""
        legs = {leg: found.to_json() if (found := self.legs.get(leg)) else None for leg in Leg}
        return {
            "address": self.address,
            "domain": self.domain,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "reason": self.reason or "",
            "suggestion": self.suggestion,
            **{str(leg): found for leg, found in legs.items()},
            "hints": hint_texts(self.hints, self.provider),
            "sources": [report.to_json() for report in self.sources],
            "candidates": [report.to_json() for report in self.candidates],
        }


_LINKED = {"application_password": "app_password_required", "oauth_only": "web_login_required"}


def hint_texts(codes: Sequence[str], provider_id: str) -> list[dict[str, str]]:
    """Return hints as the edge shows them: code, sentence in the language of the person, link or ``""``."""
    texts: Mapping[str, str] = lookup("cgcore.mail", "discovery")["hint"]
    hints: list[dict[str, str]] = []
    for code in codes:
        offered = provider_values(provider_id, _LINKED.get(code, ""), Leg.IMAP)
        steps = provider_values(provider_id, "imap_disabled", Leg.IMAP).get("steps") or ""
        values = {"provider": offered.get("provider", ""), "notes": offered.get("notes", ""), "steps": steps}
        told = texts[code].format_map(values)
        hints.append({"code": code, "text": told.strip(), "link": str(offered.get("link") or "")})
    return hints
