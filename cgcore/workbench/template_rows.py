"""Rows of templates and signatures as values, and texts on their way in: cleaned in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.templates.canonical import canonical_html
from cgcore.templates.defaults import default_signature, default_source
from cgcore.templates.stored import StoredSignature, StoredTemplate
from cgcore.templates.texts import problem_text
from cgcore.templates.variables import clean_value

if TYPE_CHECKING:
    from cgcore.storage.tables import MailTemplateRow, SignatureRow

__all__ = ["clean_subject", "clean_text", "read_signature", "read_template"]

_MAX_SUBJECT = 500
_MAX_HTML = 15_000_000  # characters, images included


def read_template(document_type: DocumentType, row: MailTemplateRow | None) -> StoredTemplate:
    """Return the template that a row holds; without a row the built-in one."""
    default = default_source(document_type)
    if row is None:
        return StoredTemplate(document_type, default.subject, default.body)
    # Cleaned again: the row may have been changed behind our back.
    body = canonical_html(row.body)
    is_default = (row.subject, body) == (default.subject, default.body)
    return StoredTemplate(document_type, row.subject, body, row.version, is_default, row.updated)


def read_signature(row: SignatureRow | None) -> StoredSignature:
    """Return the signature that a row holds; without a row the built-in one."""
    if row is None:
        return StoredSignature(default_signature())
    html = canonical_html(row.html)
    return StoredSignature(html, row.version, html == default_signature(), row.updated)


def clean_subject(subject: str) -> str:
    """Return a subject on one line. Raises :class:`InvalidInput` for one that is too long."""
    subject = clean_value(subject).strip()
    if len(subject) > _MAX_SUBJECT:
        raise InvalidInput(FieldProblem("subject", "subject_too_long", problem_text("subject_too_long")))
    return subject


def clean_text(field: str, html: str) -> str:
    """Return the canonical form of editor HTML. Raises :class:`InvalidInput` for one that is too long."""
    if len(html) > _MAX_HTML:
        raise InvalidInput(FieldProblem(field, "too_long", problem_text("too_long")))
    return canonical_html(html)
