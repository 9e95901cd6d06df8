"""The rows of a sheet as documents: columns by their headings, dates and amounts as people here write them.

What cannot be read is a problem of its row and is never guessed; who the addresses belong to is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from cgcore.documents import DocumentType, info, types_with_template
from cgcore.errors import FieldProblem
from cgcore.outbox.matching import document_key, part_name
from cgcore.outbox.sheet import Sheet
from cgcore.texts import lookup, write

__all__ = ["DocumentRow", "HouseSeries", "SheetColumns", "find_columns", "list_headings", "read_rows"]

_FILE = "cgcore.outbox:columns"
_DATES, _AMOUNTS = frozenset({"fecha", "vencimiento"}), frozenset({"importe"})
_FILLED_IN = ("series", "number", "customer", "to")
_BETWEEN = re.compile(r"[;,\n]")
_DATE = re.compile(r"(?P<d>\d{1,2})[/.-](?P<m>\d{1,2})[/.-](?P<y>\d{4}|\d{2})(?:\s+[\d:.]+)?")
_ISO_DATE = re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[T\s][\d:.Z+]+)?")
_EURO = re.compile(r"\s*(?:€|EUR|euros?)\s*", re.IGNORECASE)
_COMMA_DECIMALS = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?")
_POINT_DECIMALS = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)\.\d{1,2}")


@dataclass(frozen=True, slots=True)
class HouseSeries:
    """What a document may be numbered in: the codes of each type, and which one a row without a series means."""

    codes: Mapping[DocumentType, Sequence[str]]
    defaults: Mapping[DocumentType, str]

    @property
    def every_code(self) -> Sequence[str]:
        """The codes of all types, each once."""
        return sorted({code for codes in self.codes.values() for code in codes})


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document of one customer, as its row was understood; ``line`` is the number beside it in the spreadsheet."""

    line: int
    document_type: DocumentType
    series: str
    number: str
    customer: str
    to: Sequence[str]
    cc: Sequence[str]
    bcc: Sequence[str]
    variables: Mapping[str, str]
    problems: Sequence[FieldProblem] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What the document is found by, however it is written."""
        return document_key(self.series, self.number)


@dataclass(frozen=True, slots=True)
class SheetColumns:
    """Which column holds what, by its place: ``fields`` by code, ``variables`` by name; ``unused`` are headings."""

    fields: Mapping[str, int]
    variables: Mapping[str, int]
    unused: Sequence[str]

    @property
    def missing(self) -> Sequence[str]:
        """The fields without which no row can be sent: ``number``, ``to``."""
        has_number = "number" in self.fields or "document" in self.fields
        return [*([] if has_number else ["number"]), *([] if "to" in self.fields else ["to"])]


def _word(text: str) -> str:
    """Return a word as headings are compared: without case, accents, blanks and signs."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(sign for sign in decomposed if sign.isalnum())


def find_columns(header: Sequence[str]) -> SheetColumns:
    """Return what the headings stand for; of two that mean the same the first one counts."""
    known = {_word(word): code for code, words in lookup(_FILE, "fields").items() for word in words}
    named = {_word(word): name for name, words in lookup(_FILE, "variables").items() for word in words}
    fields, variables, unused = dict[str, int](), dict[str, int](), list[str]()
    for place, heading in enumerate(header):
        word = _word(heading)
        if word in known and known[word] not in fields:
            fields[known[word]] = place
        elif word in named and named[word] not in variables:
            variables[named[word]] = place
        elif heading:
            unused.append(heading)
    return SheetColumns(fields, variables, unused)


def list_headings(kind: DocumentType) -> Sequence[str]:
    """Return the headings of a sheet that is to be filled in, each the first of the words that are known for it."""
    fields, variables = lookup(_FILE, "fields"), lookup(_FILE, "variables")
    named = [words for name, words in variables.items() if name != "vencimiento" or info(kind).has_due_date]
    return [words[0].capitalize() for words in (*(fields[name] for name in _FILLED_IN), *named)]


def read_rows(sheet: Sheet, kind: DocumentType, house: HouseSeries) -> Sequence[DocumentRow]:
    """Return the rows as documents, of the type ``kind`` where a row names none.

    A document that an earlier row has named already is a problem: one of the two is somebody else's.
    """
    columns = find_columns(sheet.header)
    rows = [_read_row(line, cells, columns, kind, house) for line, cells in sheet.rows]
    first: dict[tuple[DocumentType, tuple[str, str]], int] = {}
    told: list[DocumentRow] = []
    for row in rows:
        line = first.setdefault((row.document_type, row.key), row.line)
        if row.number and line != row.line:
            again = _problem("number", "repeated_row", line=line)
            row = replace(row, problems=[*row.problems, again])
        told.append(row)
    return told


def _read_row(
    line: int, cells: Sequence[str], columns: SheetColumns, default: DocumentType, house: HouseSeries
) -> DocumentRow:
    def cell(field: str) -> str:
        place = columns.fields.get(field, len(cells))
        return cells[place] if place < len(cells) else ""

    problems: list[FieldProblem] = []
    kind = default
    if cell("type"):
        found = _types().get(_word(cell("type")))
        kind = found or default
        problems += [] if found else [_problem("type", "unclear_type", name=cell("type")[:60])]
    series, number = cell("series"), cell("number")
    if not number and cell("document"):
        series, number = _read_document(cell("document"), series, house)
    series = series or house.defaults.get(kind, "")
    known = {document_key(code, "")[0]: code for code in house.codes.get(kind, ())}
    code = known.get(document_key(series, "")[0], series)
    values = dict(_read_values(cells, columns, problems))
    return DocumentRow(
        line=line,
        document_type=kind,
        series=code,
        number=number,
        customer=cell("customer"),
        to=_addresses(cell("to")),
        cc=_addresses(cell("cc")),
        bcc=_addresses(cell("bcc")),
        variables={name: text for name, text in values.items() if name != "vencimiento" or info(kind).has_due_date},
        problems=problems,
    )


def _read_document(written: str, series: str, house: HouseSeries) -> tuple[str, str]:
    """Return series and number of «F-21043»; what does not begin with a series of the house is all number."""
    parted = part_name(written, house.every_code)
    return (series or parted[0], parted[1]) if parted else (series, written)


def _read_values(
    cells: Sequence[str], columns: SheetColumns, problems: list[FieldProblem]
) -> Iterator[tuple[str, str]]:
    for name, place in columns.variables.items():
        written = cells[place] if place < len(cells) else ""
        if not written:
            continue
        read = _read_date(written) if name in _DATES else _read_amount(written) if name in _AMOUNTS else written
        if read is None:
            code = "unclear_date" if name in _DATES else "unclear_amount"
            problems.append(_problem(f"variables.{name}", code, written=written[:60]))
        yield name, read or written


def _types() -> Mapping[str, DocumentType]:
    found: dict[str, DocumentType] = {}
    for entry in types_with_template():
        for word in (entry.code.value, entry.noun, entry.tab):
            found.setdefault(_word(word), entry.code)
    return found


def _read_date(written: str) -> str | None:
    found = _DATE.fullmatch(written) or _ISO_DATE.fullmatch(written)
    if not found:
        return None
    year = int(found["y"]) + (2000 if len(found["y"]) == 2 else 0)
    try:
        return write(date(year, int(found["m"]), int(found["d"])))
    except ValueError:
        return None


def _read_amount(written: str) -> str | None:
    bare = _EURO.sub("", written).replace(" ", "")
    if _COMMA_DECIMALS.fullmatch(bare):
        value = Decimal(bare.replace(".", "").replace(",", "."))
    elif _POINT_DECIMALS.fullmatch(bare):
        value = Decimal(bare.replace(",", ""))
    else:
        return None
    places = max(2, -int(value.as_tuple().exponent))
    grouped = f"{value:,.{places}f}"
    return grouped.translate(str.maketrans(",.", ".,")) + " €"


def _addresses(written: str) -> Sequence[str]:
    return tuple(part.strip() for part in _BETWEEN.split(written) if part.strip())


def _problem(field: str, code: str, **values: object) -> FieldProblem:
    return FieldProblem.of("cgcore.outbox", field, f"rows.{code}", **values)
