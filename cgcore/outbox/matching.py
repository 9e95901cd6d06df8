"""Which file belongs to which document: ``<series>-<number>.pdf``, as people really name them.

Apart from :mod:`cgcore.outbox.rows`: only a file that fits one row, and only that one, is taken without asking.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from cgcore.documents import types_with_template
from cgcore.texts import lookup

__all__ = ["Matching", "document_key", "join_key", "match_files", "part_name"]

_BLANKS = re.compile(r"[\s_/.-]+")
_COUNTED = re.compile(r"[\s_-]*\(\d+\)$")


@dataclass(frozen=True, slots=True)
class Matching:
    """Rows and files by their places: ``files`` of a row, ``asks`` the files of a row that a person has to choose from;
    what is left of both.
    """

    files: Mapping[int, int]
    asks: Mapping[int, Sequence[int]]
    rows_alone: Sequence[int]
    files_alone: Sequence[int]


def document_key(series: str, number: str) -> tuple[str, str]:
    """Return what two spellings of a document have in common: composed, without case, one sign between parts, no
    zeros in front."""
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in _squash(number).split("-")]
    return _squash(series), "-".join(parts)


def join_key(series: str, number: str) -> str:
    """Return :func:`document_key` as one text, as it is stored; neither part has a line break."""
    return "\n".join(document_key(series, number))


def part_name(name: str, codes: Iterable[str]) -> tuple[str, str] | None:
    """Return the code of the series that ``name`` begins with, the longest one of ``codes``, and the number behind it.

    A code may hold signs itself. The noun of a document in front («Factura F-21043») does not count.
    """
    said = _squash(name)
    noun = next((noun for noun in _nouns() if said.startswith(f"{noun}-")), "")
    for start in dict.fromkeys((said, said.removeprefix(f"{noun}-"))):
        for code in sorted(codes, key=lambda code: (-len(_squash(code)), code)):
            number = start.removeprefix(f"{_squash(code)}-")
            if number != start and any(sign.isdigit() for sign in number):
                return code, number
    return None


def match_files(documents: Sequence[tuple[str, str]], names: Sequence[str], codes: Iterable[str]) -> Matching:
    """Return which of the files ``names`` belongs to which of ``documents`` (each a :func:`document_key`).

    Files that say «copia», «(1)» or «firmado», two files for one document and one file for two are for a person.
    """
    codes = list(codes)
    sure, doubtful = defaultdict[tuple[str, str], list[int]](list), defaultdict[tuple[str, str], list[int]](list)
    for place, name in enumerate(names):
        bare, is_sure = _bare_stem(name)
        if (parted := part_name(bare, codes)) is not None:
            (sure if is_sure else doubtful)[document_key(*parted)].append(place)
    often = {key: documents.count(key) for key in set(documents)}
    files, asks = dict[int, int](), dict[int, Sequence[int]]()
    for place, key in enumerate(documents):
        found = [*sure[key], *doubtful[key]]
        if len(sure[key]) == 1 and often[key] == 1:
            files[place] = sure[key][0]
        elif found:
            asks[place] = found
    taken = {*files.values(), *(file for choice in asks.values() for file in choice)}
    return Matching(
        files,
        asks,
        [place for place in range(len(documents)) if place not in files and place not in asks],
        [place for place in range(len(names)) if place not in taken],
    )


def _bare_stem(name: str) -> tuple[str, bool]:
    """Return the name of a file without its ending and what is added to it, and whether nothing was added."""
    stem = re.sub(r"\.pdf$", "", name.strip(), flags=re.IGNORECASE)
    bare, before = _composed(stem), ""
    words = "|".join(re.escape(_composed(word)) for word in lookup("cgcore.outbox:columns", "files")["doubtful"])
    while bare != before:
        before = bare
        bare = re.sub(rf"[\s_.-]+(?:-\s*)?(?:{words})$", "", _COUNTED.sub("", bare))
    return bare, bare == _composed(stem)


def _squash(text: str) -> str:
    return _BLANKS.sub("-", _composed(text)).strip("-")


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip()


def _nouns() -> Sequence[str]:
    return _nouns_in(tuple(entry.noun for entry in types_with_template()))


@cache
def _nouns_in(nouns: tuple[str, ...]) -> Sequence[str]:
    return sorted((_squash(noun) for noun in nouns), key=len, reverse=True)
