"""The one renderer: preview, test mail, real mail, API and command line all come out of :func:`render`."""

from __future__ import annotations

from collections.abc import Mapping

from cgcore.documents import DocumentType
from cgcore.templates.compiled import Rendered, TemplateSource, compile_template

__all__ = ["render"]


def render(document_type: DocumentType, source: TemplateSource, variables: Mapping[str, str]) -> Rendered:
    """Return the parts of the message and its checks. No check stops the rendering; sending refuses any error."""
    return compile_template(document_type, source).fill(variables)
