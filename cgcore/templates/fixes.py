"""One-click changes of a template's text: a fix for a check, a variable at the end, an image's alternative text.

Apart from the page that offers them: pure, from document to document.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from html import escape
from itertools import pairwise

from cgcore.templates.canonical import canonical_html, serialise
from cgcore.templates.checks import Check, Code
from cgcore.templates.document import Block, Break, Document, Format, Image, Inline, Run
from cgcore.templates.images import ImageFault, OpenedImage, decode, open_image, prepare
from cgcore.templates.links import LinkState, decode_braces, judge_link
from cgcore.templates.parse import parse_html
from cgcore.templates.scan import Found, Kind, join_split_variables, replace_spans, scan, split_across
from cgcore.texts import lookup

__all__ = [
    "INLINE_FIXES",
    "append_image",
    "append_variable",
    "default_alt",
    "fix_html",
    "fix_subject",
    "is_fixable",
    "map_inlines",
    "place_of",
    "unlink",
    "with_href",
]


def default_alt() -> str:
    """Return the alternative text that is proposed for an image, a variable in it."""
    return str(lookup("cgcore.templates", "default_alt"))


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
    return inline if isinstance(opened, OpenedImage) else _name_of(inline)


def _name_of(image: Image) -> Run | None:
    """What remains of an image that is left out: its alternative text."""
    return Run(image.alt, image.formats) if image.alt else None


def _reduced(inline: Inline) -> Inline | None:
    if not isinstance(inline, Image) or not (data := decode(inline.src)):
        return inline
    opened = open_image(data)
    if isinstance(opened, ImageFault):
        return _name_of(inline)
    width, height = opened.shown(inline.width, inline.height)
    prepared = prepare(data, width, height)
    if isinstance(prepared, ImageFault):
        return _name_of(inline)
    src = f"data:{prepared.type};base64,{base64.b64encode(prepared.data).decode()}"
    return replace(inline, src=src, width=width, height=height)


def _with_alt(inline: Inline) -> Inline:
    return replace(inline, alt=inline.alt or default_alt()) if isinstance(inline, Image) else inline


INLINE_FIXES: dict[Code, Callable[[Inline], Inline | None]] = {
    Code.LINK_WITHOUT_SCHEME: _add_scheme,
    Code.REMOTE_IMAGE: _without_lost_image,
    Code.UNREADABLE_IMAGE: _without_lost_image,
    Code.IMAGE_TOO_LARGE: _reduced,
    Code.MISSING_ALT: _with_alt,
}


_TEXT_CODES = {Code.UNKNOWN_VARIABLE, Code.WRONG_BRACES, Code.VARIABLE_NOT_FOR_TYPE}
_ALWAYS = {
    *(Code.VARIABLE_NOT_FOR_TYPE, Code.SPLIT_VARIABLE, Code.LINK_WITHOUT_SCHEME, Code.UNSAFE_LINK),
    *(Code.REMOTE_IMAGE, Code.UNREADABLE_IMAGE, Code.IMAGE_TOO_LARGE, Code.MISSING_ALT),
}


def is_fixable(check: Check) -> bool:
    """Whether :func:`fix_html` or :func:`fix_subject` knows what to do about a check."""
    if check.code in (Code.UNKNOWN_VARIABLE, Code.WRONG_BRACES):
        return bool(check.suggestion)
    return check.code in _ALWAYS


_AROUND = 24  # letters shown at each side of a place


def place_of(text: str, check: Check) -> tuple[str, str, str] | None:
    """Return where a check points to in the joined ``text`` of its field: what stands before, there, and after.

    None for a check about the whole field, or a place that shows nothing: an image without words around it.
    """
    position = check.position
    if position is None or position > len(text):
        return None
    found = next((item for item in scan(text) if item.start == position), None)
    end = found.end if found else next((at for at in range(position, len(text)) if text[at].isspace()), len(text))
    before, after = text[max(0, position - _AROUND) : position], text[end : end + _AROUND]
    before = ("…" if position > _AROUND else "") + before.rpartition("\n")[2]
    after = after.partition("\n")[0] + ("…" if end + _AROUND < len(text) else "")
    return (before, text[position:end], after) if (before + text[position:end] + after).strip("… ") else None


def fix_subject(subject: str, check: Check) -> str:
    """Return the subject with the mistake of ``check`` corrected."""
    found = next((item for item in scan(subject) if item.start == check.position), None)
    return subject if found is None else subject[: found.start] + _right(check) + subject[found.end :]


def fix_html(html: str, check: Check) -> str:
    """Return a body or signature with the mistake of ``check`` corrected, in canonical form."""
    document = parse_html(html)
    if check.code in _TEXT_CODES:
        document = _fix_text(document, check)
    elif check.code is Code.SPLIT_VARIABLE:
        document = join_split_variables(document)
    elif check.code is Code.UNSAFE_LINK:
        document = unlink(document, check.position)
    else:
        document = map_inlines(document, INLINE_FIXES[check.code])
    return canonical_html(serialise(document))


def append_variable(html: str, name: str) -> str:
    """Return ``html`` with the variable at its end: after a blank in the last paragraph that has text."""
    document = parse_html(html)
    written = Run("{" + name + "}")
    if not document.blocks:
        return serialise(Document([Block(inlines=[written])]))
    last = next((block for block in reversed(document.blocks) if block.text.strip()), document.blocks[-1])
    if last.text and not last.text.endswith(" "):
        last.inlines.append(Run(" "))
    last.inlines.append(written)
    return serialise(document)


def append_image(html: str, source: str, *, alt: str, width: int, height: int) -> str:
    """Return ``html`` with an image (a data URI) in a paragraph of its own at the end; sizes in pixels, as shown."""
    size = f'width="{width}" height="{height}"'
    return canonical_html(f'{html}<p><img src="{escape(source)}" alt="{escape(alt)}" {size}></p>')


def _right(check: Check) -> str:
    return "{" + check.suggestion + "}" if check.suggestion else ""


def _fix_text(document: Document, check: Check) -> Document:
    joined = _joined_across(document, check)
    if joined:
        return joined
    blocks: list[Block] = []
    fixed = False
    for offset, block in document.offsets():
        found = next((item for item in scan(block.text) if offset + item.start == check.position), None)
        if found and " ".join(found.name.split()) == check.variable and not fixed:
            block, fixed = replace_spans(block, [(found.start, found.end, _right(check))]), True
        blocks.append(block)
    if fixed:
        return Document(blocks)
    return map_inlines(document, lambda inline: _fix_attributes(inline, check))


def _joined_across(document: Document, check: Check) -> Document | None:
    """Return the document with the variable whole where it began, or None where it does not cross two blocks."""
    for index, ((offset, block), (_, after)) in enumerate(pairwise(document.offsets())):
        found = split_across(block.text, after.text)
        if not found or offset + found.start != check.position:
            continue
        whole = replace_spans(block, [(found.start, found.end, _right(check))])
        rest = replace_spans(after, [(0, after.text.index("}") + 1, "")])
        kept = [whole, rest] if rest.inlines else [whole]
        return Document([*document.blocks[:index], *kept, *document.blocks[index + 2 :]])
    return None


def _fix_attributes(inline: Inline, check: Check) -> Inline | None:
    formats = tuple(
        with_href(entry, lambda href: _corrected(decode_braces(href), check, in_link=True)) for entry in inline.formats
    )
    if isinstance(inline, Image):
        return replace(inline, formats=formats, alt=_corrected(inline.alt, check))
    return replace(inline, formats=formats)


def _corrected(text: str, check: Check, *, in_link: bool = False) -> str:
    def wrong(item: Found) -> bool:
        return item.name == check.variable and (item.kind is Kind.WRONG_BRACES or check.code is not Code.WRONG_BRACES)

    for item in reversed([item for item in scan(text, in_link=in_link) if wrong(item)]):
        text = text[: item.start] + _right(check) + text[item.end :]
    return text
