"""The built-in template of each document type."""

from __future__ import annotations

from cgcore.documents import DocumentType
from cgcore.templates.compiled import TemplateSource
from cgcore.templates.texts import section

__all__ = ["default_signature", "default_source"]


def default_source(document_type: DocumentType) -> TemplateSource:
    """Return the built-in subject, body and signature of a type that has a template."""
    defaults = section("defaults")
    return TemplateSource(defaults["subject"], defaults["body"][document_type.value], defaults["signature"])


def default_signature() -> str:
    """Return the built-in signature, the same for every type."""
    return str(section("defaults")["signature"])
