"""The plain text alternative: says what the HTML says, from the same blocks."""

from __future__ import annotations

import re
from itertools import groupby

from cgcore.templates.document import Block, BlockTag, Break, Document, Inline, ListKind, Run
from cgcore.templates.mail_html import nest_items
from cgcore.templates.slots import Link, LinkClose, Slots

__all__ = ["SIGNATURE_MARK", "join_parts", "write_text"]

SIGNATURE_MARK = "-- "  # RFC 3676, 4.3
_SPACES = re.compile(r"[ \t]+")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\ufeff\u00ad"))


def write_text(document: Document, slots: Slots, links: dict[str, Link]) -> str:
    """Return the lines of the document; ``links`` are the links by the mark in their ``href``."""
    lines: list[str] = []
    for is_item, group in groupby(document.blocks, key=lambda block: block.tag is BlockTag.ITEM):
        blocks = list(group)
        lines += _write_items(blocks, slots, links) if is_item else [_write_block(b, slots, links) for b in blocks]
    return "\n".join(lines)


def _write_block(block: Block, slots: Slots, links: dict[str, Link]) -> str:
    if block.tag is BlockTag.CODE:
        return block.text.removesuffix("\n")
    text = _inline_text(block.inlines, slots, links)
    return f"> {text}" if block.tag is BlockTag.QUOTE else text


def _write_items(items: list[Block], slots: Slots, links: dict[str, Link]) -> list[str]:
    lines: list[str] = []
    counters: list[tuple[ListKind | None, int]] = []
    for item, depth in zip(items, nest_items(items), strict=True):
        del counters[depth + 1 :]
        if len(counters) <= depth:
            counters.append((item.kind, 0))
        kind, count = counters[depth]
        counters[depth] = (item.kind, count + 1 if kind == item.kind else 1)
        mark = f"{counters[depth][1]}. " if item.kind is ListKind.ORDERED else "- "
        # A break at the end of an item, the editor's sign for an empty one, shows nothing in HTML either.
        first, *others = _inline_text(item.inlines, slots, links).removesuffix("\n").split("\n")
        indent = "  " * depth
        lines += [indent + mark + first, *(indent + " " * len(mark) + line for line in others)]
    return lines


def _inline_text(inlines: list[Inline], slots: Slots, links: dict[str, Link]) -> str:
    parts: list[str] = []
    for href, group in groupby(inlines, key=_href):
        text = "".join(map(_one, group))
        link = links.get(href) if href else None
        parts.append(slots.mark(link) + text + slots.mark(LinkClose(link)) if link else text)
    lines = "".join(parts).split("\n")
    return "\n".join(line.strip(" ") for line in lines)


def _href(inline: Inline) -> str | None:
    return next((entry.href for entry in inline.formats if entry.href), None)


def _one(inline: Inline) -> str:
    if isinstance(inline, Run):
        text = inline.text if inline.text.isascii() else inline.text.translate(_INVISIBLE)
        return _SPACES.sub(" ", text).replace("\u00a0", " ")
    if isinstance(inline, Break):
        return "\n"
    return f"[{inline.alt}]" if inline.alt else ""


def join_parts(body: str, signature: str) -> str:
    """Return the whole text: the body, and the signature once, after its mark.

    No other line ends with a blank, so that the mark is the only one of its kind.
    """
    body, signature = (_without_trailing_blanks(part) for part in (body, signature))
    body = body.strip("\n")
    if not signature.strip():
        return body + "\n" if body else ""
    return (body + "\n\n" if body else "") + f"{SIGNATURE_MARK}\n{signature.strip(chr(10))}\n"


def _without_trailing_blanks(text: str) -> str:
    return "\n".join(map(str.rstrip, text.split("\n"))) if " \n" in text or text.endswith(" ") else text
