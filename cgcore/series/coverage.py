"""Rule 10: a document type that no series serves, or that is left without default."""

from __future__ import annotations

from cgcore.documents import DocumentType
from cgcore.series.findings import Finding, Severity, find

__all__ = ["check_coverage"]


def check_coverage(document_type: DocumentType, effective_code: str, available: int) -> tuple[Finding, ...]:
    """Return what rule 10 says of a type with this effective series (``""``: none) and ``available`` series allowed."""
    if available == 0:
        return (find(10, "no_series", Severity.WARNING, document_type),)
    if not effective_code:
        return (find(10, "no_default", Severity.WARNING, document_type),)
    return ()
