"""A template's text as a flat list of blocks: what the editor means, whatever HTML it came as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "INVISIBLE",
    "Block",
    "BlockTag",
    "Break",
    "Document",
    "Format",
    "Image",
    "Inline",
    "ListKind",
    "Run",
    "is_blank",
]

INVISIBLE = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # without width, though Python calls none of them a blank
)
_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))


def is_blank(text: str) -> bool:
    """Whether ``text`` holds nothing but blanks of any kind and characters without width."""
    return not text.strip() or (not text.isascii() and not text.translate(_INVISIBLE).strip())


class BlockTag(StrEnum):
    """The kinds of block that the editor and mail know."""

    PARAGRAPH = "p"
    HEADING_1 = "h1"
    HEADING_2 = "h2"
    HEADING_3 = "h3"
    QUOTE = "blockquote"
    CODE = "pre"
    ITEM = "li"


class ListKind(StrEnum):
    """The list that an item belongs to; the value is its tag."""

    ORDERED = "ol"
    BULLET = "ul"


@dataclass(frozen=True, slots=True)
class Format:
    """One inline element around a run: its tag and its attributes, in fixed order."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def href(self) -> str | None:
        """The target of a link, else None."""
        return dict(self.attributes).get("href") if self.tag == "a" else None


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text and the formats around it, the outermost first."""

    text: str
    formats: tuple[Format, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the text; ``width`` and ``height`` are the attributes in CSS pixels, 0 when absent."""

    src: str
    alt: str = ""
    width: int = 0
    height: int = 0
    formats: tuple[Format, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """A line break inside an item; in every other block a break starts a new block."""

    formats: tuple[Format, ...] = ()


Inline = Run | Image | Break


@dataclass(slots=True)
class Block:
    """One block and its inline content."""

    tag: BlockTag = BlockTag.PARAGRAPH
    inlines: list[Inline] = field(default_factory=list["Inline"])
    kind: ListKind | None = None
    indent: int = 0
    align: str = ""
    rtl: bool = False
    start: int = 0  # the number of the first item of an ordered list, 0 where it is the usual one

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see in it."""
        return is_blank(self.text) and not any(isinstance(inline, Image) for inline in self.inlines)

    @property
    def text(self) -> str:
        """The joined text: runs as they are, a break as a line feed, an image as nothing."""
        return "".join(
            inline.text if isinstance(inline, Run) else "\n" if isinstance(inline, Break) else ""
            for inline in self.inlines
        )

    def like(self, inlines: list[Inline]) -> Block:
        """Return a block of the same kind with other content."""
        return Block(self.tag, inlines, self.kind, self.indent, self.align, self.rtl, self.start)


@dataclass(slots=True)
class Document:
    """The blocks of one field. Its joined text is that of its blocks with a line feed between them.

    ``had_table`` tells that cells stood side by side in what was read, and are text now.
    """

    blocks: list[Block] = field(default_factory=list[Block])
    had_table: bool = False

    def offsets(self) -> Iterator[tuple[int, Block]]:
        """Yield each block with the offset of its first character in the joined text."""
        offset = 0
        for block in self.blocks:
            yield offset, block
            offset += len(block.text) + 1

    @property
    def text(self) -> str:
        """The joined text of the whole field."""
        return "\n".join(block.text for block in self.blocks)

    @property
    def images(self) -> Iterator[Image]:
        """The images, in order."""
        return (inline for block in self.blocks for inline in block.inlines if isinstance(inline, Image))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see: no image, and of text only blanks and invisible characters."""
        return not any(True for _ in self.images) and is_blank(self.text)
