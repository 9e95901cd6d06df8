"""The language of the person, and how it writes numbers, lists, dates, sizes and plurals (by Babel, from CLDR)."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from unicodedata import normalize

__all__ = [
    "DEFAULT_LANGUAGE",
    "STYLES",
    "Formats",
    "choose_language",
    "current_language",
    "known_languages",
    "plural_form",
    "speak",
    "speaking",
    "use_language_of",
    "write_list",
    "write_value",
]

DEFAULT_LANGUAGE = "es"
_LONGEST_WISH = 1000
Formats = Callable[[str], str]
"""The pattern (CLDR) that a language writes ``date``, ``day`` (of this year), ``time`` and ``moment`` with."""

_language: ContextVar[str] = ContextVar("language", default="")
_sources: list[Callable[[], str]] = []


def current_language() -> str:
    """Return the language that sentences are made in here: what the edge has set, else Spanish."""
    if language := _language.get():
        return language
    return next((language for ask in _sources if (language := ask())), DEFAULT_LANGUAGE)


def speak(language: str) -> None:
    """Make sentences in ``language`` from here on, in this context; an unknown one means Spanish."""
    _language.set(choose_language(language))


@contextmanager
def speaking(language: str) -> Generator[None]:
    """Make the sentences inside the block in ``language``; an unknown one means Spanish."""
    token = _language.set(choose_language(language))
    try:
        yield
    finally:
        _language.reset(token)


def use_language_of(ask: Callable[[], str]) -> None:
    """Ask ``ask`` where no edge has set a language; ``""`` from it is no answer.

    For an edge whose threads we do not start: a run of a page, a fragment of it or a callback.
    """
    if ask not in _sources:
        _sources[:] = [ask]


def choose_language(wanted: str) -> str:
    """Return the first language of ``wanted`` that we have, else Spanish.

    ``wanted`` is a tag (``es``, ``es-ES``, ``es_ES.UTF-8``) or a browser's list with weights (RFC 9110 §12.5.4).
    """
    return _choose(wanted[:_LONGEST_WISH], known_languages())


@lru_cache(256)  # with every request, and few of them differ
def _choose(wanted: str, known: frozenset[str]) -> str:
    ranked = sorted(_ranges(wanted), key=lambda entry: -entry[0])
    return next((tag for weight, tag in ranked if weight > 0 and tag in known), DEFAULT_LANGUAGE)


def _ranges(wanted: str) -> Iterator[tuple[float, str]]:
    for part in wanted.split(",")[:20]:
        tag, _, parameters = part.partition(";")
        weight = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameters)
        yield float(weight[1]) if weight else 1.0, re.split(r"[-_.]", tag.strip().lower())[0]


@cache
def known_languages() -> frozenset[str]:
    """Return the languages that the product's root package has a file of."""
    found = (re.fullmatch(r"texts_([a-z]{2,3})\.toml", entry.name) for entry in files("cgcore").iterdir())
    return frozenset(match[1] for match in found if match)


# ---- How it writes


def write_value(value: object, style: str, language: str, formats: Formats) -> str:
    """Return a value as ``language`` writes it: in ``style``, or without one as its kind is written.

    An integer without a style stays plain: a port has no thousands.
    """
    if style:
        return STYLES[style](value, language, formats)
    if isinstance(value, datetime):
        return STYLES["moment"](value, language, formats)
    if isinstance(value, date):
        return STYLES["date"](value, language, formats)
    return STYLES["number"](value, language, formats) if isinstance(value, float) else str(value)


def write_list(parts: Sequence[str], language: str, *, either: bool = False) -> str:
    """Return ``parts`` as a list in words: «a, b y c», or «a, b o c»."""
    if len(parts) < 2:
        return "".join(parts)
    from babel.lists import format_list

    told = format_list(parts, "or" if either else "standard", locale=_locale(language))
    return _in_good_sound(told, parts[-1]) if language.partition("-")[0] == "es" else told


def plural_form(number: float, language: str) -> str:
    """Return the plural form of a number: ``one``, ``many``, ``other`` …"""
    from babel import Locale

    return Locale(_locale(language)).plural_form(number)


# «y» becomes «e» before the sound i that is a syllable of its own, «o» becomes «u» before the sound o, also that of a
# number (RAE, Diccionario panhispánico de dudas, «y2» and «o2»).
_SOUNDS = (
    (" y ", " e ", re.compile(r"\W*h?i(?![aeou])", re.IGNORECASE)),
    (" o ", " u ", re.compile(r"\W*(?:h?o|8|11(?!\d))", re.IGNORECASE)),
)


def _in_good_sound(told: str, last: str) -> str:
    head, letters = told.removesuffix(last), normalize("NFD", last)  # accents stand apart
    for word, instead, sound in _SOUNDS:
        if head.endswith(word) and sound.match(letters):
            return f"{head.removesuffix(word)}{instead}{last}"
    return told


_Style = Callable[[Any, str, Formats], str]


def _number(value: Any, language: str, _formats: Formats) -> str:
    from babel.numbers import format_decimal

    return format_decimal(value, locale=_locale(language))


def _tenths(value: Any, language: str, _formats: Formats) -> str:
    from babel.numbers import format_decimal

    return format_decimal(value, "#,##0.0", locale=_locale(language))


def _pattern(name: str) -> _Style:
    def write(value: Any, language: str, formats: Formats) -> str:
        from babel.dates import format_datetime

        return format_datetime(_moment(value), formats(name), locale=_locale(language))

    return write


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) else datetime(value.year, value.month, value.day)


def _unit(unit: str, length: Any) -> _Style:
    def write(value: Any, language: str, _formats: Formats) -> str:
        from babel.units import format_unit

        return format_unit(value, unit, length, locale=_locale(language))

    return write


def _bytes(value: Any, language: str, formats: Formats) -> str:
    """Write a size in the unit that leaves it at least 1, with one decimal below 10."""
    size, units = float(value), ["byte", "kilobyte", "megabyte", "gigabyte"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    rounded = round(size, 1) if size < 10 else round(size)
    whole = int(rounded) if rounded == int(rounded) else rounded
    return _unit(f"digital-{units[0]}", "long" if units[0] == "byte" else "short")(whole, language, formats)


def _duration(value: Any, language: str, formats: Formats) -> str:
    """Write milliseconds: «94 ms», «1,2 s»."""
    if value < 1000:
        return _unit("duration-millisecond", "short")(round(value), language, formats)
    return _unit("duration-second", "short")(round(value / 1000, 1), language, formats)


STYLES: Mapping[str, _Style] = MappingProxyType(
    {
        "number": _number,
        "tenths": _tenths,
        "date": _pattern("date"),
        "day": _pattern("day"),
        "time": _pattern("time"),
        "moment": _pattern("moment"),
        "bytes": _bytes,
        "duration": _duration,
        "seconds": _unit("duration-second", "long"),
        "minutes": _unit("duration-minute", "long"),
        "days": _unit("duration-day", "long"),
    }
)
"""How ``{name:style}`` writes a value: ``bytes`` takes bytes, ``duration`` milliseconds, dates a date or ISO text.

Besides, a list may be written ``either``: with an "or" before its last part.
"""


def _locale(language: str) -> str:
    """Return the language as Babel knows it; Spanish for one that Babel has no rules of."""
    from babel import localedata

    return language if localedata.exists(language) else DEFAULT_LANGUAGE
