"""The one form in which a body or a signature is stored and compared: the editor's own HTML, tidied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape
from itertools import groupby

from cgcore.templates.document import Block, BlockTag, Document, Format, Image, Inline, Run
from cgcore.templates.parse import parse_html
from cgcore.templates.scan import join_split_variables

__all__ = ["canonical_html", "serialise", "write_image", "write_inlines"]


@lru_cache(maxsize=32)
def canonical_html(source: str) -> str:
    """Return ``source`` cleaned and in canonical form; the canonical of a canonical is itself.

    No white space between blocks, one empty value, colours as ``#rrggbb``, no ``target`` or ``rel``, attributes in
    fixed order, variables that formatting had split joined again.
    """
    document = parse_html(source)
    return "" if document.is_empty else serialise(join_split_variables(document))


def serialise(document: Document) -> str:
    """Return the document as the editor (Quill 1.3.7) writes it."""
    parts: list[str] = []
    for kind, group in groupby(document.blocks, key=lambda block: block.kind):
        blocks = list(group)
        number = _write_number(blocks[0]) if kind else ""
        written = [
            _write_block(block, "" if number and block is blocks[0] else _write_number(block)) for block in blocks
        ]
        parts += [f"<{kind}{number}>", *written, f"</{kind}>"] if kind else written
    return "".join(parts)


def _write_number(block: Block) -> str:
    return f' start="{block.start}"' if block.start else ""


def _write_block(block: Block, number: str) -> str:
    # One list of the editor holds items of all depths: the number of one further in stands at its first item.
    classes = [
        f"ql-align-{block.align}" if block.align else "",
        "ql-direction-rtl" if block.rtl else "",
        f"ql-indent-{block.indent}" if block.indent else "",
        "ql-syntax" if block.tag is BlockTag.CODE else "",
    ]
    names = " ".join(filter(None, classes))
    attributes = (f' class="{names}"' if names else "") + number
    if block.tag is BlockTag.CODE:
        text = escape(block.text, quote=False)
        # The parser drops a line feed right after the tag.
        return f'<pre{attributes} spellcheck="false">{chr(10) if text.startswith(chr(10)) else ""}{text}</pre>'
    return f"<{block.tag}{attributes}>{write_inlines(block.inlines) or '<br>'}</{block.tag}>"


def write_image(image: Image) -> str:
    """Return an image as the editor writes it."""
    given = {"src": image.src, "alt": image.alt, "width": str(image.width or ""), "height": str(image.height or "")}
    return "<img" + "".join(f' {name}="{escape(value)}"' for name, value in given.items() if value) + ">"


def write_inlines(inlines: list[Inline], *, image_writer: Callable[[Image], str] = write_image) -> str:
    """Return inline content as HTML; neighbours share the elements that they have in common."""
    parts: list[str] = []
    opened: tuple[Format, ...] = ()
    for inline in inlines:
        common = _common(opened, inline.formats)
        parts += [f"</{entry.tag}>" for entry in reversed(opened[common:])]
        parts += list(_open_tags(inline.formats[common:]))
        opened = inline.formats
        if isinstance(inline, Run):
            parts.append(escape(inline.text, quote=False).replace("\u00a0", "&nbsp;"))
        else:
            parts.append(image_writer(inline) if isinstance(inline, Image) else "<br>")
    parts += [f"</{entry.tag}>" for entry in reversed(opened)]
    return "".join(parts)


def _common(left: tuple[Format, ...], right: tuple[Format, ...]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _open_tags(formats: tuple[Format, ...]) -> Iterator[str]:
    for entry in formats:
        yield f"<{entry.tag}" + "".join(f' {name}="{escape(value)}"' for name, value in entry.attributes) + ">"
