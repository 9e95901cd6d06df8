"""What is told of a file before it goes."""

from __future__ import annotations

import io
import zipfile

import pytest

from cgcore.mail.attachments import list_doubts
from cgcore.mail.message import Attachment

_PDF = b"\xef\xbb\xbf%PDF-1.7\n" + bytes(2000)


def _zip(*names: str, locked: bool = False) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    data = bytearray(made.getvalue())
    if locked:  # the flag of the first entry of the directory
        data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "codes"),
    [
        ("F-1.pdf", _PDF, []),
        ("F-1.PDF", b"PK\x03\x04 no es", ["no_pdf"]),
        ("F-1.pdf", bytes(1100) + b"%PDF-1.7", ["no_pdf"]),
        ("F-1.xsig", b"<xml/>", []),
        ("factura.zip", _zip("F-1.pdf", "F-1.xml"), []),
        ("factura.zip", _zip("F-1.pdf", locked=True), ["locked_archive"]),
        ("factura.zip", _zip("F-1.pdf", "ver factura.EXE"), ["blocked_kind"]),
        ("visor.exe", b"MZ", ["blocked_kind"]),
        ("libro.xlsx", _zip("xl/workbook.xml"), []),
        ("exe", b"texto", []),
        ("roto.zip", _zip("F-1.pdf")[:-30], []),
        ("roto.zip", b"PK\x05\x06" + b"\xff" * 18, []),
    ],
)
def test_what_may_not_arrive_is_told_once_and_stops_nothing(name: str, data: bytes, codes: list[str]) -> None:
    """By the letters of the file, not by what its sender's system calls it."""
    found = list_doubts([Attachment(name, "application/octet-stream", data)])

    assert [each.code for each in found] == codes
    assert not any(each.blocking for each in found)
    assert all(name in each.message for each in found)


def test_a_type_says_that_it_is_a_pdf_too() -> None:
    """A name may have no ending; each of several files is told, however many they are."""
    files = [Attachment(f"factura {number}", "application/pdf", b"hola") for number in range(30)]

    assert [each.code for each in list_doubts(files)] == ["no_pdf"] * 30
