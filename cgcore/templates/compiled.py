"""A compiled template: what does not depend on the document is done once, values are filled in per message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cgcore.documents import DocumentType
from cgcore.templates.blank import is_blank
from cgcore.templates.checks import Check, Code, Field, Severity, build_check, sort_checks
from cgcore.templates.document import Document
from cgcore.templates.fields import FieldCompiler, note_link
from cgcore.templates.filling import Filling, fill_html, fill_plain
from cgcore.templates.findings import CHECKS_AT_MOST, Findings, Use
from cgcore.templates.inline_images import ImageParts, InlineImage
from cgcore.templates.mail_html import build_page, write_blocks
from cgcore.templates.parsing import parse_html
from cgcore.templates.sanitise import replace_unprintable
from cgcore.templates.scanning import scan
from cgcore.templates.slots import Link, Op, Slots, Subject, Value, split_html, split_text
from cgcore.templates.text_part import join_parts, write_text
from cgcore.templates.variables import clean_value, values_for

__all__ = ["CompiledTemplate", "Rendered", "TemplateSource", "compile_template"]

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


@dataclass(frozen=True, slots=True)
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
        filling.subject = _one_line(fill_plain(self.subject, filling))
        page = fill_html(self.html, filling)
        body = fill_plain(self.body_text, filling)
        text = join_parts(body, fill_plain(self.signature_text, filling))
        said = self._empty_values(filling)
        said += self._links_with_values(filling) if self.links else []
        said += self._whole(filling.subject, body, len(page.encode()))
        checks = sort_checks([*self.checks, *said]) if said else self.checks
        return Rendered(filling.subject, page, text, self.images, checks)

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
