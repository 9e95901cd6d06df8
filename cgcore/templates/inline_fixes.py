"""Fixes that change links and images, one piece of inline content at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

from cgcore.templates.checks import Code
from cgcore.templates.document import Block, Break, Document, Format, Image, Inline, Run
from cgcore.templates.images import ImageFault, OpenedImage, decode, open_image, prepare
from cgcore.templates.links import LinkState, decode_braces, judge_link

__all__ = ["DEFAULT_ALT", "INLINE_FIXES", "map_inlines", "unlink", "with_href"]

DEFAULT_ALT = "Logotipo de {empresa}"


def map_inlines(document: Document, change: Callable[[Inline], Inline | None]) -> Document:
    """Return the document with each piece of content changed; what becomes None is left out."""
    blocks: list[Block] = []
    for block in document.blocks:
        changed = [change(inline) for inline in block.inlines]
        blocks.append(block.like([inline for inline in changed if inline is not None]))
    return Document(blocks)


def with_href(entry: Format, change: Callable[[str], str]) -> Format:
    """Return the format with its target changed, when it is a link."""
    if entry.href is None:
        return entry
    return Format("a", tuple((name, change(value) if name == "href" else value) for name, value in entry.attributes))


def _add_scheme(inline: Inline) -> Inline:
    kept = tuple(with_href(entry, _repaired) for entry in inline.formats)
    return replace(inline, formats=tuple(entry for entry in kept if entry.href != ""))


def _repaired(href: str) -> str:
    # Variables stand in the path or the query: judged with them in place, the host is the same.
    judged = judge_link(decode_braces(href))
    if judged.state is LinkState.POINTLESS:
        return ""
    if judged.state is not LinkState.REPAIRED:
        return href
    return judged.url.split(":", 1)[0] + (":" if judged.url.startswith("mailto") else "://") + href.lstrip("/")


def unlink(document: Document, position: int | None) -> Document:
    """Return the document without its unsafe links; where a value makes one so, without the one at ``position``."""
    kept = map_inlines(document, _without_unsafe)
    if kept != document:
        return kept
    found = _link_with_variable(document, position)
    return map_inlines(document, lambda inline: _without(inline, lambda entry: entry == found))


def _link_with_variable(document: Document, position: int | None) -> Format | None:
    for offset, block in document.offsets():
        for inline in block.inlines:
            link = next((entry for entry in inline.formats if entry.href and "{" in decode_braces(entry.href)), None)
            if link and offset == position:
                return link
            offset += len(inline.text) if isinstance(inline, Run) else int(isinstance(inline, Break))
    return None


def _without(inline: Inline, is_wrong: Callable[[Format], bool]) -> Inline:
    return replace(inline, formats=tuple(entry for entry in inline.formats if not is_wrong(entry)))


def _without_unsafe(inline: Inline) -> Inline:
    return _without(inline, _is_unsafe)


def _is_unsafe(entry: Format) -> bool:
    if entry.tag != "a":
        return False
    return entry.href is None or judge_link(decode_braces(entry.href)).state is LinkState.UNSAFE


def _without_lost_image(inline: Inline) -> Inline | None:
    if not isinstance(inline, Image):
        return inline
    data = decode(inline.src)
    opened = open_image(data) if data else ImageFault.UNREADABLE
    return inline if isinstance(opened, OpenedImage) else None


def _reduced(inline: Inline) -> Inline | None:
    if not isinstance(inline, Image) or not (data := decode(inline.src)):
        return inline
    opened = open_image(data)
    if isinstance(opened, ImageFault):
        return None
    width, height = opened.shown(inline.width, inline.height)
    prepared = prepare(data, width, height)
    if isinstance(prepared, ImageFault):
        return None
    src = f"data:{prepared.type};base64,{base64.b64encode(prepared.data).decode()}"
    return replace(inline, src=src, width=width, height=height)


def _with_alt(inline: Inline) -> Inline:
    return replace(inline, alt=inline.alt or DEFAULT_ALT) if isinstance(inline, Image) else inline


INLINE_FIXES: dict[Code, Callable[[Inline], Inline | None]] = {
    Code.LINK_WITHOUT_SCHEME: _add_scheme,
    Code.REMOTE_IMAGE: _without_lost_image,
    Code.UNREADABLE_IMAGE: _without_lost_image,
    Code.IMAGE_TOO_LARGE: _reduced,
    Code.MISSING_ALT: _with_alt,
}
