"""Which series a document takes, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cgcore.documents import DocumentType

__all__ = ["EffectiveDefault", "OwnChoice", "Reason", "effective_default"]


class Reason(StrEnum):
    """Why a series is the effective one."""

    USER = "user"
    COMPANY = "company"
    ONLY_ONE = "only_one"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EffectiveDefault:
    """The effective series of one type and the reason; ``code`` is ``""`` exactly when the reason is ``none``."""

    code: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class OwnChoice:
    """A stored default: who chose which series for which type; an empty ``username`` is the company."""

    username: str
    document_type: DocumentType
    series_code: str


def effective_default(own: str | None, company: str | None, available: Sequence[str]) -> EffectiveDefault:
    """Return the series that applies: the user's own, else the company's, else the only one available, else none.

    ``available`` are the codes allowed for the type (two are enough to know). A stored choice is returned even where
    it is forbidden by now: it is reported, never replaced.
    """
    if own:
        return EffectiveDefault(own, Reason.USER)
    if company:
        return EffectiveDefault(company, Reason.COMPANY)
    if len(available) == 1:
        return EffectiveDefault(available[0], Reason.ONLY_ONE)
    return EffectiveDefault("", Reason.NONE)
