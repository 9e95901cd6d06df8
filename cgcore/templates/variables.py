"""The catalogue of variables: names, samples, types they belong to, and what a misspelt name may have meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.language import current_language
from cgcore.templates.document import is_blank
from cgcore.texts import lookup

__all__ = [
    "Sample",
    "Variable",
    "clean_value",
    "is_for_type",
    "is_known",
    "list_common_variables",
    "list_samples",
    "list_variables",
    "nearest_variable",
    "normalise_name",
    "suggest_variable",
    "values_for",
]

_DUE_DATE = "vencimiento"
# Line breaks of every kind, Unicode's included: none may reach a header or break a line of the text part.
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# What HTML and XML cannot hold: the other control characters, lone surrogates, noncharacters; and bidi overrides,
# with which a customer's name could turn round the rest of a subject.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Variable:
    """A name that a template may write in braces, as a page calls it, its value in a sample, and what it stands for."""

    name: str
    label: str
    sample: str
    help: str


def normalise_name(written: str) -> str:
    """Return the name as the catalogue spells it: composed accents, lower case."""
    return unicodedata.normalize("NFC", written).lower()


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(lookup("cgcore.templates", "variables"))


def is_known(name: str) -> bool:
    """Whether ``name`` (normalised) is in the catalogue, for whatever type."""
    return name in lookup("cgcore.templates", "variables")


def is_for_type(name: str, document_type: DocumentType) -> bool:
    """Whether documents of the type have a value for ``name``: only the due date is limited."""
    return is_known(name) and (name != _DUE_DATE or info(document_type).has_due_date)


def list_variables(document_type: DocumentType) -> tuple[Variable, ...]:
    """Return the variables of a type with its samples, in the order of the palette."""
    samples = _samples(document_type, current_language())
    texts = lookup("cgcore.templates", "variables")
    return tuple(Variable(name, texts[name]["label"], samples[name], texts[name]["help"]) for name in samples)


def list_common_variables() -> tuple[Variable, ...]:
    """Return the variables that every type with a template has, as the first of them shows them."""
    first, *others = [list_variables(entry.code) for entry in types_with_template()]
    common = {each.name for each in first}.intersection(*({each.name for each in found} for found in others))
    return tuple(each for each in first if each.name in common)


@cache
def _samples(document_type: DocumentType, _language: str) -> dict[str, str]:
    entry = info(document_type)
    own = {"documento": entry.noun, "el_documento": entry.noun_with_article, "del_documento": entry.noun_of}
    texts = lookup("cgcore.templates", "variables")
    return {
        name: own[name] if name in own else str(texts[name]["sample"])
        for name in _names()
        if is_for_type(name, document_type)
    }


def clean_value(value: str) -> str:
    """Return a value on one line, without control characters; what shows nothing is empty."""
    one_line = _UNPRINTABLE.sub("", _BREAKS.sub(" ", value))
    return "" if is_blank(one_line) else one_line


def values_for(document_type: DocumentType, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every variable of the type: the given one, cleaned, else the sample.

    Names of ``given`` are read as in a template (case does not count); unknown ones are left out.
    """
    values = dict(_samples(document_type, current_language()))
    for written, value in given.items():
        name = normalise_name(written)
        if name in values:
            values[name] = clean_value(value)
    return values


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", normalise_name(name))
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return re.sub(r"[\s\-]+", "_", bare.strip())


def _distance(left: str, right: str, limit: int) -> int:
    # Optimal string alignment: a letter more, less, other, or two swapped, each counts one.
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


@lru_cache(maxsize=4096)
def nearest_variable(written: str) -> str | None:
    """Return the variable that ``written`` is, or nearly is: accents, blanks, one slip (two in a long name)."""
    if len(written) > 40:
        return None
    plain = _plain(written)
    for candidate in (plain, plain.replace("_", "")):
        if is_known(candidate):
            return candidate
    scored = [(_distance(plain, name, 2), name) for name in _names()]
    near = [(score, name) for score, name in scored if score <= (1 if len(name) <= 5 else 2)]
    return min(near)[1] if near else None


@lru_cache(maxsize=4096)
def suggest_variable(written: str) -> str | None:
    """Return what an unknown name may have meant: a near one, a known other word, or one that looks alike."""
    if len(written) > 40:
        return None
    near = nearest_variable(written)
    if near is not None:
        return near
    plain = _plain(written)
    if plain in lookup("cgcore.templates", "aliases"):
        return str(lookup("cgcore.templates", "aliases")[plain])
    alike = get_close_matches(plain, _names(), n=1, cutoff=0.75)
    parts = [part for part in plain.split("_") if is_known(part)]
    return alike[0] if alike else parts[-1] if parts else None


@dataclass(frozen=True, slots=True)
class Sample:
    """A document to try a template with; ``values`` holds what differs from the variables' own samples."""

    key: str
    label: str
    values: Mapping[str, str]


def list_samples() -> tuple[Sample, ...]:
    """Return the samples, the ordinary one first."""
    return tuple(
        Sample(entry["key"], entry["label"], entry["values"]) for entry in lookup("cgcore.templates", "samples")
    )
