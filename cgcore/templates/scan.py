"""Finds variables, and what was meant to be one, in joined text; across formats, put where the opening brace stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from unicodedata import normalize

from cgcore.templates.document import Block, Break, Document, Inline, Run
from cgcore.templates.variables import is_known, nearest_variable, normalise_name

__all__ = [
    "Found",
    "Kind",
    "Span",
    "is_split",
    "join_split_variables",
    "replace_spans",
    "run_starts",
    "scan",
    "split_across",
]

# What the eye does not see inside braces: non-breaking and zero-width characters, soft hyphen, byte order mark.
_INVISIBLE = re.compile("[\u00a0\u00ad\u200b-\u200d\u202f\u2060\ufeff]")
_BRACES = re.compile(r"(\{++)([^{}]*+)(\}*+)|\}++")
_OTHER_MARKS = re.compile(
    r"(?<!\[)\[++\s{0,3}([^\W\d_][\w \-]{2,30}?)\s{0,3}\]+|%([^\W\d_]\w{2,30})%"
    r"|\uff5b\s{0,3}([^\W\d_][\w \-]{2,30}?)\s{0,3}[\uff5d}]"  # full-width braces
)
_ODD_OPENING, _ODD_CLOSING = "[\uff5b", "]\uff5d"
_NAME = re.compile(r"\w+")
_LONGEST_INSIDE = 80  # a brace that closes later than this belongs to another sentence
_FIRST_WORD = re.compile(r"\s*(\w{1,40})")
_LAST_WORD = re.compile(r"\w{1,40}\Z")
_OPEN_TAIL = re.compile(r"\{([^\s{}]{0,30})\Z")
_CLOSED_HEAD = re.compile(r"\A([^\s{}]{0,30})\}")


class Kind(Enum):
    """What stands in the text: a variable, known or not, or one written with the wrong marks."""

    VARIABLE = "variable"
    WRONG_BRACES = "wrong_braces"


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the text, ``text[start:end]``: the name there (normalised) and, for wrong marks, the one meant."""

    kind: Kind
    start: int
    end: int
    name: str
    written: str
    suggestion: str = ""


def scan(text: str, *, in_link: bool = False) -> list[Found]:
    """Return the variables and near-variables of ``text`` in order; whatever else has braces is plain text.

    The grammar is ``{name}``: letters, digits, underscore; invisible characters between the braces do not count.
    In a link ``%`` and brackets are ordinary characters too: there ``%name%`` and ``[name]`` count only with the very
    name of a variable, and not as the key of ``rows[name]=1``.
    """
    found = list(_scan_braces(text)) if "{" in text or "}" in text else []
    if "[" in text or "%" in text or "\uff5b" in text:
        taken = [(item.start, item.end) for item in found]
        marks = (match for match in _OTHER_MARKS.finditer(text) if not in_link or _is_meant_in_link(match))
        others = map(_other_marks, marks)
        found += [item for item in others if item and not _overlaps(item, taken)]
        found.sort(key=lambda item: item.start)
    return found


def _overlaps(item: Found, taken: list[tuple[int, int]]) -> bool:
    return any(start < item.end and item.start < end for start, end in taken)


def _scan_braces(text: str) -> Iterator[Found]:
    pending = 0  # plain opening braces still to be closed: `{a {serie}}` ends with a brace of its own
    for match in _BRACES.finditer(text):
        opened, inside, closed = match.group(1) or "", match.group(2) or "", match.group(3) or ""
        if not opened:
            pending = max(0, pending - len(match.group()))
            item = _unopened(text, match.start(), match.end())
        else:
            extra = min(pending, max(0, len(closed) - len(opened)))
            pending -= extra
            item = _judge(len(opened), inside, len(closed) - extra, match.start(), match.end() - extra)
            pending += 0 if item else max(0, len(opened) - len(closed))
        if item:
            yield item


def _judge(opened: int, inside: str, closed: int, start: int, end: int) -> Found | None:
    bare = normalize("NFC", _INVISIBLE.sub("", inside))
    if opened == closed == 1 and _NAME.fullmatch(bare):
        return Found(Kind.VARIABLE, start, end, normalise_name(bare), bare)
    if not closed:
        return _unclosed(opened, inside, bare, start)
    shown = "{" * opened + bare + "}" * closed
    meant = nearest_variable(bare)
    if meant:
        return _wrong(start, end, bare.strip(), meant, shown)
    word = _FIRST_WORD.match(bare)
    if word and is_known(normalise_name(word.group(1))) and len(bare) <= _LONGEST_INSIDE:
        return _wrong(start, end, word.group(1), normalise_name(word.group(1)), shown)
    if min(opened, closed) == 1 and _NAME.fullmatch(bare):
        return Found(Kind.VARIABLE, start, end, normalise_name(bare), bare)
    return None


def _unclosed(opened: int, inside: str, bare: str, start: int) -> Found | None:
    word = _FIRST_WORD.match(bare)
    meant = nearest_variable(word.group(1)) if word else None
    if not word or not meant:
        return None
    in_text = _FIRST_WORD.match(inside)
    length = in_text.end() if in_text else 0
    odd = inside[length : length + 1] if "[" not in inside else ""
    closing = odd if odd and odd in _ODD_CLOSING else ""
    end = start + opened + length + len(closing)
    return _wrong(start, end, word.group(1), meant, "{" * opened + word.group() + closing)


def _unopened(text: str, start: int, end: int) -> Found | None:
    word = _LAST_WORD.search(text[max(0, start - 41) : start])
    if not word or not is_known(normalise_name(word.group())):
        return None
    name = word.group()
    before = text[max(0, start - len(name) - 1) : start - len(name)]
    opening = before if before and before in _ODD_OPENING else ""
    begin = start - len(name) - len(opening)
    return _wrong(begin, end, name, normalise_name(name), opening + name + "}")


def _other_marks(match: re.Match[str]) -> Found | None:
    inside = match.group(1) or match.group(2) or match.group(3)
    meant = nearest_variable(inside)
    return _wrong(match.start(), match.end(), inside, meant, match.group()) if meant else None


def _is_meant_in_link(match: re.Match[str]) -> bool:
    inside = match.group(1) or match.group(2) or match.group(3)
    is_key = match.group().startswith("[") and re.match(r"[\w\]]", match.string[match.start() - 1 :][:1])
    return is_known(normalise_name(inside)) and not (match.start() and is_key)


def _wrong(start: int, end: int, name: str, meant: str, written: str) -> Found:
    return Found(Kind.WRONG_BRACES, start, end, normalise_name(name), written, meant)


def split_across(before: str, after: str) -> Found | None:
    """Return the variable that begins at the end of one block and ends in the next, if there is one.

    A variable cannot cross blocks; its place is given in ``before``.
    """
    tail, head = _OPEN_TAIL.search(before), _CLOSED_HEAD.search(after)
    if not tail or not head:
        return None
    name = _INVISIBLE.sub("", tail.group(1) + head.group(1))
    if not is_known(normalise_name(name)):
        return None
    return _wrong(tail.start(), len(before), name, normalise_name(name), "{" + name + "}")


Span = tuple[int, int, str]


def replace_spans(block: Block, spans: Sequence[Span]) -> Block:
    """Return the block with each span of its joined text replaced; spans are in order and do not overlap.

    The new text goes into the run where its span begins, and takes the formats there; what else the span covered is
    deleted, and a run left empty goes with it. Images keep their place.
    """
    if not spans:
        return block
    kept: list[Inline] = []
    offset = index = 0
    for inline in block.inlines:
        length = len(inline.text) if isinstance(inline, Run) else int(isinstance(inline, Break))
        if not isinstance(inline, Run):
            kept.append(inline)
        else:
            text, index = _rewrite(inline.text, offset, spans, index)
            if text or not inline.text:
                kept.append(replace(inline, text=text))
        offset += length
    return block.like(kept)


def _rewrite(text: str, offset: int, spans: Sequence[Span], index: int) -> tuple[str, int]:
    parts: list[str] = []
    done = 0
    end = offset + len(text)
    while index < len(spans) and spans[index][0] < end:
        start, stop, new = spans[index]
        if start >= offset:
            parts += [text[done : start - offset], new]
        done = max(done, min(stop, end) - offset)
        if stop > end:
            break
        index += 1
    parts.append(text[done:])
    return "".join(parts), index


def run_starts(block: Block) -> list[int]:
    """Return the offsets in the joined text where runs begin, in order; for :func:`is_split`."""
    starts: list[int] = []
    offset = 0
    for inline in block.inlines:
        if isinstance(inline, Run):
            starts.append(offset)
            offset += len(inline.text)
        else:
            offset += int(isinstance(inline, Break))
    return starts


def is_split(starts: Sequence[int], found: Found) -> bool:
    """Whether the place lies in more than one run, given the offsets where runs begin."""
    following = bisect_right(starts, found.start)
    return following < len(starts) and starts[following] < found.end


def join_split_variables(document: Document) -> Document:
    """Return the document with every variable in one run, those that were split without their invisible characters."""
    blocks: list[Block] = []
    for block in document.blocks:
        starts = run_starts(block)
        split = [found for found in scan(block.text) if found.kind is Kind.VARIABLE and is_split(starts, found)]
        blocks.append(replace_spans(block, [(item.start, item.end, "{" + item.written + "}") for item in split]))
    return Document(blocks)
