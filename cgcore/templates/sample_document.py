"""The document that goes with a preview and a test mail: one page that says what it is.

Apart from the use case that attaches it: pure bytes.
"""

from __future__ import annotations

__all__ = ["build_sample_pdf", "sample_file_name"]

_PAGE = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>"
_FONT = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def sample_file_name(document: str, series: str, number: str) -> str:
    """Return the name that a document's file has: «Factura_F-21043.pdf»; the message builder makes it ASCII."""
    mark = "-".join(part for part in (series.strip(), number.strip()) if part)
    return "_".join(part for part in (document.strip().replace(" ", "_"), mark) if part) + ".pdf"


def build_sample_pdf(title: str) -> bytes:
    """Return a one-page PDF (ISO 32000-1) with ``title`` on it; the same title gives the same bytes."""
    shown = title.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    stream = b"BT /F1 18 Tf 60 760 Td (" + shown[:90] + b") Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        _PAGE.encode(),
        _FONT.encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
    ]
    body = b"%PDF-1.4\n"
    places: list[int] = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + head + table + trailer
