"""Reads cleaned HTML into a :class:`Document`: blocks inside blocks, lists in lists and tables become flat."""

from __future__ import annotations

import re

from lxml import etree, html
from PIL import ImageColor

from cgcore.templates.document import Block, BlockTag, Break, Document, Format, Image, Inline, ListKind, Run, is_blank
from cgcore.templates.sanitise import INLINE_CLASSES, clean_html, restore_marks

__all__ = ["INLINE_TAGS", "colour_to_hex", "parse_html", "read_format", "read_image", "style_to_declarations"]

_RGB = re.compile(r"rgba?\(\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*[,\s]\s*(\d{1,3})\s*(?:[,/]\s*[\d.]+%?\s*)?\)", re.I)
_ALIGNMENTS = {"center": "center", "right": "right", "end": "right", "justify": "justify"}


def colour_to_hex(value: str) -> str | None:
    """Return ``value`` (name, hex, ``rgb()``, ``hsl()``) as ``#rrggbb``, or None for what is no plain colour."""
    value = value.strip().lower()
    match = _RGB.fullmatch(value)
    if match:
        return "#" + "".join(f"{min(255, int(part)):02x}" for part in match.groups())
    if len(value) > 40:
        return None
    try:
        red, green, blue = ImageColor.getrgb(value)[:3]
    except ValueError:
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"


def style_to_declarations(style: str) -> tuple[dict[str, str], str]:
    """Return the colours of a style attribute, in fixed order, and its alignment («» for left)."""
    if not style:
        return {}, ""
    colours: dict[str, str] = {}
    align = ""
    for declaration in style.split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip().lower(), value.replace("!important", "").strip()
        if name == "text-align":
            align = _ALIGNMENTS.get(value.lower(), "")
        elif name in ("color", "background-color"):
            colour = colour_to_hex(value)
            if colour:
                colours[name] = colour
    return {name: colours[name] for name in ("color", "background-color") if name in colours}, align


INLINE_TAGS = {
    **{tag: tag for tag in ("strong", "em", "u", "s", "sub", "sup", "span", "a")},
    "b": "strong",
    "i": "em",
    "ins": "u",
    "strike": "s",
    "del": "s",
    "font": "span",
    "code": "span",
}


def read_format(element: html.HtmlElement) -> Format:
    """Return the format that an inline element stands for."""
    tag = INLINE_TAGS[str(element.tag)]
    classes = sorted(set(element.get("class", "").split()) & INLINE_CLASSES)
    if element.tag == "code":
        classes = sorted({*classes, "ql-font-monospace"})
    colours, _ = style_to_declarations(element.get("style", ""))
    attributes: list[tuple[str, str]] = []
    if tag == "a":
        attributes += _read_target(element)
    if classes:
        attributes.append(("class", " ".join(classes)))
    if colours:
        attributes.append(("style", "; ".join(f"{name}: {value}" for name, value in colours.items()) + ";"))
    return Format(tag, tuple(attributes))


def _read_target(element: html.HtmlElement) -> list[tuple[str, str]]:
    href = element.get("href")
    if href is not None:
        return [("href", restore_marks(href).strip())] if href.strip() else []
    # The sanitiser took the target away; a mere anchor (Word's table of contents) never had one.
    return [] if element.get("name") is not None or element.get("id") is not None else [("refused", "")]


def read_image(element: html.HtmlElement, formats: tuple[Format, ...]) -> Image:
    """Return the image that an ``img`` stands for."""
    width, height = (_pixels(element.get(name, "")) for name in ("width", "height"))
    src, alt = (restore_marks(element.get(name, "")).strip() for name in ("src", "alt"))
    return Image(src, alt, width, height, formats)


def _pixels(value: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,5})(?:\.\d+)?(?:px)?\s*", value)
    return int(match.group(1)) if match else 0


_BLOCKS = {
    **{tag: BlockTag(tag) for tag in ("p", "h1", "h2", "h3", "blockquote", "pre", "li")},
    "div": BlockTag.PARAGRAPH,
    **dict.fromkeys(("h4", "h5", "h6"), BlockTag.HEADING_3),
}
# The look behind makes a long run of blanks cost its length once, not at each of its blanks.
_LINE_BREAKS = re.compile(r"(?<![ \t])[ \t]*+[\n\r\f][ \t\n\r\f]*+")
_MAX_FORMATS = 32
_MAX_INDENT = 8


def parse_html(source: str) -> Document:
    """Return the document that ``source`` means, cleaned first; any text is accepted, bare text becomes paragraphs."""
    cleaned = clean_html(source)
    if not cleaned.strip():
        return Document()
    parser = html.HTMLParser(huge_tree=True, encoding="utf-8")
    root = html.document_fromstring(f"<body>{cleaned}</body>".encode(), parser=parser)
    return _Reader().read(root)


class _Reader:
    """Walks the tree once, without recursion; what is open is kept in stacks."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._current: Block | None = None
        self._open: list[Block] = []  # block elements around the present place, as empty patterns
        self._lists: list[ListKind] = []
        self._formats: list[Format] = []
        self._hidden = 0
        self._starts: list[int] = []  # beside the lists: the number that the next item begins with, 0 for the usual
        self._rows: list[list[list[Block]]] = []  # the cells so far of the rows around the present place
        self._marks: list[int] = []  # where the open cells begin in the blocks
        self._had_table = False

    def read(self, root: html.HtmlElement) -> Document:
        body = root if root.tag == "body" else root.find("body")
        if body is None:
            return Document()
        for event, element in etree.iterwalk(body, events=("start", "end")):
            if event == "start":
                self._start(element)
                self._text(element.text)
            else:
                self._end(element)
                self._text(element.tail if element is not body else None)
        self._close()
        _keep_first_numbers(self._blocks)
        return Document(self._blocks, self._had_table)

    def _start(self, element: html.HtmlElement) -> None:
        tag = str(element.tag)
        if self._hidden or "ql-formula" in element.get("class", ""):
            self._hidden += 1
        elif tag in _BLOCKS:
            self._start_block(element, _BLOCKS[tag])
        elif tag in INLINE_TAGS:
            self._formats.append(read_format(element))
        elif tag in ("ol", "ul"):
            self._leave()
            self._lists.append(ListKind(tag))
            self._starts.append(_number(element))
        elif tag == "br":
            self._break()
        elif tag == "img":
            self._image(element)
        elif tag in ("table", "tr", "td", "th"):
            self._start_of_table(element, tag)

    def _end(self, element: html.HtmlElement) -> None:
        tag = str(element.tag)
        if self._hidden:
            self._hidden -= 1
        elif tag in _BLOCKS:
            self._end_block()
        elif tag in INLINE_TAGS:
            self._formats.pop()
        elif tag in ("ol", "ul"):
            self._close()
            self._lists.pop()
            self._starts.pop()
        elif tag in ("table", "tr", "td", "th"):
            self._end_of_table(tag)

    def _start_of_table(self, element: html.HtmlElement, tag: str) -> None:
        self._leave()
        if tag == "tr":
            self._rows.append([])
        elif tag != "table":
            self._open.append(self._pattern(element, BlockTag.PARAGRAPH))
            self._marks.append(len(self._blocks))

    def _end_of_table(self, tag: str) -> None:
        self._close()
        if tag == "tr":
            cells = [cell for cell in self._rows.pop() if not all(block.is_empty for block in cell)]
            self._had_table = self._had_table or len(cells) > 1
            self._blocks += _write_row(cells)
        elif tag != "table":
            self._open.pop()
            mark = self._marks.pop()
            if self._rows:
                self._rows[-1].append(self._blocks[mark:])
                del self._blocks[mark:]

    def _start_block(self, element: html.HtmlElement, tag: BlockTag) -> None:
        pattern = self._pattern(element, tag)
        outer = self._open[-1] if self._open else None
        self._open.append(pattern)
        if outer is not None and outer.tag is BlockTag.ITEM and tag is BlockTag.PARAGRAPH:
            # A paragraph of an item goes on in that item: two items would be two bullets.
            self._open[-1] = outer
            if self._current is not None:
                if self._current.inlines:
                    self._add(Break())
                return
        self._leave()
        self._current = self._open[-1].like([])

    def _end_block(self) -> None:
        ended = self._open.pop()
        if not (self._open and self._open[-1] is ended):
            self._close()

    def _pattern(self, element: html.HtmlElement, tag: BlockTag) -> Block:
        outer = self._open[-1] if self._open else Block()
        classes = element.get("class", "").split()
        indent = next((int(name[-1]) for name in classes if name.startswith("ql-indent-")), 0)
        _, styled = style_to_declarations(element.get("style", ""))
        align = next((name.removeprefix("ql-align-") for name in classes if name.startswith("ql-align-")), styled)
        rtl = "ql-direction-rtl" in classes or outer.rtl
        if tag is BlockTag.ITEM:
            kind = self._lists[-1] if self._lists else ListKind.BULLET
            level = min(_MAX_INDENT, indent + max(0, len(self._lists) - 1))
            start = _number(element) or (self._starts[-1] if self._starts else 0)
            if self._starts:
                self._starts[-1] = 0
            return Block(tag, kind=kind, indent=level, align=align, rtl=rtl, start=start)
        if tag is BlockTag.PARAGRAPH and outer.tag is not BlockTag.ITEM:
            tag = outer.tag
        return Block(tag, indent=indent or outer.indent, align=align or outer.align, rtl=rtl)

    @property
    def _in_code(self) -> bool:
        return bool(self._open) and self._open[-1].tag is BlockTag.CODE

    def _image(self, element: html.HtmlElement) -> None:
        if not self._in_code:
            self._add(read_image(element, self._stack()))
            return
        # Code is text alone, for the editor as well: an image inside it stands below what came before.
        self._close()
        self._blocks.append(Block(inlines=[read_image(element, ())]))

    def _stack(self) -> tuple[Format, ...]:
        if self._in_code:
            return ()
        useful = [entry for entry in self._formats if entry.tag != "span" or entry.attributes]
        links = [entry for entry in useful if entry.tag == "a" and entry.attributes]
        # One link at a time: around a table the parser lets them nest.
        useful = [entry for entry in useful if entry.tag != "a" or entry in links[-1:]]
        return tuple(dict.fromkeys(useful))[-_MAX_FORMATS:]

    def _text(self, text: str | None) -> None:
        if not text or self._hidden:
            return
        text = text.replace("\r", "") if self._in_code else _LINE_BREAKS.sub(" ", text)
        if self._current is None and not text.strip(" \t\n"):
            return
        self._add(Run(restore_marks(text), self._stack()))

    def _add(self, inline: Inline) -> None:
        if self._current is None:
            self._current = (self._open[-1] if self._open else Block()).like([])
        self._current.inlines.append(inline)

    def _break(self) -> None:
        in_item = bool(self._open) and self._open[-1].tag is BlockTag.ITEM
        if in_item:
            self._add(Break(self._stack()))
        elif self._in_code:
            self._add(Run("\n"))
        else:
            self._blocks.append(self._current or (self._open[-1] if self._open else Block()).like([]))
            self._current = None

    def _leave(self) -> None:
        # The blanks between a block and the first block inside it are layout of the source.
        if self._current is not None and not self._current.text.strip(" ") and not self._has_image():
            self._current = None
        self._close()

    def _has_image(self) -> bool:
        return self._current is not None and any(isinstance(inline, Image) for inline in self._current.inlines)

    def _close(self) -> None:
        if self._current is not None:
            self._blocks.append(self._current)
            self._current = None


def _number(element: html.HtmlElement) -> int:
    match = re.fullmatch(r"\s*0*(\d{1,5})\s*", element.get("start", ""))
    return int(match.group(1)) if match else 0


def _keep_first_numbers(blocks: list[Block]) -> None:
    """Keep a number only where a list begins: the editor copies it to the items that are added."""
    kinds: list[ListKind | None] = []
    for block in blocks:
        if block.tag is not BlockTag.ITEM:
            kinds = []
            continue
        depth = min(block.indent, len(kinds))
        begins = len(kinds) <= depth or kinds[depth] is not block.kind
        kinds[depth:] = [block.kind]
        if not begins or block.kind is not ListKind.ORDERED or block.start == 1:
            block.start = 0


_BETWEEN_CELLS = " · "
_CELL_EDGES = " \t\u00a0"


def _write_row(cells: list[list[Block]]) -> list[Block]:
    """Return a row as one line, or cell below cell where one of them is more than a line, as in tables for layout."""
    lines = [[block for block in cell if not block.is_empty] for cell in cells]
    if len(cells) < 2 or not all(len(line) == 1 and _is_line(line[0]) for line in lines):
        return [block for cell in cells for block in cell]
    first, *others = (line[0] for line in lines)
    row = first.like(_trimmed(first.inlines))
    for block in others:
        # A picture beside a text is layout, not a value beside another one.
        is_value = not (is_blank(row.text) or is_blank(block.text))
        row.inlines += [Run(_BETWEEN_CELLS if is_value else " "), *_trimmed(block.inlines)]
        row.align = row.align if row.align == block.align else ""
        row.tag = row.tag if row.tag is block.tag else BlockTag.PARAGRAPH
    return [row]


def _is_line(block: Block) -> bool:
    return block.tag not in (BlockTag.ITEM, BlockTag.CODE) and not any(isinstance(x, Break) for x in block.inlines)


def _trimmed(inlines: list[Inline]) -> list[Inline]:
    kept = list(inlines)
    while kept and isinstance(kept[0], Run):
        kept[0] = Run(kept[0].text.lstrip(_CELL_EDGES), kept[0].formats)
        if kept[0].text:
            break
        del kept[0]
    while kept and isinstance(kept[-1], Run):
        kept[-1] = Run(kept[-1].text.rstrip(_CELL_EDGES), kept[-1].formats)
        if kept[-1].text:
            break
        del kept[-1]
    return kept
