"""A sheet as spreadsheets write it: its encoding and its separator by rule, its cells as text; and such a file again.

Excel in Spanish writes cp1252 or UTF-8 with a mark, semicolons and decimal commas; «Texto Unicode» is UTF-16 with tabs.
Nothing is guessed from letters: a short file in cp1252 passes for many other encodings.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from cgcore.activity import neutral_cell
from cgcore.errors import CloudGestionError

__all__ = ["MOST_ROWS", "Sheet", "SheetRefused", "read_sheet", "write_sheet"]

MOST_ROWS = 1000
_MOST_BYTES = 5_000_000
_SEPARATORS = ";\t,"
_LOOKED_AT = 20
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # a workbook, new and old
_HARD_SPACES = dict.fromkeys(map(ord, "\u00a0\u202f\u2007"), " ")


class SheetRefused(CloudGestionError):
    """A file that is no sheet; the code names the sentence in ``[sheet]`` of the texts."""

    code = "unreadable"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Headings and rows, each row under the number that a spreadsheet shows beside it."""

    header: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]


def read_sheet(data: bytes) -> Sheet:
    """Return the cells of a file. Raises :class:`SheetRefused`.

    The encoding: that of its mark, else UTF-8 where all of it is, else cp1252. The separator: that of a line ``sep=``,
    else the first of ``;``, tab and ``,`` that parts the first lines into the same number of columns, more than one.
    """
    if data.startswith(_ARCHIVES):
        raise SheetRefused("a workbook", code="workbook")
    if len(data) > _MOST_BYTES:
        raise SheetRefused("too large", code="too_long")
    text = _decode(data)
    if "\0" in text:
        raise SheetRefused("not a text")
    text, separator = _told_separator(text)
    records = _records(text, separator or _find_separator(text))
    rows = [(number, cells) for number, cells in records if any(cells)]
    if len(rows) < 2:
        raise SheetRefused("no rows", code="empty")
    if len(rows) > MOST_ROWS + 1:
        raise SheetRefused("too many rows", code="too_long")
    return Sheet(rows[0][1], rows[1:])


def write_sheet(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a file that a Spanish spreadsheet opens by a double click, and in which nothing is computed."""
    buffer = io.StringIO()
    buffer.write("\ufeff")
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    for cells in (header, *rows):
        writer.writerow([neutral_cell(cell) for cell in cells])
    return buffer.getvalue()


def _decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _told_separator(text: str) -> tuple[str, str]:
    """Return the text without its line ``sep=``, and what that says; ``""`` where there is none."""
    first, _, rest = text.partition("\n")
    told = first.strip("\r\n ")
    if told.lower().startswith("sep=") and len(told) == 5:
        return rest, told[4]
    return text, ""


def _find_separator(text: str) -> str:
    widths = {
        sign: [len(cells) for _, cells in islice(_records(text, sign), _LOOKED_AT) if any(cells)] for sign in ";\t,"
    }
    for sign in _SEPARATORS:
        if len(set(widths[sign])) == 1 and widths[sign][0] > 1:
            return sign
    # Lines of unequal length: what parts the headings.
    return next((sign for sign in _SEPARATORS if widths[sign] and widths[sign][0] > 1), ";")


def _records(text: str, separator: str) -> Iterator[tuple[int, Sequence[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for number, cells in enumerate(reader, 1):
            yield number, [_clean(cell) for cell in cells]
    except csv.Error:
        raise SheetRefused("not a sheet") from None


def _clean(cell: str) -> str:
    return unicodedata.normalize("NFC", cell.translate(_HARD_SPACES)).strip()
