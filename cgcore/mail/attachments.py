"""What a file meets on its way that its sender does not see: it is not what its name says, or mailboxes do not take it.

Warnings, all of them: nobody but the sender knows what a file is for. Apart from :mod:`cgcore.mail.outgoing`, which
takes any file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from cgcore.errors import FieldProblem
from cgcore.mail.message import Attachment

__all__ = ["list_doubts"]

_BEGIN = 1024  # a PDF says what it is within its first bytes (ISO 32000-1, annex H.3.4.1)
# Of a ZIP: the end of its directory with the longest comment, and an entry (APPNOTE.TXT 4.3.16, 4.3.12).
_END = 22 + 0xFFFF
_ENTRY = struct.Struct("<4s4xH18xHHH12x")
_MOST_ENTRIES = 1000
_ENCRYPTED = 1
# «File types blocked in Gmail», also within a ZIP; others block about the same.
_BLOCKED = frozenset({
    "ade", "adp", "apk", "appx", "appxbundle", "bat", "cab", "chm", "cmd", "com", "cpl", "diagcab", "diagcfg",
    "diagpack", "dll", "dmg", "ex", "ex_", "exe", "hta", "img", "ins", "iso", "isp", "jar", "jnlp", "js", "jse",
    "lib", "lnk", "mde", "mjs", "msc", "msi", "msix", "msixbundle", "msp", "mst", "nsh", "pif", "ps1", "scr", "sct",
    "shb", "sys", "vb", "vbe", "vbs", "vhd", "vxd", "wsc", "wsf", "wsh", "xll",
})  # fmt: skip


def list_doubts(files: Sequence[Attachment]) -> Sequence[FieldProblem]:
    """Return what a person should know of files before they go; one sentence a file at most."""
    return [doubt for file in files for doubt in _find(file)]


def _find(file: Attachment) -> Iterator[FieldProblem]:
    ending = _ending(file.filename)
    is_pdf = ending == "pdf" or file.media_type == "application/pdf"
    entries = list(_list_entries(file.data))
    inside = next((_ending(name) for name, _ in entries if _ending(name) in _BLOCKED), "")
    if ending in _BLOCKED or inside:
        yield _doubt("blocked_kind", file, ending=ending if ending in _BLOCKED else inside)
    elif any(flags & _ENCRYPTED for _, flags in entries):
        yield _doubt("locked_archive", file)
    elif is_pdf and file.data and b"%PDF-" not in file.data[:_BEGIN]:
        yield _doubt("no_pdf", file)


def _doubt(code: str, file: Attachment, **values: str) -> FieldProblem:
    found = FieldProblem.of("cgcore.mail", "attachments", f"attachments.{code}", name=file.filename[:100], **values)
    return FieldProblem(found.field, found.code, found.text, blocking=False)


def _ending(name: str) -> str:
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def _list_entries(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield names and flags of the entries of a ZIP; of anything else none."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - _END))
    if not data.startswith(b"PK") or end < 0 or end + 22 > len(data):
        return
    at = int.from_bytes(data[end + 16 : end + 20], "little")
    for _ in range(_MOST_ENTRIES):
        if at + _ENTRY.size > len(data):
            return
        mark, flags, named, extra, remark = _ENTRY.unpack_from(data, at)
        if mark != b"PK\x01\x02":
            return
        start = at + _ENTRY.size
        yield data[start : start + named].decode("utf-8", "replace"), flags
        at = start + named + extra + remark
