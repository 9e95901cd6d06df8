"""A compiled template: what does not depend on the document is done once, values are filled in per message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from itertools import groupby, islice
from typing import Any

from cgcore.documents import DocumentType
from cgcore.once import once
from cgcore.templates.budget import COMPILING
from cgcore.templates.checks import (
    CHECKS_AT_MOST,
    Check,
    Code,
    Field,
    Findings,
    Severity,
    Use,
    build_check,
    sort_checks,
)
from cgcore.templates.document import Block, Document, Format, Image, Inline, Run, is_blank
from cgcore.templates.image_parts import ImageParts, InlineImage
from cgcore.templates.links import JudgedLink, LinkState, decode_braces, judge_link
from cgcore.templates.parse import parse_html
from cgcore.templates.sanitise import replace_unprintable
from cgcore.templates.scan import Found, Kind, is_split, replace_spans, run_starts, scan, split_across
from cgcore.templates.slots import (
    Filling,
    Link,
    Op,
    Slots,
    Subject,
    Value,
    fill_html,
    fill_plain,
    split_html,
    split_text,
)
from cgcore.templates.variables import clean_value, values_for
from cgcore.templates.write import build_page, join_parts, write_blocks, write_text

__all__ = ["CompiledTemplate", "FieldCompiler", "Rendered", "TemplateSource", "compile_template"]


@dataclass(slots=True)
class FieldCompiler:
    """Prepares the document of one field for writing; marks stand where values, targets and texts will go."""

    where: Field
    names: Mapping[str, str]
    slots: Slots
    images: ImageParts
    findings: Findings = dataclass_field(init=False)
    links: dict[str, Link] = dataclass_field(default_factory=dict[str, Link])
    dynamic: list[tuple[Field, int, Link]] = dataclass_field(default_factory=list[tuple[Field, int, Link]])

    def __post_init__(self) -> None:
        self.findings = Findings(self.where, self.names)

    def compile(self, document: Document) -> Document:
        """Return ``document`` ready for :mod:`mail_html` and :mod:`text_part`."""
        if document.is_empty:
            return Document()
        if document.had_table:
            self.findings.add(Code.TABLE_AS_TEXT)
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
        return self._named(self._filled(judged, taken))

    def _filled(self, block: Block, taken: list[Found]) -> Block:
        return replace_spans(block, [(item.start, item.end, self.slots.mark(Value(item.name))) for item in taken])

    def _named(self, block: Block) -> Block:
        """Return the block with the names of the images that are left out in their places.

        Last, since places in the text are counted without them.
        """
        inlines: list[Inline] = []
        for inline in block.inlines:
            if isinstance(inline, Image) and not inline.src:
                name = Block(inlines=[Run(inline.alt, inline.formats)])
                known = [
                    found for found in scan(inline.alt) if found.kind is Kind.VARIABLE and found.name in self.names
                ]
                inlines += self._filled(name, known).inlines
            else:
                inlines.append(inline)
        return block.like(inlines)

    def _across(self, document: Document) -> set[int]:
        """Note the variables that go on in the next block; return the offsets just inside their braces."""
        inside: set[int] = set()
        before: tuple[int, Block] | None = None
        for offset, block in document.offsets():
            found = split_across(before[1].text, block.text) if before else None
            if found and before:
                self.findings.wrong_braces(found, before[0] + found.start, key="wrong_braces_across")
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
            self.findings.add(code, position=offset, severity=Severity.ERROR, key="image_undecodable")
        elif code:
            self.findings.add(code, position=offset)
        if part is None and not image.alt:
            return None
        if part is None:
            self.findings.take(scan(image.alt), 0, place=offset)
            return Image("", image.alt, formats=formats)
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
        findings.add(Code.LINK_WITHOUT_SCHEME, position=position, shown=href, key="link_without_target")


def _is_half(item: Found, offset: int, said: set[int]) -> bool:
    # A half of a variable that crosses blocks is a mistake on its own, too; one sentence is enough.
    return item.kind is Kind.WRONG_BRACES and bool({offset + item.start + 1, offset + item.end - 1} & said)


def _link_format(inline: Inline) -> Format | None:
    return next((entry for entry in inline.formats if entry.tag == "a"), None)


def _with_link(formats: tuple[Format, ...], target: Format | None) -> tuple[Format, ...]:
    done = [target if entry.tag == "a" else entry for entry in formats]
    return tuple(entry for entry in done if entry is not None)


_NEAR_CLIPPING = 80 * 1024  # bytes of HTML; Gmail cuts at about 102 KB
_TOO_BIG = 102 * 1024
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """Subject (plain text), body and signature (editor HTML) of a template."""

    subject: str
    body: str
    signature: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message's parts, before MIME, and what the rendering has to say about them."""

    subject: str
    html: str
    text: str
    images: tuple[InlineImage, ...]
    checks: tuple[Check, ...]

    @property
    def errors(self) -> tuple[Check, ...]:
        """The checks that forbid sending."""
        return tuple(check for check in self.checks if check.severity is Severity.ERROR)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer of API and command line."""
        return {
            "subject": self.subject,
            "html": self.html,
            "text": self.text,
            "images": [image.to_dict() for image in self.images],
            "checks": [check.to_dict() for check in self.checks],
        }


@dataclass(frozen=True)
class CompiledTemplate:
    """Made by :func:`compile_template`; safe to share between threads, since nothing in it changes."""

    document_type: DocumentType
    subject: tuple[Op, ...]
    html: tuple[Op, ...]
    body_text: tuple[Op, ...]
    signature_text: tuple[Op, ...]
    body_has_image: bool
    images: tuple[InlineImage, ...]
    checks: tuple[Check, ...]
    uses: tuple[Use, ...]
    links: tuple[tuple[Field, int, Link], ...]

    def fill(self, variables: Mapping[str, str]) -> Rendered:
        """Return the message for ``variables``; one left out takes its sample. Values are never expanded again."""
        filling = Filling(values_for(self.document_type, variables))
        filling.subject = self._fill_subject(filling)
        page = fill_html(self.html, filling)
        body = fill_plain(self.body_text, filling)
        text = join_parts(body, fill_plain(self.signature_text, filling))
        said = self._empty_values(filling)
        said += self._links_with_values(filling) if self.links else []
        said += self._whole(filling.subject, body, len(page.encode()))
        checks = sort_checks([*self.checks, *said]) if said else self.checks
        return Rendered(filling.subject, page, text, self.images, checks)

    @once
    def sample_checks(self) -> tuple[Check, ...]:
        """The checks of the message for the sample values: asked for again and again while somebody types."""
        return self.fill({}).checks

    def fill_subject(self, variables: Mapping[str, str]) -> str:
        """Return the subject alone, as :meth:`fill` makes it."""
        return self._fill_subject(Filling(values_for(self.document_type, variables)))

    def _fill_subject(self, filling: Filling) -> str:
        return _one_line(fill_plain(self.subject, filling))

    def _empty_values(self, filling: Filling) -> list[Check]:
        empty = (use for use in self.uses if not filling.values[use.name])
        return [
            build_check(Code.EMPTY_VALUE, use.field, position=use.position, variable=use.name, shown=use.written)
            for use in islice(empty, CHECKS_AT_MOST)
        ]

    def _links_with_values(self, filling: Filling) -> list[Check]:
        findings = {field: Findings(field, {}) for field in Field}
        for field, position, link in self.links:
            note_link(findings[field], filling.judge(link), link.href, position)
        return [check for entry in findings.values() for check in entry.checks]

    def _whole(self, subject: str, body: str, size: int) -> list[Check]:
        checks: list[Check] = []
        if not subject:
            checks.append(build_check(Code.EMPTY_SUBJECT, Field.SUBJECT))
        if not self.body_has_image and is_blank(body):
            checks.append(build_check(Code.EMPTY_BODY, Field.BODY))
        if size >= _NEAR_CLIPPING:
            code = Code.TOO_BIG if size >= _TOO_BIG else Code.NEAR_CLIPPING
            checks.append(build_check(code, Field.BODY, size=str(size // 1024)))
        return checks


def _one_line(subject: str) -> str:
    return _BLANKS.sub(" ", clean_value(subject)).strip()


def compile_template(document_type: DocumentType, source: TemplateSource) -> CompiledTemplate:
    """Compile a template. Pure: the same source gives the same result, and any text is accepted."""
    # Trees and blocks take some hundred times what the text does.
    with COMPILING.hold(_TREE_SHARE * (len(source.body) + len(source.signature))):
        return _compile(document_type, source)


_TREE_SHARE = 100


def _compile(document_type: DocumentType, source: TemplateSource) -> CompiledTemplate:
    names = values_for(document_type, {})
    slots = Slots()
    images = ImageParts()
    parsed = {Field.BODY: parse_html(source.body), Field.SIGNATURE: parse_html(source.signature)}
    for document in parsed.values():
        images.survey(document.images)
    subject, subject_findings = _compile_subject(replace_unprintable(source.subject), names)
    compilers = {field: FieldCompiler(field, names, slots, images) for field in parsed}
    body = compilers[Field.BODY].compile(parsed[Field.BODY])
    signature = compilers[Field.SIGNATURE].compile(parsed[Field.SIGNATURE])
    page = build_page(slots.mark(Subject()), write_blocks(body), write_blocks(signature))
    findings = [subject_findings, *(compiler.findings for compiler in compilers.values())]
    return CompiledTemplate(
        document_type=document_type,
        subject=subject,
        html=split_html(page, slots),
        body_text=_compile_text(body, slots, compilers[Field.BODY]),
        signature_text=_compile_text(signature, slots, compilers[Field.SIGNATURE]),
        body_has_image=any(True for _ in body.images),
        images=tuple(images.parts.values()),
        checks=sort_checks(check for entry in findings for check in entry.checks),
        uses=tuple(use for entry in findings for use in entry.uses),
        links=tuple(entry for compiler in compilers.values() for entry in compiler.dynamic),
    )


def _compile_subject(subject: str, names: Mapping[str, str]) -> tuple[tuple[Op, ...], Findings]:
    findings = Findings(Field.SUBJECT, names)
    ops: list[Op] = []
    end = 0
    for found in findings.take(scan(subject), 0):
        ops += [subject[end : found.start], Value(found.name)]
        end = found.end
    return (*ops, subject[end:]), findings


def _compile_text(document: Document, slots: Slots, compiler: FieldCompiler) -> tuple[Op, ...]:
    return split_text(write_text(document, slots, compiler.links), slots)
