"""Discovery as the API answers it; apart from the other objects, because no route but its own has it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from cgcore.mail.account import Security
from cgcore.mail.discovery.result import Confidence, Source, SourceStatus, TryStatus, Verdict
from cgcore.mail.steps import Leg
from cgcore.web.api.objects import NO_NUL, ApiObject

__all__ = ["Discover", "Discovered"]


class Discover(ApiObject):
    """The address whose servers are sought."""

    address: Annotated[str, StringConstraints(max_length=320, pattern=NO_NUL)]


class DiscoveredServer(BaseModel):
    """The server of one leg; with ``confirm`` it is a foreign one that an unsigned answer named."""

    host: str
    port: int
    security: Security
    username: str
    username_form: str
    source: Source
    confidence: Confidence
    proven: bool
    confirm: bool


class DiscoveryHint(BaseModel):
    """What the provider wants."""

    code: str
    text: str
    link: str


class DiscoverySource(BaseModel):
    """What became of a source."""

    source: Source
    status: SourceStatus
    ms: int
    detail: str


class DiscoveryCandidate(BaseModel):
    """What became of a candidate; ``key`` is the diagnosis of a failed one."""

    leg: Leg
    host: str
    port: int
    security: Security
    source: Source
    status: TryStatus
    key: str
    ms: int


class Discovered(BaseModel):
    """The whole answer of a discovery."""

    address: str
    domain: str
    verdict: Verdict
    seconds: float
    reason: str
    suggestion: str
    smtp: DiscoveredServer | None
    imap: DiscoveredServer | None
    hints: list[DiscoveryHint]
    sources: list[DiscoverySource]
    candidates: list[DiscoveryCandidate]
