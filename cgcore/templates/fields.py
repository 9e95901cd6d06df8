"""Compiles one HTML field: variables to slots, links judged, images to parts, and everything worth saying noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from cgcore.templates.checks import Code, Field, Severity
from cgcore.templates.document import Block, Document, Format, Image, Inline, Run
from cgcore.templates.findings import Findings
from cgcore.templates.inline_images import ImageParts
from cgcore.templates.links import JudgedLink, LinkState, decode_braces, judge_link
from cgcore.templates.scanning import Found, Kind, scan, split_across
from cgcore.templates.slots import Link, Slots, Value
from cgcore.templates.substitution import is_split, replace_spans, run_starts

__all__ = ["FieldCompiler"]


@dataclass(slots=True)
class FieldCompiler:
    """Prepares the document of one field for writing; marks stand where values, targets and texts will go."""

    where: Field
    names: Mapping[str, str]
    slots: Slots
    images: ImageParts
    findings: Findings = field(init=False)
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    dynamic: list[tuple[Field, int, Link]] = field(default_factory=list[tuple[Field, int, Link]])

    def __post_init__(self) -> None:
        self.findings = Findings(self.where, self.names)

    def compile(self, document: Document) -> Document:
        """Return ``document`` ready for :mod:`mail_html` and :mod:`text_part`."""
        if document.is_empty:
            return Document()
        ends = self._across(document)
        return Document([self._block(block, offset, ends) for offset, block in document.offsets()])

    def _block(self, block: Block, offset: int, said: set[int]) -> Block:
        found = [item for item in scan(block.text) if not _is_half(item, offset, said)]
        starts = run_starts(block)
        for item in found:
            if item.kind is Kind.VARIABLE and item.name in self.names and is_split(starts, item):
                self.findings.add(
                    Code.SPLIT_VARIABLE,
                    position=offset + item.start,
                    variable=item.name,
                    suggestion=item.name,
                    shown=item.written,
                )
        taken = self.findings.take(found, offset)
        judged = self._formats(block, offset)
        return replace_spans(judged, [(item.start, item.end, self.slots.mark(Value(item.name))) for item in taken])

    def _across(self, document: Document) -> set[int]:
        """Note the variables that go on in the next block; return the offsets just inside their braces."""
        inside: set[int] = set()
        before: tuple[int, Block] | None = None
        for offset, block in document.offsets():
            found = split_across(before[1].text, block.text) if before else None
            if found and before:
                self.findings.wrong_braces(found, before[0] + found.start, text="wrong_braces_across")
                inside |= {before[0] + found.start + 1, offset + block.text.index("}")}
            before = offset, block
        return inside

    def _formats(self, block: Block, offset: int) -> Block:
        if not any(isinstance(inline, Image) or _link_format(inline) for inline in block.inlines):
            return block
        inlines: list[Inline] = []
        for link, group in groupby(block.inlines, key=_link_format):
            members = list(group)
            target = self._link(link, offset) if link else None
            for inline in members:
                formats = _with_link(inline.formats, target)
                shown = self._image(inline, offset, formats) if isinstance(inline, Image) else inline
                if shown is not None:
                    inlines.append(replace(shown, formats=formats))
                offset += len(inline.text) if isinstance(inline, Run) else int(not isinstance(inline, Image))
        return block.like(inlines)

    def _link(self, link: Format, offset: int) -> Format | None:
        if link.href is None:
            self.findings.add(Code.UNSAFE_LINK, position=offset)
            return None
        href = decode_braces(link.href)
        dynamic = self.findings.take(scan(href, in_link=True), 0, place=offset)
        judged = None if dynamic else judge_link(href)
        if judged:
            note_link(self.findings, judged, href, offset)
        if judged and not judged.url:
            return None
        slot = Link(href, judged)
        if not judged:
            self.dynamic.append((self.where, offset, slot))
        mark = self.slots.mark(slot)
        self.links[mark] = slot
        others = tuple(entry for entry in link.attributes if entry[0] != "href")
        return Format("a", (("href", mark), *others))

    def _image(self, image: Image, offset: int, formats: tuple[Format, ...]) -> Image | None:
        part, code = self.images.take(image)
        if code is Code.IMAGE_TOO_LARGE and part is None:
            self.findings.add(code, position=offset, severity=Severity.ERROR, text="image_undecodable")
        elif code:
            self.findings.add(code, position=offset)
        if part is None:
            return None
        if not image.alt:
            self.findings.add(Code.MISSING_ALT, position=offset)
        self.findings.take(scan(image.alt), 0, place=offset)
        alt = self.slots.plain(image.alt, self.names) if image.alt else ""
        return Image(f"cid:{part.cid}", alt, part.width, part.height, formats)


def note_link(findings: Findings, judged: JudgedLink, href: str, position: int) -> None:
    """Note what is wrong with a link, if anything."""
    if judged.state is LinkState.UNSAFE:
        findings.add(Code.UNSAFE_LINK, position=position)
    elif judged.state is LinkState.REPAIRED:
        findings.add(Code.LINK_WITHOUT_SCHEME, position=position, shown=href)
    elif judged.state is LinkState.POINTLESS:
        findings.add(Code.LINK_WITHOUT_SCHEME, position=position, shown=href, text="link_without_target")


def _is_half(item: Found, offset: int, said: set[int]) -> bool:
    # A half of a variable that crosses blocks is a mistake on its own, too; one sentence is enough.
    return item.kind is Kind.WRONG_BRACES and bool({offset + item.start + 1, offset + item.end - 1} & said)


def _link_format(inline: Inline) -> Format | None:
    return next((entry for entry in inline.formats if entry.tag == "a"), None)


def _with_link(formats: tuple[Format, ...], target: Format | None) -> tuple[Format, ...]:
    done = [target if entry.tag == "a" else entry for entry in formats]
    return tuple(entry for entry in done if entry is not None)
