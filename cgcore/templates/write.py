"""Writes the blocks of a template as HTML for mail clients, and as the plain text that says the same.

Apart from :mod:`cgcore.templates.compile`: that one decides once for a template, this one writes for each message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from itertools import groupby

import css_inline

from cgcore.templates.canonical import write_inlines
from cgcore.templates.document import Block, BlockTag, Break, Document, Image, Inline, ListKind, Run
from cgcore.templates.slots import Link, LinkClose, Slots

__all__ = ["SIGNATURE_MARK", "build_page", "join_parts", "nest_items", "write_blocks", "write_text"]

# Markup characters of the text pass the inliner as marks: its parser is slow over character references, and a «<»
# in its output is then always the start of a tag.
_MARKS = dict(zip(map(ord, '&<>"\u00a0'), "\ufde0\ufde1\ufde2\ufde3\ufde5", strict=True))
_ENTITIES = {
    ord(mark): entity for mark, entity in zip(_MARKS.values(), ("&amp;", "&lt;", "&gt;", '"', "&nbsp;"), strict=True)
}
_SPACES = re.compile(r"[ \t]{2,}|\t")
_TAG = re.compile(r"<[^>]*>")
_CLASS = re.compile(r' class="[^"]*"')
_SHELL = """<!DOCTYPE html><html lang="es"><head><meta charset="utf-8">\
<meta name="viewport" content="width=device-width, initial-scale=1">\
<meta name="color-scheme" content="light"><meta name="supported-color-schemes" content="light">\
<title>{title}</title></head>\
<body style="margin:0;padding:0;background-color:#ffffff">\
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tbody><tr>\
<td align="center" style="padding:16px">\
<table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0" \
style="width:100%;max-width:600px;table-layout:fixed">\
<tbody><tr><td class="cg-text">{body}</td></tr>{signature}</tbody></table></td></tr></tbody></table></body></html>"""
_SIGNATURE = '<tr><td class="cg-text cg-signature">{signature}</td></tr>'


@lru_cache(maxsize=1)
def _inliner() -> css_inline.CSSInliner:
    css = files("cgcore.templates").joinpath("mail.css").read_text("utf-8")
    return css_inline.CSSInliner(extra_css=css, load_remote_stylesheets=False)


def build_page(title: str, body: str, signature: str) -> str:
    """Return the whole mail, CSS inlined and classes gone, for the HTML of title, body and signature."""
    below = _SIGNATURE.format(signature=signature) if signature else ""
    page = _inliner().inline(_SHELL.format(title=title, body=body, signature=below))
    return _TAG.sub(lambda tag: _CLASS.sub("", tag.group()), page).translate(_ENTITIES)


def write_blocks(document: Document) -> str:
    """Return the blocks as mail HTML that still has the editor's classes."""
    parts: list[str] = []
    items: list[Block] = []
    for block in document.blocks:
        if block.tag is BlockTag.ITEM:
            items.append(block)
            continue
        parts += [_write_list(items), _write_block(block)]
        items = []
    return "".join([*parts, _write_list(items)])


def nest_items(items: Sequence[Block]) -> list[int]:
    """Return the depth of each item in real nested lists: never more than one deeper than the item before."""
    depths: list[int] = []
    for item in items:
        depths.append(min(item.indent, depths[-1] + 1) if depths else 0)
    return depths


def _write_list(items: Sequence[Block]) -> str:
    parts: list[str] = []
    opened: list[str] = []
    for item, depth in zip(items, nest_items(items), strict=True):
        while len(opened) > depth + 1:
            parts.append(f"</li></{opened.pop()}>")
        if len(opened) == depth + 1:
            parts.append("</li>")
            if opened[-1] != item.kind:
                parts.append(f"</{opened.pop()}>")
        if len(opened) <= depth:
            opened.append(str(item.kind))
            parts.append(f'<{item.kind} start="{item.start}">' if item.start else f"<{item.kind}>")
        parts.append(f"<li{_attributes(item, item.indent - depth)}>{_content(item)}")
    return "".join(parts) + "".join(f"</li></{tag}>" for tag in reversed(opened))


def _attributes(block: Block, indent: int) -> str:
    classes = [f"ql-align-{block.align}" if block.align else "", f"ql-indent-{indent}" if indent > 0 else ""]
    classes += ["ql-direction-rtl" if block.rtl else "", "ql-syntax" if block.tag is BlockTag.CODE else ""]
    names = " ".join(filter(None, classes))
    return (' dir="rtl"' if block.rtl else "") + (f' class="{names}"' if names else "")


def _write_block(block: Block) -> str:
    # Outlook ignores white-space: code keeps its lines by breaks, in a paragraph.
    tag = "p" if block.tag is BlockTag.CODE else block.tag
    return f"<{tag}{_attributes(block, block.indent)}>{_content(block)}</{tag}>"


def _content(block: Block) -> str:
    in_code = block.tag is BlockTag.CODE
    inlines = _code_lines(block) if in_code else [_keep_spaces(inline) for inline in block.inlines]
    # Outlook gives a paragraph height only when something is in it.
    return _write(inlines, block) or "&nbsp;"


def _keep_spaces(inline: Inline) -> Inline:
    if not isinstance(inline, Run):
        return inline
    text = _SPACES.sub(lambda run: "\u00a0" * (len(run.group().expandtabs(4)) - 1) + " ", inline.text)
    return Run(text.translate(_MARKS), inline.formats)


def _code_lines(block: Block) -> list[Inline]:
    lines = block.text.removesuffix("\n").expandtabs(4).replace(" ", "\u00a0").translate(_MARKS).split("\n")
    inlines: list[Inline] = []
    for line in lines:
        inlines += [Run(line), Break()]
    return inlines[:-1]


def _write(inlines: list[Inline], block: Block) -> str:
    if not any(isinstance(inline, Image) for inline in inlines):
        return write_inlines(inlines)
    # A picture beside another one stays in the line, as it does in the editor.
    images = sum(isinstance(inline, Image) for inline in inlines)
    alone = images == 1 and not block.text.strip()
    side = {"center": " cg-center", "right": " cg-right"}.get(block.align, "")
    names = f"cg-alone{side}" if alone else "cg-inline"
    return write_inlines(inlines, image_writer=lambda image: _write_image(image, names))


def _write_image(image: Image, names: str) -> str:
    # Some Apple Mail versions ignore the width attribute of embedded images, Outlook ignores the style: both.
    return (
        f'<img src="{escape(image.src)}" alt="{image.alt}" width="{image.width}" height="{image.height}" '
        f'class="{names}" style="width:{image.width}px">'
    )


SIGNATURE_MARK = "-- "  # RFC 3676, 4.3
_text_part_SPACES = re.compile(r"[ \t]+")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\ufeff\u00ad"))


def write_text(document: Document, slots: Slots, links: dict[str, Link]) -> str:
    """Return the lines of the document; ``links`` are the links by the mark in their ``href``."""
    lines: list[str] = []
    for is_item, group in groupby(document.blocks, key=lambda block: block.tag is BlockTag.ITEM):
        blocks = list(group)
        lines += (
            _write_items(blocks, slots, links) if is_item else [_text_part_write_block(b, slots, links) for b in blocks]
        )
    return "\n".join(lines)


def _text_part_write_block(block: Block, slots: Slots, links: dict[str, Link]) -> str:
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
            counters.append((None, 0))
        kind, count = counters[depth]
        counters[depth] = (item.kind, count + 1 if kind == item.kind else item.start or 1)
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
        return _text_part_SPACES.sub(" ", text).replace("\u00a0", " ")
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
