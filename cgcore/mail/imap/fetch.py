"""What FETCH answers (RFC 9051 §7.5.2): the items of each message, and the parts of one as BODYSTRUCTURE lists them.

Apart from :mod:`cgcore.mail.imap.client`: that one moves lines and literals, this one reads what stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

__all__ = ["Part", "Structure", "read_fetch", "read_structure"]

_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|(BODY\[[^\]]*\](?:<\d+>)?)|([()])|([^\s()"]+)', re.IGNORECASE | re.DOTALL)
_ANNOUNCED = re.compile(rb"\{\d+\+?\}\s*$")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_DEEPEST = 40  # parts within parts; no honest message comes near
_MOST_PARTS = 200

#: A value of an answer: text, NIL, or a list of values.
Value = bytes | None | list["Value"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part that holds no others; ``number`` is its name in ``BODY[…]``, ``type`` the media type, small letters."""

    number: str
    type: str
    encoding: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Structure:
    """How a message is made up: its media type, the parameters of that, and its parts in their order."""

    type: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Sequence[Part] = ()

    def find(self, *types: str) -> Part | None:
        """Return the first part of one of these media types."""
        return next((part for part in self.parts if part.type in types), None)


def read_fetch(rows: Iterable[bytes | tuple[bytes, bytes]]) -> Sequence[Mapping[str, Value]]:
    """Return the items of each message by their name in capitals: ``UID``, ``BODYSTRUCTURE``, ``BODY[1]``.

    ``rows`` are those of :class:`cgcore.mail.imap.client.ImapReply`. What is no such answer is passed over.
    """
    messages: list[Mapping[str, Value]] = []
    for value in _values(_tokens(rows)):
        if isinstance(value, list):
            names, values = value[::2], value[1::2]
            pairs = zip(names, values, strict=False)
            messages.append({_text(name).upper(): each for name, each in pairs if isinstance(name, bytes)})
    return messages


def read_structure(value: Value) -> Structure:
    """Return what a BODYSTRUCTURE says; of one that cannot be read, an empty one."""
    if not isinstance(value, list) or not value:
        return Structure("")
    inner = [each for each in value if isinstance(each, list)]
    parts = tuple(_parts(value, "", _DEEPEST))[:_MOST_PARTS]
    if not isinstance(value[0], list):
        return Structure(parts[0].type if parts else "", {}, parts)
    subtype = next((each for each in value if isinstance(each, bytes)), b"")
    behind = value.index(subtype) + 1
    given = value[behind] if behind < len(value) and value[behind] in inner else None
    return Structure(f"multipart/{_text(subtype).lower()}", _parameters(given), parts)


def _parts(value: list[Value], number: str, left: int) -> Iterator[Part]:
    if not value or not left:
        return
    if not isinstance(value[0], list):
        encoding, size = (_text(value[place]) if len(value) > place else "" for place in (5, 6))
        kind = f"{_text(value[0])}/{_text(value[1]) if len(value) > 1 else ''}".lower()
        yield Part(number or "1", kind, encoding.lower(), int(size) if size.isdigit() else 0)
        return
    for place, each in enumerate(value, 1):
        if not isinstance(each, list):
            return
        yield from _parts(each, f"{number}.{place}" if number else str(place), left - 1)


def _parameters(value: Value) -> Mapping[str, str]:
    if not isinstance(value, list):
        return {}
    texts = [_text(each) for each in value]
    return {name.lower(): said for name, said in zip(texts[::2], texts[1::2], strict=False)}


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _tokens(rows: Iterable[bytes | tuple[bytes, bytes]]) -> Iterator[tuple[str, bytes]]:
    for row in rows:
        head, literal = row if isinstance(row, tuple) else (row, None)
        if literal is not None:
            head = _ANNOUNCED.sub(b"", head)
        for quoted, body, mark, atom in cast("list[tuple[bytes, ...]]", _TOKEN.findall(head)):
            if mark:
                yield "mark", mark
            elif body or atom:
                yield "atom", body or atom
            else:
                yield "text", _ESCAPE.sub(rb"\1", quoted)
        if literal is not None:
            yield "text", literal


def _values(tokens: Iterable[tuple[str, bytes]]) -> list[Value]:
    top: list[Value] = []
    open_lists: list[list[Value]] = [top]
    for kind, token in tokens:
        if kind == "mark" and token == b"(":
            inner: list[Value] = []
            open_lists[-1].append(inner)
            open_lists.append(inner)
        elif kind == "mark":
            if len(open_lists) > 1:
                open_lists.pop()
        else:
            open_lists[-1].append(None if kind == "atom" and token.upper() == b"NIL" else token)
    return top
