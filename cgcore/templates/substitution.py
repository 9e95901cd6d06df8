"""Variables over the joined text of a block: found across formats, put where the opening brace stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from cgcore.templates.document import Block, Break, Document, Inline, Run
from cgcore.templates.scanning import Found, Kind, scan

__all__ = ["Span", "is_split", "join_split_variables", "replace_spans", "run_starts"]

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
