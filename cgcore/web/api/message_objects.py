"""What the API reads and writes of the outbox."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from anyio import to_thread
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.mail.message import Attachment
from cgcore.outbox.notices import NoticeKind
from cgcore.outbox.states import CopyState, Kind, RecipientState, State
from cgcore.web.api.json_files import Excess, JsonFiles, TooMuch
from cgcore.web.api.objects import NO_NUL, ApiObject, Html, Value, Word
from cgcore.web.api.problems import ApiProblem, ProblemCode, field_problem
from cgcore.web.api.requests import MAX_DEPTH, max_body
from cgcore.workbench.outbox.compose import DocumentRequest

__all__ = [
    "MESSAGE_BODY",
    "MessageInput",
    "MessageList",
    "MessageObject",
    "MessageSummary",
    "NoticeObject",
    "Resolution",
    "read_message",
]

_FILES_AT_MOST = 50
# Besides the files: as much as a template may bring, with its pictures inside, and ten times the addresses that may be.
_TEXT_AT_MOST = max_body("/templates/")
_PARTS_AT_MOST = 60_000
_File = Annotated[str, StringConstraints(max_length=60_000_000)]
_AddressText = Annotated[str, StringConstraints(max_length=1000, pattern=NO_NUL)]
_Addresses = Annotated[list[_AddressText], Field(max_length=1000)]
_Short = Annotated[str, StringConstraints(max_length=1000, pattern=NO_NUL)]


class AttachmentInput(ApiObject):
    """A file: its name, its media type, its bytes in base64."""

    name: Word
    type: Word = "application/octet-stream"
    data: _File


class MessageInput(ApiObject):
    """A document for one customer. What is left out of subject, body and signature is the user's template."""

    type: Word
    series: _Short
    number: _Short
    customer: _Short = ""
    to: _Addresses
    cc: _Addresses = Field(default_factory=list)
    bcc: _Addresses = Field(default_factory=list)
    reply_to: _AddressText = ""
    variables: dict[Word, Value] = Field(default_factory=dict)
    subject: Html | None = None
    body: Html | None = None
    signature: Html | None = None
    read_receipt: bool | None = None
    delay: float = 0
    attachments: Annotated[list[AttachmentInput], Field(max_length=_FILES_AT_MOST)] = Field(
        default_factory=list[AttachmentInput]
    )


class Reason(BaseModel):
    """Why a message stands where it stands: the diagnosis and what to do."""

    key: str
    title: str
    fix: str


class AttemptObject(BaseModel):
    """One try to hand the message over."""

    began: datetime
    ended: datetime | None
    stage: str
    key: str
    reply: str


class RecipientObject(BaseModel):
    """One recipient and what the server said of them."""

    address: str
    kind: Kind
    state: RecipientState
    key: str
    reply: str


class CopyObject(BaseModel):
    """The copy in the sent folder."""

    state: CopyState
    folder: str
    key: str


class NoticeObject(BaseModel):
    """What came back for a recipient: a bounce, that a server still tries, or that they confirm to have seen it."""

    at: datetime
    kind: NoticeKind
    address: str
    status: str
    key: str
    title: str
    fix: str
    reply: str


class MessageSummary(BaseModel):
    """A message as it stands, without its tries."""

    id: str
    state: State
    reason: Reason | None
    type: str
    series: str
    number: str
    customer: str
    subject: str
    message_id: str
    size: int
    created: datetime
    due: datetime
    accepted: datetime | None
    host: str
    queue_id: str
    looked: datetime | None
    bounced: bool
    resent_of: str
    recipients: list[RecipientObject]
    copy_: CopyObject = Field(alias="copy")


class MessageObject(MessageSummary):
    """A message as it stands."""

    attempts: list[AttemptObject]
    notices: list[NoticeObject]


class MessageList(BaseModel):
    """Messages, the newest first; ``next`` is the cursor of the following ones."""

    items: list[MessageSummary]
    next: str | None


class Resolution(ApiObject):
    """What a person says of an unsure message."""

    outcome: Literal["sent"]


_MULTIPART = {
    "type": "object",
    "properties": {
        "message": {"type": "string", "description": "MessageInput as JSON"},
        "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
    },
    "required": ["message"],
}
MESSAGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/MessageInput"}},
            "multipart/form-data": {"schema": _MULTIPART},
        },
    }
}
"""The entry of the description: the body is read by :func:`read_message`, so FastAPI does not know it."""


async def read_message(request: Request) -> DocumentRequest:
    """Return what a body asks for, JSON or multipart. Raises :class:`ApiProblem` and :class:`InvalidInput`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        try:
            form = await request.form(max_files=_FILES_AT_MOST, max_fields=10, max_part_size=20_000_000)
        except ApiProblem:
            raise
        except Exception:
            raise ApiProblem(ProblemCode.BAD_REQUEST) from None
        written = form.get("message")
        files = await _uploaded(form)
        return await to_thread.run_sync(_read_form, written if isinstance(written, str) else "", files)
    body, excess = _new_body(), None
    async for piece in request.stream():
        # Outside the event loop: others wait there. What is too much is heard to its end, so its sentence arrives.
        excess = excess or await to_thread.run_sync(_feed, body, piece)
    return await to_thread.run_sync(_read, body, excess)


def _new_body() -> JsonFiles:
    return JsonFiles(files=_FILES_AT_MOST, text=_TEXT_AT_MOST, parts=_PARTS_AT_MOST)


def _feed(body: JsonFiles, piece: bytes) -> Excess | None:
    try:
        body.feed(piece)
    except TooMuch as error:
        return error.excess
    return None


def _read_form(written: str, files: Sequence[Attachment]) -> DocumentRequest:
    body = _new_body()
    excess = _feed(body, written.encode(errors="surrogatepass"))
    return _read(body, excess, files)


def _read(body: JsonFiles, excess: Excess | None, files: Sequence[Attachment] = ()) -> DocumentRequest:
    if excess is Excess.FILES:
        raise InvalidInput(field_problem("attachments", "too_long", {"max_length": _FILES_AT_MOST}))
    if excess is not None:
        raise InvalidInput(field_problem("body", f"json_{excess}", {"limit": _TEXT_AT_MOST // 1024}))
    given = _validated(_parsed(bytes(body.text), body))
    return _request(given, [*_decoded(given.attachments, body), *files])


def _parsed(text: bytes, body: JsonFiles) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ApiProblem(ProblemCode.INVALID_JSON, position=body.find_place(error.pos)) from None
    except RecursionError:
        raise ApiProblem(ProblemCode.BODY_TOO_DEEP, limit=MAX_DEPTH) from None
    except ValueError:
        raise ApiProblem(ProblemCode.BAD_REQUEST) from None


def _validated(value: Any) -> MessageInput:
    try:
        # As JSON is read elsewhere: a number is no text, and a list is one.
        return MessageInput.model_validate(value)
    except ValidationError as error:
        found = cast("Iterable[Mapping[str, Any]]", error.errors(include_input=False, include_url=False))
        raise InvalidInput(*map(_field_problem, found)) from None


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    place = ".".join(str(part) for part in entry["loc"] if part != "[key]") or "body"
    return field_problem(place, entry["type"], entry.get("ctx") or {})


def _decoded(files: Iterable[AttachmentInput], body: JsonFiles) -> list[Attachment]:
    found: list[Attachment] = []
    for place, file in enumerate(files):
        came_along, data = body.find(file.data)
        if not came_along:
            data = _decode(file.data)
        if data is None:
            raise InvalidInput(field_problem(f"attachments.{place}.data", "base64", {}))
        found.append(Attachment(file.name, file.type, data))
    return found


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


async def _uploaded(form: FormData) -> list[Attachment]:
    return [
        Attachment(part.filename or "", part.content_type or "", await part.read())
        for name, part in form.multi_items()
        if name == "file" and isinstance(part, UploadFile)
    ]


def _request(given: MessageInput, files: list[Attachment]) -> DocumentRequest:
    try:
        kind = DocumentType(given.type)
    except ValueError:
        raise InvalidInput(FieldProblem.of("cgcore.workbench", "type", "unknown_type", name=given.type[:60])) from None
    return DocumentRequest(
        kind,
        given.series,
        given.number,
        tuple(given.to),
        customer=given.customer,
        cc=tuple(given.cc),
        bcc=tuple(given.bcc),
        reply_to=given.reply_to,
        variables=given.variables,
        subject=given.subject,
        body=given.body,
        signature=given.signature,
        read_receipt=given.read_receipt,
        delay_s=given.delay,
        attachments=tuple(files),
    )
