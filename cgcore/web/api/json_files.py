"""JSON that brings files in base64, read as it comes in: each file is decoded on its way and is in memory once.

It stands alone because it knows JSON and base64 only (RFC 8259 §7, RFC 4648 §4), and nothing of messages.
"""

from __future__ import annotations

import binascii
import io
import json
import re
import secrets
from enum import StrEnum

__all__ = ["Excess", "JsonFiles", "TooMuch"]

_STRUCTURE = re.compile(rb'["{}\[\],:]')
_LETTERS = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_LONGEST_KEY = 32
_DEPTH = 3  # {"attachments": [{"data": "…"}]}


class Excess(StrEnum):
    """What a body has too much of."""

    FILES = "files"
    TEXT = "text"
    PARTS = "parts"


class TooMuch(Exception):
    """A body is over a bound: it is told before anything is made of it."""

    def __init__(self, excess: Excess) -> None:
        super().__init__(excess.value)
        self.excess = excess


class JsonFiles:
    """A body, taken in pieces: ``text`` is its JSON with a name in place of each file; :meth:`find` has the files.

    A file is the text of ``data`` in the objects of the list ``attachments``. A key that is written with escapes is not
    known here: its text stays where it is.

    There are so many ``files`` at most, and besides them so many bytes of ``text`` with so many ``parts``: brackets,
    commas, colons and texts, each of which is many times its size once it is read.
    """

    def __init__(self, *, files: int, text: int, parts: int) -> None:
        self._most_files, self._most_text, self._parts_left = files, text, parts
        self.text = bytearray()
        self._mark = f"file-{secrets.token_hex(16)}-"
        self._files: list[_File] = []
        self._cuts: list[tuple[int, int]] = []  # where a file was taken out of the text, and how much longer it was
        self._open, self._depth = bytearray(), 0  # the brackets around, down to the files
        self._keys = [b"", b"", b""]
        self._after = b""  # the last sign that was no part of a text
        self._key: bytearray | None = None
        self._is_text = self._is_file = self._is_escaped = False

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body. Raises :class:`TooMuch`; the rest of such a body is nothing to this."""
        at = 0
        while at < len(piece):
            if self._is_file:
                at = self._take_file(piece, at)
            elif self._is_text:
                at = self._take_text(piece, at)
            else:
                at = self._take_structure(piece, at)
            if len(self.text) > self._most_text:
                raise TooMuch(Excess.TEXT)

    def find(self, name: str) -> tuple[bool, bytes | None]:
        """Return whether a file stood where ``name`` stands, and its bytes: ``None`` for what is no base64."""
        number = name.removeprefix(self._mark)
        if number == name:
            return False, None
        return True, self._files[int(number)].close()

    def find_place(self, position: int) -> int:
        """Return where in the body a position of ``text`` lies."""
        return position + sum(longer for place, longer in self._cuts if place < position)

    def _take_structure(self, piece: bytes, at: int) -> int:
        found = _STRUCTURE.search(piece, at)
        if found is None:
            self.text += piece[at:]
            return len(piece)
        self.text += piece[at : found.end()]
        self._count_part()
        sign = found[0]
        if sign == b'"':
            self._begin_text()
        else:
            self._note(sign)
        return found.end()

    def _count_part(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise TooMuch(Excess.PARTS)

    def _note(self, sign: bytes) -> None:
        if sign in b"{[":
            if self._depth < _DEPTH:
                self._open += sign
            self._depth += 1
        elif sign in b"}]":
            self._depth = max(0, self._depth - 1)
            del self._open[self._depth :]
        self._after = sign

    def _begin_text(self) -> None:
        is_value = self._after == b":"
        if is_value and self._depth == _DEPTH and bytes(self._open) == b"{[{" and self._is_wanted():
            if len(self._files) >= self._most_files:
                raise TooMuch(Excess.FILES)
            self._is_file = True
            name = f"{self._mark}{len(self._files)}".encode()
            self._files.append(_File())
            self._cuts.append((len(self.text), -len(name)))
            self.text += name
        else:
            self._is_text = True
            is_key = not is_value and self._depth <= _DEPTH and bytes(self._open[-1:]) == b"{"
            self._key = bytearray() if is_key else None

    def _is_wanted(self) -> bool:
        return (self._keys[0], self._keys[_DEPTH - 1]) == (b"attachments", b"data")

    def _take_text(self, piece: bytes, at: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            self.text += piece[at : at + 1]
            return at + 1
        found = _LETTERS.match(piece, at)
        end = found.end() if found else at
        sign = piece[end : end + 1]
        end += len(sign)
        self.text += piece[at:end]
        if self._key is not None and len(self._key) <= _LONGEST_KEY:
            self._key += piece[at:end]
        if sign == b"\\":  # the piece ends between it and what it escapes
            self._is_escaped = True
        elif sign:
            self._is_text = False
            if self._key is not None and self._depth:
                self._keys[self._depth - 1] = bytes(self._key[:-1])
        return end

    def _take_file(self, piece: bytes, at: int) -> int:
        end = piece.find(b'"', at)
        taken = piece[at : end if end >= 0 else len(piece)]
        place, longer = self._cuts[-1]
        self._cuts[-1] = (place, longer + len(taken))
        self._files[-1].write(taken)
        slashes = len(taken) - len(taken.rstrip(b"\\"))
        self._is_escaped = bool((slashes + (self._is_escaped and slashes == len(taken))) % 2)
        if end < 0:
            return len(piece)
        if self._is_escaped:  # a quotation mark of the text: no base64 has one
            self._count_part()
            self._is_escaped = False
            self._cuts[-1] = (place, longer + len(taken) + 1)
            self._files[-1].spoil()
            return end + 1
        self.text += b'"'
        self._is_file = False
        return end + 1


class _File:
    """A file as its base64 comes in; what is none is told at its end."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()  # its value is handed out without a copy
        self._rest = b""
        self._is_padded, self._is_sound = False, True

    def write(self, text: bytes) -> None:
        """Take the next letters."""
        if not (self._is_sound and text):
            return
        try:
            self._decode(self._unescaped(self._rest + text))
        except ValueError:
            self._is_sound = False

    def spoil(self) -> None:
        """Note that it is no base64, whatever follows."""
        self._is_sound = False

    def close(self) -> bytes | None:
        """Return the bytes, ``None`` for what was no base64."""
        return self._bytes.getvalue() if self._is_sound and not self._rest else None

    def _unescaped(self, text: bytes) -> bytes:
        r"""Return a text without its escapes: some programs write ``/`` as ``\/``. One that was cut waits."""
        self._rest = b""
        if b"\\" not in text:
            return text
        if cut := _CUT_ESCAPE.search(text):
            text, self._rest = text[: cut.start()], text[cut.start() :]
        return str(json.loads(b'"%s"' % text)).encode("ascii")

    def _decode(self, text: bytes) -> None:
        whole = len(text) // 4 * 4
        self._rest = text[whole:] + self._rest
        if self._is_padded and text:
            raise ValueError("more behind the end")
        self._bytes.write(binascii.a2b_base64(text[:whole], strict_mode=True))
        self._is_padded = text[:whole].endswith(b"=")
