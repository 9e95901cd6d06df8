"""Sentences: what travels is a code with its values; the sentence is made where it is shown, in the person's language.

A language is a set of files ``texts_<language>.toml``, one in each package that has something to say; what a language
leaves out is said in Spanish. An entry is a wording, a list of wordings (fullest first: the first one whose values are
all known is taken), or a table of plural forms (``one``, ``many``, ``other``), chosen by its number.

``{name}`` stands for a value, ``{name:bytes}`` for a value in one of ``cgcore.language.STYLES``, ``{{`` and ``}}`` for
a brace. A value that is missing leaves no brace behind.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, cast

from cgcore.language import DEFAULT_LANGUAGE, current_language, plural_form, write_list, write_value

__all__ = [
    "Text",
    "Wording",
    "fill",
    "join",
    "lookup",
    "names_in",
    "read_text",
    "sentence",
    "text",
    "wording",
    "wordings",
    "write",
]

_TOKEN = re.compile(r"\{\{|\}\}|\{(\w+)(?::(\w+))?\}")
_PLURALS = frozenset({"zero", "one", "two", "few", "many", "other"})
_MISSING = "…"

# ---- What travels


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence that is still to be made: the file it stands in, its key, and its values."""

    file: str
    key: str
    values: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        """Return the sentence in the language of the person."""
        return sentence(self.file, self.key, **dict(self.values))

    def codes(self) -> dict[str, Any]:
        """Return its values by name; a value that is a sentence itself is told by the last part of its key."""
        return {name: _code(value) for name, value in self.values}

    def as_json(self) -> dict[str, Any]:
        """Return what is stored of it; :func:`read_text` reads it back."""
        return {"file": self.file, "key": self.key, "values": {name: _stored(value) for name, value in self.values}}


def text(file: str, key: str, /, **values: object) -> Text:
    """Return the sentence ``key`` of ``file`` as it travels: nothing is looked up yet."""
    return Text(file, key, tuple((name, _frozen(value)) for name, value in values.items()))


def _stored(value: object) -> object:
    if isinstance(value, tuple):
        return [_stored(item) for item in cast("Iterable[object]", value)]
    return value.as_json() if isinstance(value, Text) else value


def _code(value: object) -> object:
    if isinstance(value, tuple):
        return [_code(item) for item in cast("Iterable[object]", value)]
    return value.key.rpartition(".")[2] if isinstance(value, Text) else value


def read_text(stored: Mapping[str, Any]) -> Text:
    """Return the sentence that :meth:`Text.as_json` has stored."""
    return text(stored["file"], stored["key"], **stored["values"])


def _frozen(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in cast("Iterable[object]", value))
    return read_text(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value


# ---- Where it is shown


class Wording(str):
    """A wording on its way to the screen; ``format`` is :func:`fill`."""

    __slots__ = ("_entry",)
    _entry: object

    def __new__(cls, entry: object) -> Wording:
        """Take an entry of a file: what it says without any value is what it is as a text."""
        made = super().__new__(cls, _plain(entry))
        made._entry = entry
        return made

    def format(self, *_unnamed: object, **values: object) -> str:
        """Return the wording with ``values`` filled in."""
        return fill(self._entry, values)


def sentence(file: str, key: str, /, **values: object) -> str:
    """Return the sentence ``key`` of ``file`` in the language of the person, its values filled in.

    ``file`` is a package (``cgcore.series``), or a package and the name of one of its files
    (``pages.ui.texts:overview``); ``key`` may lead into tables (``problems.empty``). An unknown key is a ``KeyError``.
    """
    return fill(lookup(file, key), values)


def lookup(file: str, key: str) -> Any:
    """Return an entry or a table as the language of the person has it; callers must not change it."""
    return _find(_catalogue(file, current_language()).entries, key)


def wording(file: str, key: str) -> Wording:
    """Return the wording ``key`` of ``file``, made once for each language: pages ask for some at every key pressed."""
    catalogue = _catalogue(file, current_language())
    made = catalogue.wordings.get(key)
    if made is None:
        made = catalogue.wordings[key] = Wording(_find(catalogue.entries, key))
    return made


def wordings(file: str, table: str = "") -> Mapping[str, Wording]:
    """Return the entries of a table of ``file``, in their order there; made once, as with :func:`wording`."""
    catalogue = _catalogue(file, current_language())
    made = catalogue.tables.get(table)
    if made is None:
        entries = _find(catalogue.entries, table).items()
        made = MappingProxyType({name: Wording(entry) for name, entry in entries if _is_entry(entry)})
        catalogue.tables[table] = made
    return made


def fill(entry: object, values: Mapping[str, object], *, or_else: str | None = None) -> str:
    """Return an entry with ``values`` filled in, in one pass: a brace inside a value stays a brace.

    Of a list of wordings, the first one whose values are all known; where there is none, ``or_else``, and without it
    the last one, with an ellipsis where a value was not given at all.
    """
    language = current_language()
    choices = [_plural(choice, values, language) for choice in _choices(entry)]
    for choice in choices:
        if all(_is_known(values.get(name)) for name in _names(choice)):
            return _filled(choice, values, language)
    return _filled(choices[-1], values, language) if or_else is None else or_else


def join(parts: Iterable[object]) -> str:
    """Return ``parts`` as a list in words: «a, b y c»."""
    return write_list([str(part) for part in parts], current_language())


def write(value: object, style: str = "") -> str:
    """Return a value as the language of the person writes it; ``style`` is one of ``cgcore.language.STYLES``."""
    return _written(value, style, current_language())


def names_in(file: str, key: str) -> frozenset[str]:
    """Return the names of the values that the sentence ``key`` of ``file`` may name."""
    forms = (
        list(cast("Mapping[str, str]", choice).values()) if isinstance(choice, Mapping) else [str(choice)]
        for choice in _choices(lookup(file, key))
    )
    return frozenset(name for wordings in forms for wording in wordings for name in _names(wording))


def _choices(entry: object) -> list[object]:
    return cast("list[object]", entry) if isinstance(entry, list) else [entry]


def _is_entry(entry: object) -> bool:
    if isinstance(entry, Mapping):
        return "other" in entry and _PLURALS.issuperset(cast("Mapping[str, object]", entry))
    return isinstance(entry, str | list)


def _plain(entry: object) -> str:
    choice = _choices(entry)[-1]
    return str(cast("Mapping[str, object]", choice)["other"] if isinstance(choice, Mapping) else choice)


def _names(wording: str) -> list[str]:
    return [found[1] for found in _TOKEN.finditer(wording) if found[1]]


def _plural(choice: object, values: Mapping[str, object], language: str) -> str:
    if not isinstance(choice, Mapping):
        return str(choice)
    forms = cast("Mapping[str, str]", choice)
    names = ["count", *_names(forms["other"])]
    number = next((value for name in names if isinstance(value := values.get(name), int | float)), None)
    return forms["other"] if number is None else forms.get(plural_form(number, language), forms["other"])


def _is_known(value: object) -> bool:
    if value is None or isinstance(value, Mapping):
        return False
    if isinstance(value, list | tuple | set | frozenset):
        return any(_is_known(item) for item in cast("Iterable[object]", value))
    return not isinstance(value, str) or bool(value.strip())


def _filled(wording: str, values: Mapping[str, object], language: str) -> str:
    def put(found: re.Match[str]) -> str:
        if not found[1]:
            return found[0][0]
        value = values.get(found[1], _MISSING)
        written = _written(value, found[2] or "", language) if _is_known(value) else str(value or "")
        # The sentence brings its own full stop.
        return written.rstrip(".") if wording[found.end() : found.end() + 1] == "." else written

    return _TOKEN.sub(put, wording)


def _written(value: object, style: str, language: str) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("Iterable[object]", value)
        parts = [_written(item, "", language) for item in items if _is_known(item)]
        return write_list(parts, language, either=style == "either")
    formats: Mapping[str, str] = _catalogue("cgcore", language).entries["formats"]
    return write_value(value, style, language, formats.__getitem__)


# ---- The files


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """A file in one language, and the wordings that were made of it."""

    entries: Mapping[str, Any]
    wordings: dict[str, Wording] = field(default_factory=dict[str, Wording])
    tables: dict[str, Mapping[str, Wording]] = field(default_factory=dict[str, Mapping[str, Wording]])


@cache
def _catalogue(file: str, language: str) -> _Catalogue:
    """Return a file in ``language``, over the Spanish one."""
    spanish = _read(file, DEFAULT_LANGUAGE) or {}
    own = _read(file, language) or {} if language != DEFAULT_LANGUAGE else {}
    return _Catalogue(MappingProxyType(_over(spanish, own)))


def _find(entries: Mapping[str, Any], key: str) -> Any:
    found: Any = entries
    for name in key.split(".") if key else ():
        found = found[name]
    return found


def _over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in upper.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and not _is_entry(cast("object", value)):
            value = _over(cast("Mapping[str, Any]", below), cast("Mapping[str, Any]", value))
        merged[name] = value
    return merged


def _read(file: str, language: str) -> dict[str, Any] | None:
    package, _, name = file.partition(":")
    path = files(package) / f"{name or 'texts'}_{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
