"""What the API reads and writes: one model an object, unknown members refused, no type bent to fit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cgcore.api_keys.record import MAX_DEVICE
from cgcore.documents import DOCUMENT_TYPES
from cgcore.identity.actor import Role, Scope

__all__ = [
    "NO_NUL",
    "ActivityLine",
    "ActivityList",
    "ApiObject",
    "Company",
    "DocumentTypeObject",
    "ErrorField",
    "Explain",
    "Explanation",
    "Me",
    "MessageImage",
    "NewKey",
    "Pairing",
    "Problem",
    "RenderCheck",
    "RenderRequest",
    "Rendered",
    "RolledKey",
    "SeriesDefault",
    "SeriesDefaultsChange",
    "SeriesList",
    "SeriesObject",
    "Signature",
    "SignatureInput",
    "Template",
    "TemplateInput",
    "User",
    "Word",
]

# PostgreSQL stores no NUL in a text, and nobody means one.
NO_NUL = r"^[^\x00]*$"

Word = Annotated[str, StringConstraints(max_length=300, pattern=NO_NUL)]


class ApiObject(BaseModel):
    """The ground of every object that is read."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorField(BaseModel):
    """One wrong field."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[ErrorField] = []
    version: int | None = None


class User(BaseModel):
    """The user that a key acts for."""

    username: str
    full_name: str
    mail: str
    role: Role


class Company(BaseModel):
    """The company of the installation."""

    name: str
    tax_id: str
    address: str


class Me(BaseModel):
    """Who calls, for which company, and what the key may do."""

    user: User
    company: Company
    scopes: list[Scope]


class Explain(ApiObject):
    """A server's reply, a bounce or a log to be explained, as on the command line."""

    protocol: Literal["smtp", "imap", "library"] = "library"
    stage: Word = ""
    text: Annotated[str, StringConstraints(max_length=60_000, pattern=NO_NUL)]
    provider: Word = ""


class Explanation(BaseModel):
    """What the reply means and what to do."""

    key: str
    title: str
    fix: str


class ActivityLine(BaseModel):
    """One line of the activity log."""

    id: int
    at: datetime
    user: str
    action: str
    object: str
    result: str
    detail: str
    ip: str
    key_id: str


class ActivityList(BaseModel):
    """One page of the activity log, the newest line first; ``next`` is the cursor of the following one."""

    items: list[ActivityLine]
    next: str | None


class Pairing(ApiObject):
    """The one-time code of a pairing and the name of the device."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
    device: Annotated[str, StringConstraints(min_length=1, max_length=MAX_DEVICE, pattern=NO_NUL)]


class NewKey(BaseModel):
    """A key, shown this once."""

    key: str
    id: str


class RolledKey(NewKey):
    """A key that replaces another, which is heard until ``old_expires`` at the latest."""

    old_expires: datetime


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
