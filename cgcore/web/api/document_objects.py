"""Templates, rendering and series as the API reads and writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from cgcore.documents import DOCUMENT_TYPES
from cgcore.web.api.objects import NO_NUL, ApiObject, Word

__all__ = [
    "DocumentTypeObject",
    "MessageImage",
    "RenderCheck",
    "RenderRequest",
    "Rendered",
    "SeriesDefault",
    "SeriesDefaultsChange",
    "SeriesList",
    "SeriesObject",
    "Signature",
    "SignatureInput",
    "Template",
    "TemplateInput",
]

_MAX_HTML = 8_000_000

Html = Annotated[str, StringConstraints(max_length=_MAX_HTML, pattern=NO_NUL)]
Value = Annotated[str, StringConstraints(max_length=10_000, pattern=NO_NUL)]
TypeCode = Literal[tuple(entry.code.value for entry in DOCUMENT_TYPES)]  # pyright: ignore[reportInvalidTypeForm]


class DocumentTypeObject(BaseModel):
    """A document type; ``template`` says whether documents of it are sent by mail."""

    code: str
    name: str
    group: str
    template: bool


class Template(BaseModel):
    """Subject and body of one document type."""

    subject: str
    body: str
    version: int


class TemplateInput(ApiObject):
    """A template as it is written; ``version`` may stand there and counts for nothing."""

    subject: Annotated[str, StringConstraints(max_length=500, pattern=NO_NUL)]
    body: Html
    version: int | None = None


class Signature(BaseModel):
    """The signature below every body."""

    html: str
    version: int


class SignatureInput(ApiObject):
    """The signature as it is written; ``version`` may stand there and counts for nothing."""

    html: Html
    version: int | None = None


class RenderRequest(ApiObject):
    """What to render: a part left out is the stored one, a variable left out takes its sample value."""

    subject: Html = ""
    body: Html = ""
    signature: Html = ""
    variables: dict[Word, Value] = Field(default_factory=dict)


class MessageImage(BaseModel):
    """An image of the rendered message; the sizes are those shown, ``bytes`` that of its part."""

    cid: str
    type: str
    width: int | None
    height: int | None
    bytes: int


class RenderCheck(BaseModel):
    """What a check found."""

    code: str
    severity: Literal["error", "warning"]
    field: Literal["subject", "body", "signature"]
    position: int | None
    variable: str | None
    suggestion: str | None
    message: str


class Rendered(BaseModel):
    """The rendered message, whole whatever the checks say."""

    subject: str
    html: str
    text: str
    images: list[MessageImage]
    checks: list[RenderCheck]


class SeriesObject(BaseModel):
    """A series; ``document_types`` maps each type it serves to its next number."""

    code: str
    name: str
    kind: str
    active: bool
    document_types: dict[str, int]
    version: int


class SeriesList(BaseModel):
    """One page of series; ``next`` is the cursor of the following one."""

    items: list[SeriesObject]
    next: str | None


class SeriesDefault(BaseModel):
    """The series of one document type: the chosen one, the one that applies, and why."""

    series: str | None
    effective: str | None
    reason: Literal["user", "company", "only_one", "none"]


SeriesChoice = Annotated[str, StringConstraints(max_length=60, pattern=NO_NUL)] | None
SeriesDefaultsChange = dict[TypeCode, SeriesChoice]
