"""The one renderer: preview, test mail, real mail, API and command line all come out of :func:`render`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cgcore.documents import DocumentType, info
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.templates.compile import Rendered, TemplateSource, compile_template

__all__ = ["RenderRequest", "parse_document_type", "parse_request", "render"]


def render(document_type: DocumentType, source: TemplateSource, variables: Mapping[str, str]) -> Rendered:
    """Return the parts of the message and its checks. No check stops the rendering; sending refuses any error."""
    return compile_template(document_type, source).fill(variables)


_PARTS = ("subject", "body", "signature")


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """The parts given (None: left out, take the stored or built-in one) and the values given."""

    subject: str | None = None
    body: str | None = None
    signature: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def source(self, otherwise: TemplateSource) -> TemplateSource:
        """Return the template to render, with ``otherwise`` for the parts that were left out."""
        return TemplateSource(
            otherwise.subject if self.subject is None else self.subject,
            otherwise.body if self.body is None else self.body,
            otherwise.signature if self.signature is None else self.signature,
        )


def parse_document_type(code: str) -> DocumentType:
    """Return the type; raises :class:`InvalidInput` for an unknown one or one without template."""
    try:
        document_type = DocumentType(code)
    except ValueError:
        document_type = None
    if document_type is None or not info(document_type).has_template:
        raise _invalid("document_type", "unknown_type", name=code)
    return document_type


def parse_request(raw: object) -> RenderRequest:
    """Return the request that the decoded JSON ``raw`` is; raises :class:`InvalidInput` when it is none."""
    if not isinstance(raw, dict):
        raise _invalid("", "not_an_object")
    given = cast(dict[str, Any], raw)
    for name, value in given.items():
        if name == "variables":
            _require_texts(value)
        elif name not in _PARTS:
            raise _invalid(name, "unknown_field", name=name)
        elif not isinstance(value, str):
            raise _invalid(name, "not_text", name=name)
    return RenderRequest(**given)


def _require_texts(value: object) -> None:
    if not isinstance(value, dict):
        raise _invalid("variables", "not_variables")
    for name, text in cast(dict[str, object], value).items():
        if not isinstance(text, str):
            raise _invalid(f"variables.{name}", "not_text", name=name)


def _invalid(field_name: str, code: str, **values: str) -> InvalidInput:
    return InvalidInput(FieldProblem.of("cgcore.templates", field_name, f"problems.{code}", **values))
