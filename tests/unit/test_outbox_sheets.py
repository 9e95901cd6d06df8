"""Sheets as spreadsheets write them, names of files as people write them: what is understood, and what is asked."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata

import pytest

from cgcore.documents import DocumentType
from cgcore.outbox.matching import document_key, match_files, part_name
from cgcore.outbox.rows import DocumentRow, HouseSeries, find_columns, read_rows
from cgcore.outbox.sheet import Sheet, SheetRefused, read_sheet, write_sheet

T = DocumentType
HOUSE = HouseSeries({T.SALES_INVOICE: ["F", "F-2026"], T.QUOTE: ["P"]}, {T.SALES_INVOICE: "F"})
TEXT = "Serie;Número;Cliente;Para;Importe\r\nF;21043;Peña & Hijos;ana@example.com;1.234,56 €\r\n"
HEADER, CELLS = ["Serie", "Número", "Cliente", "Para", "Importe"], ["F", "21043", "Peña & Hijos", "ana@example.com"]


def rows_of(text: str, kind: DocumentType = T.SALES_INVOICE) -> list[DocumentRow]:
    return list(read_rows(read_sheet(text.encode()), kind, HOUSE))


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("cp1252"),
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.replace(";", "\t").encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        b"sep=;\r\n" + TEXT.encode("cp1252"),
        ("sep=|\n" + TEXT.replace(";", "|")).encode(),
        TEXT.replace(";", "\t").replace("\r\n", "\n").encode(),
        b'Serie,N\xfamero,Cliente,Para,Importe\nF,21043,Pe\xf1a & Hijos,ana@example.com,"1.234,56 \x80"\n',
        unicodedata.normalize("NFD", TEXT).replace(" €", "\u00a0€").encode(),
        ("\r\n" + TEXT + ";;;;\r\n").encode(),
    ],
)
def test_a_sheet_is_read_whatever_wrote_it(data: bytes) -> None:
    """Mark, encoding, separator, composed or not, blank lines: the same cells."""
    sheet = read_sheet(data)

    assert list(sheet.header) == HEADER
    assert [list(cells) for _, cells in sheet.rows] == [[*CELLS, "1.234,56 €"]]


def test_a_single_column_is_not_parted_at_a_letter() -> None:
    """A separator stands in every line."""
    sheet = read_sheet(b"referencia\nuno, dos\ntres\n")

    assert sheet == Sheet(["referencia"], [(2, ["uno, dos"]), (3, ["tres"])])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK\x03\x04rest", "workbook"),
        (b"", "empty"),
        (b"Serie;Para\n", "empty"),
        (b"a;b\n\0\0;1\n", "unreadable"),
        (b"a;b\n" + b"1;2\n" * 1001, "too_long"),
    ],
)
def test_what_is_no_sheet_is_refused_with_its_reason(data: bytes, code: str) -> None:
    """A workbook is the usual one."""
    with pytest.raises(SheetRefused) as refused:
        read_sheet(data)

    assert refused.value.code == code


def test_headings_are_known_without_case_accents_and_blanks() -> None:
    """Of two that mean the same the first counts; what nobody knows is told."""
    columns = find_columns(["SÉRIE ", "nº", "E-Mail", "razon  social", "Correo", "Vencimiento", "Color", ""])

    assert columns.fields == {"series": 0, "number": 1, "to": 2, "customer": 3}
    assert columns.variables == {"vencimiento": 5}
    assert (columns.unused, columns.missing) == (["Correo", "Color"], [])
    assert find_columns(["Cliente"]).missing == ["number", "to"]


def test_a_row_is_one_document_of_one_customer() -> None:
    """Several addresses in a cell are his; what a row leaves out is the house's; a type without due date has none."""
    first, second = rows_of(
        "tipo;serie;num;cliente;mail;cc;importe;fecha;vencimiento\n"
        ';f;007;Ruiz;"eva@example.com; luis@example.com, leo@example.com";gestor@example.com;1234,5;1/2/26;2026-03-01\n'
        "Albaranes;;8;Sol;sol@example.com;;50;31.12.2026;1/1/2027\n"
    )

    assert (first.line, first.document_type, first.series, first.number) == (2, T.SALES_INVOICE, "F", "007")
    assert first.to == ("eva@example.com", "luis@example.com", "leo@example.com")
    assert first.cc == ("gestor@example.com",)
    assert first.variables == {"importe": "1.234,50 €", "fecha": "01/02/2026", "vencimiento": "01/03/2026"}
    assert (second.document_type, second.series) == (T.DELIVERY_NOTE, "")
    assert second.variables == {"importe": "50,00 €", "fecha": "31/12/2026"}
    assert [*first.problems, *second.problems] == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1.234,56", "1.234,56 €"),
        ("1234,56 €", "1.234,56 €"),
        ("1234.56", "1.234,56 €"),
        ("1,234.56", "1.234,56 €"),
        ("1.234", "1.234,00 €"),
        ("-12,5 EUR", "-12,50 €"),
        ("0,125", "0,125 €"),
        ("12 $", None),
        ("1.23.4", None),
    ],
)
def test_an_amount_is_what_a_person_here_means(written: str, read: str | None) -> None:
    """A comma is decimal; what cannot be told is told."""
    (row,) = rows_of(f"numero;para;importe\n7;a@example.com;{written}\n")

    assert row.variables["importe"] == (read or written)
    assert [problem.code for problem in row.problems] == ([] if read else ["unclear_amount"])


def test_what_cannot_be_read_is_a_problem_of_its_row() -> None:
    """A day that is none, a type that nobody knows, a document named twice."""
    rows = rows_of(
        "tipo;numero;para;fecha\nFactura;7;a@example.com;31/02/2026\nNada;8;a@example.com;\nfactura;07;b@example.com;\n"
    )

    assert [[problem.code for problem in row.problems] for row in rows] == [
        ["unclear_date"],
        ["unclear_type"],
        ["repeated_row"],
    ]
    assert rows[2].problems[0].values == {"line": 2}


def test_a_document_in_one_cell_is_parted() -> None:
    """By the series of the house; without one it is all number."""
    rows = rows_of("factura;para\nF-2026-7;a@example.com\n9;a@example.com\n")

    assert [(row.series, row.number) for row in rows] == [("F-2026", "7"), ("F", "9")]


@pytest.mark.parametrize(
    ("name", "parted"),
    [
        ("F-21043", ("F", "21043")),
        ("f 21043", ("F", "21043")),
        ("F_00021043", ("F", "00021043")),
        ("F-2026-7", ("F-2026", "7")),
        ("F-2025-7", ("F", "2025-7")),
        ("Factura F-21043", ("F", "21043")),
        ("Factura_F-21043", ("F", "21043")),
        ("F", None),
        ("X-7", None),
        ("Ficha-7", None),
    ],
)
def test_the_longest_series_of_the_house_begins_a_name(name: str, parted: tuple[str, str] | None) -> None:
    """Codes may hold signs themselves."""
    assert part_name(name, ["F", "F-2026", "Ñ"]) == parted


def test_spellings_of_a_document_have_one_key() -> None:
    """Case, zeros in front, signs between, composed letters."""
    assert document_key("ñ", "0007") == document_key(unicodedata.normalize("NFD", "Ñ"), "7")
    assert document_key("F-2026", "2026/015") == document_key("f_2026", "2026 15")
    assert document_key("F", "70") != document_key("F", "7")


def test_only_what_is_sure_is_matched() -> None:
    """200 rows, 3 without file, 2 files too many; copies, counted ones, signed ones and two of a kind are asked."""
    documents = [document_key("F", str(number)) for number in range(1, 201)]
    names = [f"F-{number:05d}.PDF" for number in range(4, 197)]
    names += ["F-900.pdf", "contrato.pdf", "F-197 (1).pdf", "f_198_firmado.pdf", "F-199 - copia.pdf"]
    names += ["F-200.pdf", "f 200.pdf"]
    found = match_files(documents, names, ["F", "F-2026"])

    assert found.files == {place: place - 3 for place in range(3, 196)}
    assert {place: [names[file] for file in files] for place, files in found.asks.items()} == {
        196: ["F-197 (1).pdf"],
        197: ["f_198_firmado.pdf"],
        198: ["F-199 - copia.pdf"],
        199: ["F-200.pdf", "f 200.pdf"],
    }
    assert found.rows_alone == [0, 1, 2]
    assert [names[file] for file in found.files_alone] == ["F-900.pdf", "contrato.pdf"]


def test_one_file_for_two_documents_is_asked() -> None:
    """An invoice and a quote of the same number: nobody knows whose it is."""
    key = document_key("F", "7")
    found = match_files([key, key], ["F-7.pdf"], ["F"])

    assert (found.files, found.asks) == ({}, {0: [0], 1: [0]})


def test_a_file_of_results_opens_in_a_spanish_spreadsheet_and_computes_nothing() -> None:
    """A mark, semicolons, CRLF; and it is read again."""
    text = write_sheet(["Número", "Motivo"], [["7", "=1+1"], ["8", 'dice "no"; y\nya']])

    assert text.startswith("\ufeffNúmero;Motivo\r\n7;'=1+1\r\n")
    assert [list(cells) for _, cells in read_sheet(text.encode()).rows] == [["7", "'=1+1"], ["8", 'dice "no"; y\nya']]
    assert list(csv.reader(io.StringIO(text[1:]), delimiter=";"))[2] == ["8", 'dice "no"; y\nya']
