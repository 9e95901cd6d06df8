"""From a request to the parts of a mail: checked, rendered from the user's template, never with a sample value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING

from cgcore.documents import DocumentType, info
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.addresses import is_address
from cgcore.mail.message import Attachment, build_message, make_message_id
from cgcore.mail.outgoing import Pieces, build_parts, encoded_size, wire_names
from cgcore.mail.reports import OWN_HEADER
from cgcore.outbox.message import Recipient
from cgcore.outbox.rows import DocumentRow
from cgcore.outbox.states import Kind
from cgcore.templates.checks import Check
from cgcore.templates.compile import Rendered, TemplateSource
from cgcore.templates.variables import list_variables
from cgcore.text_rules import is_storable
from cgcore.workbench.template_mail import OWN_NAMES, image_part, missing_name

if TYPE_CHECKING:
    from datetime import datetime

    from cgcore.mail.sender import SenderDraft
    from cgcore.workbench.templates import TemplatesSection

__all__ = [
    "MOST_DELAY_S",
    "Composed",
    "Composer",
    "DocumentRequest",
    "Unsendable",
    "check_request",
    "document_values",
    "read_recipients",
    "request_hash",
]

MOST_DELAY_S = 3600
MOST_RECIPIENTS = 100
_LONGEST = {"series": 60, "number": 60, "customer": 300, "subject": 500}
_FIXED = frozenset({"documento", "el_documento", "del_documento"})  # named by the type itself
_NAMED = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[^<>]+)>\s*")


def _no_variables() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """One document for one customer. An address is ``a@b`` or ``Name <a@b>``.

    What is ``None`` of subject, body and signature is the stored template's, of the receipt the account's. ``delay_s``
    is how long it can be taken back.
    """

    document_type: DocumentType
    series: str
    number: str
    to: Sequence[str]
    customer: str = ""
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: str = ""
    variables: Mapping[str, str] = field(default_factory=_no_variables)
    subject: str | None = None
    body: str | None = None
    signature: str | None = None
    read_receipt: bool | None = None
    delay_s: float = 0.0
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """A message ready to be stored: ``size`` is what it weighs on the way, ``files`` what its files are called there,
    and their own sizes."""

    rendered: Rendered
    message: EmailMessage
    parts: Sequence[Pieces]
    recipients: Sequence[Recipient]
    sender: str
    message_id: str
    size: int
    files: Sequence[tuple[str, int]] = ()

    @property
    def raw(self) -> bytes:
        """The bytes of the message, as they will go."""
        return b"".join(piece for part in self.parts for piece in part())


class Unsendable(InvalidInput):
    """Checks of the text that forbid sending it: ``checks`` are all of them, warnings included."""

    code = "unsendable"

    def __init__(self, checks: Sequence[Check]) -> None:
        errors = [check for check in checks if check.severity == "error"]
        super().__init__(*(FieldProblem(check.field.value, check.code.value, check.text) for check in errors))
        self.checks = tuple(checks)


def check_request(request: DocumentRequest) -> Iterator[FieldProblem]:
    """Yield what is wrong with a request before anything is looked up."""
    if not info(request.document_type).has_template:
        yield FieldProblem.of("cgcore.workbench", "type", "unknown_type", name=request.document_type.value)
    yield from _check_texts(request)
    for name in ("series", "number"):
        if not getattr(request, name).strip():
            yield FieldProblem.of("cgcore.workbench", name, "empty")
    if not request.to:
        yield FieldProblem.of("cgcore.workbench", "to", "empty")
    for kind in Kind:
        for place, written in enumerate(getattr(request, kind.value)):
            if not is_address(_split(written)[1]):
                yield FieldProblem.of(
                    "cgcore.workbench",
                    f"{kind.value}.{place}" if place else kind.value,
                    "address_syntax",
                    address=written[:200],
                )
    if request.reply_to and not is_address(request.reply_to):
        yield FieldProblem.of("cgcore.workbench", "reply_to", "address_syntax", address=request.reply_to[:200])
    if len(request.to) + len(request.cc) + len(request.bcc) > MOST_RECIPIENTS:
        yield FieldProblem.of("cgcore.workbench", "to", "too_many_recipients", limit=MOST_RECIPIENTS)
    if not 0 <= request.delay_s <= MOST_DELAY_S:
        yield FieldProblem.of("cgcore.workbench", "delay", "delay_range", limit=MOST_DELAY_S)
    for attachment in request.attachments:
        if not attachment.data:
            yield FieldProblem.of("cgcore.workbench", "attachments", "empty_attachment", name=attachment.filename[:100])


def _check_texts(request: DocumentRequest) -> Iterator[FieldProblem]:
    one_line = {
        "series": request.series,
        "number": request.number,
        "customer": request.customer,
        "subject": request.subject or "",
        "reply_to": request.reply_to,
    }
    lists = {kind.value: getattr(request, kind.value) for kind in Kind}
    lists["attachments"] = [attachment.filename for attachment in request.attachments]
    for name, texts in {**{name: [text] for name, text in one_line.items()}, **lists}.items():
        if any(_breaks(text) for text in texts):
            yield FieldProblem.of("cgcore.workbench", name, "line_break")
    for name, text in one_line.items():
        if len(text) > _LONGEST.get(name, 1000):
            yield FieldProblem.of("cgcore.workbench", name, "too_long_text", limit=_LONGEST.get(name, 1000))
    for name, text in request.variables.items():
        if _breaks(text):
            yield FieldProblem.of("cgcore.workbench", f"variables.{name}", "line_break")


def _breaks(text: str) -> bool:
    """Whether a text would begin a new header, or cannot be stored."""
    return any(sign in text for sign in "\r\n\0") or not is_storable(text)


def _split(written: str) -> tuple[str, str]:
    named = _NAMED.fullmatch(written)
    return (named["name"].strip('" '), named["address"].strip()) if named else ("", written.strip())


def read_recipients(request: DocumentRequest, own: str = "") -> Sequence[Recipient]:
    """Return everybody who gets the message, each once, where they are named first.

    ``own`` is an address that gets a copy which nobody sees, unless it is named anyway.
    """
    found: dict[str, Recipient] = {}
    for kind in Kind:
        for written in getattr(request, kind.value):
            name, address = _split(written)
            found.setdefault(address.casefold(), Recipient(address, kind, name))
    if own:
        found.setdefault(own.casefold(), Recipient(own, Kind.BCC))
    return tuple(found.values())


def request_hash(request: DocumentRequest) -> str:
    """Return what stands for the content of a request, however it was encoded."""
    told = {
        "type": request.document_type.value,
        "series": request.series,
        "number": request.number,
        "customer": request.customer,
        "to": list(request.to),
        "cc": list(request.cc),
        "bcc": list(request.bcc),
        "reply_to": request.reply_to,
        "variables": dict(request.variables),
        "subject": request.subject,
        "body": request.body,
        "signature": request.signature,
        "read_receipt": request.read_receipt,
        "delay": float(request.delay_s),
        "files": [[a.filename, a.media_type, hashlib.sha256(a.data).hexdigest()] for a in request.attachments],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def document_values(document: DocumentRequest | DocumentRow) -> dict[str, str]:
    """Return the values that a document itself gives to the variables of its texts."""
    named = {"serie": document.series, "numero": document.number}
    return {"cliente": document.customer, **document.variables, **named}


class Composer:
    """Builds messages out of a user's templates and the values of one document."""

    def __init__(self, templates: TemplatesSection) -> None:
        self._templates = templates

    def compose(
        self,
        actor: Actor,
        request: DocumentRequest,
        *,
        name: str,
        address: str,
        sender: SenderDraft,
        own: Mapping[str, str],
        read_receipt: bool,
        date: datetime,
    ) -> Composed:
        """Return the message, which passed :func:`check_request`; nothing in it is refused here but missing names.

        ``address`` is whose it is, ``sender`` how it presents itself; ``own`` are the names of the house that are set.
        A variable that nobody has given a value is empty, never a sample. Raises :class:`InvalidInput` for a text
        that names the company or the user where they are not known.
        """
        rendered = self._render(actor, request, own)
        recipients = read_recipients(request, address if sender.copy_to_self else "")
        message_id = make_message_id(address)
        message = build_message(
            sender=address,
            sender_name=sender.name or own.get("empresa") or actor.full_name,
            recipients=[each.address for each in recipients if each.kind is Kind.TO],
            copies=[each.address for each in recipients if each.kind is Kind.CC],
            names={each.address: each.name for each in recipients},
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            images=[image_part(image.cid, image.type, image.data) for image in rendered.images],
            reply_to=request.reply_to or sender.reply_to,
            read_receipt=read_receipt,
            date=date,
            message_id=message_id,
        )
        message["Auto-Submitted"] = "no"  # RFC 3834 §5: a person sends it
        message[OWN_HEADER] = name
        parts = build_parts(message, request.attachments)
        texts = sum(len(piece) for part in parts[::2] for piece in part())
        size = texts + sum(encoded_size(len(attachment.data)) for attachment in request.attachments)
        sizes = [len(attachment.data) for attachment in request.attachments]
        files = list(zip(wire_names(request.attachments), sizes, strict=True))
        return Composed(rendered, message, parts, recipients, address, message_id, size, files)

    def list_used(self, actor: Actor, document_type: DocumentType) -> frozenset[str]:
        """Return the variables of a document (not those of the house) that the actor's texts of a type use."""
        compiled = self._templates.compile(document_type, self._templates.source(actor, document_type))
        return frozenset(use.name for use in compiled.uses) - _FIXED - frozenset(OWN_NAMES)

    def _render(self, actor: Actor, request: DocumentRequest, own: Mapping[str, str]) -> Rendered:
        stored = self._templates.source(actor, request.document_type)
        source = TemplateSource(
            stored.subject if request.subject is None else request.subject,
            stored.body if request.body is None else request.body,
            stored.signature if request.signature is None else request.signature,
        )
        compiled = self._templates.compile(request.document_type, source)
        values = {**own, **document_values(request)}
        used = {use.name for use in compiled.uses}
        missing = [name for name in OWN_NAMES if name in used and not values.get(name)]
        if missing:
            raise InvalidInput(*(missing_name(actor, name) for name in missing))
        every = {variable.name: "" for variable in list_variables(request.document_type) if variable.name not in _FIXED}
        return compiled.fill({**every, **values})
