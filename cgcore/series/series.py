"""A series: its code, its kind, the document types it serves, and what is wrong with one as somebody typed it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cgcore.documents import DOCUMENT_TYPES, DocumentType, SeriesGroup, info, type_text
from cgcore.errors import FieldProblem
from cgcore.text_rules import find_text_problem
from cgcore.texts import Text, names_in, text

__all__ = [
    "MAX_CODE",
    "MAX_NAME",
    "MAX_NUMBER",
    "Counter",
    "Finding",
    "Series",
    "SeriesDraft",
    "SeriesKind",
    "Severity",
    "check_counter",
    "check_draft",
    "check_kind",
    "code_key",
    "code_problem",
    "find",
    "forbidden_characters",
    "foreign_characters",
    "format_number",
    "past_year",
    "preview_numbers",
    "series_problem",
    "sign_words",
]


class SeriesKind(StrEnum):
    """What a series numbers, as far as invoices are concerned; the value is also the word on screen."""

    ORDINARY = "ordinaria"
    SIMPLIFIED = "simplificada"
    CORRECTIVE = "rectificativa"


@dataclass(frozen=True, slots=True)
class Counter:
    """The counter of one document type in one series.

    ``next_number`` is the number of the next document. ``last_used`` is the highest number that a sent document
    bore in ``last_used_year``; both are 0 where none was sent.
    """

    next_number: int = 1
    last_used: int = 0
    last_used_year: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """A series as it is shown: ``counters`` holds exactly the document types it serves."""

    code: str
    name: str = ""
    kind: SeriesKind = SeriesKind.ORDINARY
    active: bool = True
    counters: Mapping[DocumentType, Counter] = field(default_factory=dict[DocumentType, Counter])
    used: bool = False
    version: int = 1

    def serves(self, document_type: DocumentType) -> bool:
        """Whether documents of this type may be numbered here."""
        return document_type in self.counters

    def serves_group(self, group: SeriesGroup) -> bool:
        """Whether it serves any type of ``group``."""
        return any(info(document_type).group is group for document_type in self.counters)

    @property
    def mixes_sales_and_purchases(self) -> bool:
        """Whether it serves both sides (rule 9)."""
        return self.serves_group(SeriesGroup.SALES) and self.serves_group(SeriesGroup.PURCHASES)

    def as_json(self) -> dict[str, Any]:
        """Return the API's object; ``document_types`` maps each type served to its next number."""
        return {
            "code": self.code,
            "name": self.name,
            "kind": self.kind.value,
            "active": self.active,
            "document_types": {
                entry.code.value: self.counters[entry.code].next_number
                for entry in DOCUMENT_TYPES
                if entry.code in self.counters
            },
            "version": self.version,
        }


MAX_CODE = 10

# What the tax agency advises for the number of an invoice: no lower case, no ñ, no accents.
_ADVISED = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_/. ")
_RECENT_YEARS = 5  # a two-digit number counts as a year only so far back: «F25», not «A16»


# What may not stand in an invoice's number (AEAT, VERI*FACTU: NumSerieFactura), and the signs that look like it.
_FORBIDDEN = frozenset("<>\"'=‘’‚‛“”„‟′″‹›ʼˈ´`")


def code_key(code: str) -> str:
    """Return what makes two codes the same series: neither case counts, nor how a letter is composed, nor its width."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code).casefold())


def forbidden_characters(code: str) -> list[str]:
    """Return the signs that no code may have, each once as it was typed; their look-alikes are no better."""
    return [char for char in dict.fromkeys(code) if _FORBIDDEN & set(unicodedata.normalize("NFKC", char) + char)]


def code_problem(code: str) -> str:
    """Return the key of what forbids ``code``, ``""`` for none: 1 to 10 printable signs, no blank at an end."""
    if not code.strip():
        return "code_empty"
    if code != code.strip():
        return "code_outer_space"
    if len(code) > MAX_CODE:
        return "code_too_long"
    return "" if code.isprintable() else "code_unprintable"


def foreign_characters(code: str) -> list[str]:
    """Return the signs outside the tax agency's advice, each once; a space where there are several."""
    found = [char for char in dict.fromkeys(code) if char not in _ADVISED]
    return [*found, " "] if code.count(" ") > 1 else found


def sign_words(signs: Sequence[str]) -> tuple[str | Text, ...]:
    """Return the signs of :func:`foreign_characters` as a sentence lists them."""
    return tuple(text("cgcore.series", "several_spaces") if sign == " " else f"«{sign}»" for sign in signs)


def past_year(code: str, name: str, *, year: int) -> str:
    """Return the past year a series is named after, ``""`` for none: four digits anywhere, two only in the code."""
    for words in (code, name):
        for digits in re.findall(r"(?<!\d)(?:19|20)\d\d(?!\d)", words):
            if int(digits) < year:
                return digits
    for digits in re.findall(r"(?<!\d)\d\d(?!\d)", code):
        if 0 < (year - int(digits)) % 100 <= _RECENT_YEARS:
            return digits
    return ""


class Severity(StrEnum):
    """Whether saving goes on."""

    ERROR = "error"
    WARNING = "warning"


def _no_values() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the number of its rule, a stable code, its document type, and the values that its sentence names."""

    rule: int
    code: str
    severity: Severity
    document_type: DocumentType | None = None
    values: Mapping[str, Any] = field(default_factory=_no_values)

    @property
    def message(self) -> str:
        """One sentence that says what and why, made for whoever reads it now."""
        # ``told``: a sentence of an earlier version, in which the values could not be recognised.
        return str(self.values.get("told", "")) or str(self.text)

    @property
    def text(self) -> Text:
        """The sentence that is still to be made."""
        words = dict(self.values)
        if self.document_type is not None:
            words["tipo"] = type_text(self.document_type)
        if "signos" in words:
            words["signos"] = sign_words(words["signos"])
        return text("cgcore.series", self.code, **words)

    @property
    def blocks(self) -> bool:
        """Whether it refuses the save."""
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the API shows it."""
        return {"rule": self.rule, "code": self.code, "severity": self.severity.value, "message": self.message}

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it is stored: plain JSON values, no sentence."""
        kind = self.document_type.value if self.document_type else ""
        return {
            "rule": self.rule,
            "code": self.code,
            "severity": self.severity.value,
            "type": kind,
            "values": dict(self.values),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """Return the finding that :meth:`to_json` wrote."""
        kind = DocumentType(value["type"]) if value["type"] else None
        return cls(value["rule"], value["code"], Severity(value["severity"]), kind, value["values"])


def find(
    rule: int, code: str, severity: Severity, document_type: DocumentType | None = None, **values: object
) -> Finding:
    """Return the finding ``code`` with those of ``values`` that its sentence names."""
    named = names_in("cgcore.series", code)
    return Finding(
        rule, code, severity, document_type, {name: value for name, value in values.items() if name in named}
    )


MAX_NUMBER = 999_999_999


def format_number(code: str, number: int) -> str:
    """Return a number as it looks on a document: ``F 21043``."""
    return f"{code} {number}"


def preview_numbers(series: Series, document_type: DocumentType, count: int = 3) -> tuple[str, ...]:
    """Return the next numbers as they would look, consuming nothing; none where the type is not served.

    A preview promises nothing: somebody else may issue first.
    """
    counter = series.counters.get(document_type)
    if counter is None:
        return ()
    return tuple(format_number(series.code, counter.next_number + step) for step in range(count))


def check_counter(
    code: str, document_type: DocumentType, next_number: int, stored: Counter, *, year: int
) -> Finding | None:
    """Return what rule 11 says of a next number, given what was sent so far.

    At or below the last number of this year it would repeat one: an error, unless it stands like that already (the
    suite moves it, not the sending), then a warning. Below one of an earlier year it is the usual New Year restart:
    a warning, since «F 1» then exists twice in a mailbox.
    """
    if next_number > stored.last_used:
        return None
    this_year = stored.last_used_year >= year
    return find(
        11,
        "number_repeats" if this_year else "counter_restarts",
        Severity.ERROR if this_year and next_number != stored.next_number else Severity.WARNING,
        document_type,
        serie=code,
        numero=format_number(code, next_number),
        ultimo=format_number(code, stored.last_used),
        siguiente=stored.last_used + 1,
        ano=stored.last_used_year,
    )


MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class SeriesDraft:
    """What is asked to be stored; ``next_numbers`` holds exactly the document types that the series shall serve."""

    code: str
    name: str = ""
    kind: SeriesKind = SeriesKind.ORDINARY
    active: bool = True
    next_numbers: Mapping[DocumentType, int] = field(default_factory=dict[DocumentType, int])

    def __post_init__(self) -> None:
        # «Ñ» typed as one letter, or as «N» with a combining tilde: the same code, in the same bytes.
        object.__setattr__(self, "code", unicodedata.normalize("NFC", self.code))
        object.__setattr__(self, "name", unicodedata.normalize("NFC", self.name))


def series_problem(name: str, code: str, *, blocking: bool = True, **values: object) -> FieldProblem:
    """Return the problem ``code`` of one field and the values of its sentence."""
    return FieldProblem(name, code, text("cgcore.series", code, **values), blocking)


def check_draft(
    draft: SeriesDraft, counters: Mapping[DocumentType, Counter], *, year: int, stored_code: str = ""
) -> tuple[FieldProblem, ...]:
    """Return every problem of ``draft``, blocking or not; ``counters`` is what is stored for it so far.

    Fields are ``code``, ``name``, ``document_types`` and ``next_number.<type>``. ``stored_code`` is the code that the
    series has: one from before a rule may be kept, so that the series can still be changed and switched off.
    """
    names = _check_names(draft, year, may_keep_code=draft.code == stored_code)
    return (*names, *_check_types(draft), *_check_numbers(draft, counters, year))


def check_kind(draft: SeriesDraft, stored: Series) -> Iterator[FieldProblem]:
    """Yield a warning where a series that documents bear turns from complete to simplified invoices, or back.

    Rule 5: one series for complete and simplified invoices alike.
    """
    if stored.used and {stored.kind, draft.kind} == {SeriesKind.ORDINARY, SeriesKind.SIMPLIFIED}:
        yield series_problem("kind", "kinds_mixed", blocking=False, serie=stored.code)


def _check_names(draft: SeriesDraft, year: int, *, may_keep_code: bool) -> Iterator[FieldProblem]:
    if problem := code_problem(draft.code):
        yield series_problem("code", problem, maximo=MAX_CODE)
        return
    if len(draft.name) > MAX_NAME:
        yield series_problem("name", "name_too_long", maximo=MAX_NAME)
    elif find_text_problem(draft.name, MAX_NAME):
        yield series_problem("name", "name_unprintable")
    if (signs := forbidden_characters(draft.code)) and not may_keep_code:
        yield series_problem("code", "forbidden_characters", serie=draft.code, signos=sign_words(signs))
    elif signs := foreign_characters(draft.code):
        yield series_problem("code", "foreign_characters", blocking=False, serie=draft.code, signos=sign_words(signs))
    if found := past_year(draft.code, draft.name, year=year):
        yield series_problem("code", "past_year", blocking=False, serie=draft.code, ano=found)


def _check_types(draft: SeriesDraft) -> Iterator[FieldProblem]:
    if not draft.next_numbers:
        yield series_problem("document_types", "no_types")
    if {DocumentType.SALES_INVOICE, DocumentType.PROFORMA_INVOICE} <= set(draft.next_numbers):
        yield series_problem("document_types", "proforma_and_invoices", blocking=False, serie=draft.code)
    if Series(draft.code, counters=dict.fromkeys(draft.next_numbers, Counter())).mixes_sales_and_purchases:
        yield series_problem("document_types", "sales_and_purchases", blocking=False, serie=draft.code)


def _check_numbers(draft: SeriesDraft, counters: Mapping[DocumentType, Counter], year: int) -> Iterator[FieldProblem]:
    for document_type, number in draft.next_numbers.items():
        place = f"next_number.{document_type.value}"
        if not 1 <= number <= MAX_NUMBER:
            yield series_problem(place, "number_invalid", tipo=type_text(document_type), maximo=MAX_NUMBER)
            continue
        finding = check_counter(draft.code, document_type, number, counters.get(document_type, Counter()), year=year)
        if finding:
            yield FieldProblem(place, finding.code, finding.text, finding.blocks)
