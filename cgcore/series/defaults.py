"""Which series a document takes, and why; for one document, and as the table of a user or of the company."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cgcore.documents import DOCUMENT_TYPES, DocumentType
from cgcore.runs import Verdict
from cgcore.series.guards import check_coverage, check_default
from cgcore.series.series import Finding, Series, format_number
from cgcore.texts import sentence

__all__ = [
    "DefaultRow",
    "Defaults",
    "EffectiveDefault",
    "OwnChoice",
    "Reason",
    "build_row",
    "choices_version",
    "defaults_fingerprint",
    "effective_default",
    "judge_defaults",
    "verdict_texts",
]


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


@dataclass(frozen=True, slots=True)
class DefaultRow:
    """One document type.

    ``own`` is the stored choice and ``company`` the company's (None: none); ``effective`` and ``reason`` what
    applies; ``next_number`` how its next number looks, ``""`` where there is none; ``options`` code and name of the
    series that may be chosen, the first ones only where ``more`` is true.
    """

    document_type: DocumentType
    own: str | None
    company: str | None
    effective: str
    reason: Reason
    next_number: str
    findings: tuple[Finding, ...]
    options: tuple[tuple[str, str], ...]
    more: bool

    @property
    def has_error(self) -> bool:
        """Whether what applies is forbidden."""
        return any(finding.blocks for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return the API's object."""
        return {"series": self.own, "effective": self.effective or None, "reason": self.reason.value}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Every document type exactly once, in the order of ``cgcore.documents``; ``version`` stands for what is stored."""

    username: str
    rows: tuple[DefaultRow, ...]
    version: int

    def row(self, document_type: DocumentType) -> DefaultRow:
        """Return the row of one type."""
        return next(row for row in self.rows if row.document_type is document_type)

    @property
    def choices(self) -> dict[DocumentType, str]:
        """The stored choices."""
        return {row.document_type: row.own for row in self.rows if row.own is not None}

    def as_choices(self) -> dict[str, str]:
        """Return the stored choices by the code of their type, as a stale save shows them."""
        return {kind.value: code for kind, code in self.choices.items()}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, errors first."""
        found = [finding for row in self.rows for finding in row.findings]
        return tuple(sorted(found, key=lambda finding: not finding.blocks))

    def as_json(self) -> dict[str, Any]:
        """Return the API's object: every type with its choice, what applies, and why."""
        return {row.document_type.value: row.as_json() for row in self.rows}


def build_row(
    document_type: DocumentType,
    *,
    own: str | None,
    company: str | None,
    options: Sequence[tuple[str, str]],
    option_limit: int,
    series: Mapping[str, Series],
    year: int,
) -> DefaultRow:
    """Return the row of one type. ``options`` are the allowed series, at least two of them where there are two."""
    effective = effective_default(own, company, [code for code, _name in options])
    findings: tuple[Finding, ...] = ()
    chosen = series.get(effective.code)
    if effective.code:
        compared = company or "" if effective.reason is Reason.USER else ""
        findings = check_default(document_type, effective.code, chosen, company_code=compared, year=year)
    findings = (*findings, *check_coverage(document_type, effective.code, len(options)))
    counter = chosen.counters.get(document_type) if chosen else None
    return DefaultRow(
        document_type=document_type,
        own=own,
        company=company,
        effective=effective.code,
        reason=effective.reason,
        next_number=format_number(effective.code, counter.next_number) if counter else "",
        findings=findings,
        options=tuple(options[:option_limit]),
        more=len(options) > option_limit,
    )


def choices_version(choices: Mapping[DocumentType, str]) -> int:
    """Return a number that stands for what is stored: the same choices, the same number (48 bits of a SHA-256)."""
    ordered = [[entry.code.value, choices.get(entry.code)] for entry in DOCUMENT_TYPES]
    return int.from_bytes(hashlib.sha256(json.dumps(ordered).encode()).digest()[:6])


def defaults_fingerprint(defaults: Defaults) -> str:
    """Return what a check of these defaults depends on, as a SHA-256 (hex): other findings, another fingerprint."""
    rows = [
        [row.document_type.value, row.effective, row.reason.value, [finding.to_json() for finding in row.findings]]
        for row in defaults.rows
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def judge_defaults(defaults: Defaults, ms: int) -> Verdict:
    """Return the verdict of a check of these defaults: how many findings there are, and the first of them."""
    findings = defaults.findings
    errors = sum(finding.blocks for finding in findings)
    key = "check_errors" if errors else "check_warnings" if findings else "ok"
    values: dict[str, Any] = {"errores": errors, "avisos": len(findings) - errors}
    return Verdict(key, ms=ms, values={**values, "first": findings[0].to_json()} if findings else {})


def verdict_texts(verdict: Verdict) -> tuple[str, str]:
    """Return title and fix of a verdict of :func:`judge_defaults`; an unknown key is a ``KeyError``."""
    title = sentence("cgcore.series", f"{verdict.key}_title", **verdict.values)
    first = verdict.values.get("first")
    return title, Finding.from_json(first).message if first else ""
