"""Messages made of templates: the preview, its file, and the test mail are the same bytes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from threading import Lock
from typing import TYPE_CHECKING

from cgcore.documents import DocumentType
from cgcore.errors import FieldProblem, InvalidInput
from cgcore.identity.actor import Actor
from cgcore.mail.addresses import is_address
from cgcore.mail.message import Attachment, InlineImage, build_message
from cgcore.once import once
from cgcore.runs import Cell, Run
from cgcore.templates.checks import Check
from cgcore.templates.compile import Rendered, TemplateSource
from cgcore.templates.sample_document import build_sample_pdf, sample_file_name
from cgcore.templates.variables import clean_value, values_for
from cgcore.texts import sentence

if TYPE_CHECKING:
    from cgcore.workbench.company import CompanySection
    from cgcore.workbench.context import Context
    from cgcore.workbench.mail_account import MailAccountSection
    from cgcore.workbench.mail_probes import MailRuns
    from cgcore.workbench.templates import TemplatesSection

__all__ = ["OWN_NAMES", "Preview", "TemplateMail", "image_part", "missing_name"]

# The variables that are of the house, not of the document, and what it means that one has no value.
OWN_NAMES = {"empresa": "company_name_missing", "usuario": "user_name_missing"}

_PREVIEWS_KEPT = 8  # each may hold the pictures of a template

_NOBODY = "facturas@ejemplo.example"  # stands for an address that is not set yet; RFC 2606


@dataclass(frozen=True)
class Preview:
    """A message as it would be sent, and what the rendering has to say about it.

    ``sender_known`` is False while the account has no address and a made-up one stands in the message. ``invented``
    are the variables that it names and nobody has a value for: a sample stands there.
    """

    rendered: Rendered
    message: EmailMessage
    sender_known: bool
    invented: tuple[str, ...] = ()

    @once
    def raw(self) -> bytes:
        """The bytes of the message (RFC 5322)."""
        return self.message.as_bytes()


class TemplateMail:
    """Builds and sends messages out of templates of one user."""

    def __init__(
        self,
        context: Context,
        *,
        templates: TemplatesSection,
        company: CompanySection,
        mail_account: MailAccountSection,
        mail_runs: MailRuns,
    ) -> None:
        self._context, self._templates, self._company = context, templates, company
        self._mail_account, self._mail_runs = mail_account, mail_runs
        self._shown = _LastPreviews()

    def own_values(self, actor: Actor) -> dict[str, str]:
        """Return the values that are known already: the company's name and the user's, where they are set."""
        known = {"empresa": self._company.get(actor).name, "usuario": actor.full_name}
        return {name: value for name, value in known.items() if clean_value(value)}

    def preview_subject(self, actor: Actor, document_type: DocumentType, variables: Mapping[str, str]) -> str:
        """Return the subject of the next document with these values, as the actor's template makes it."""
        # Out of all of them: a page shows one for each type, and the database is asked once for all.
        stored, signature = self._templates.get_all(actor)[document_type], self._templates.get_signature(actor)
        compiled = self._templates.compile(document_type, TemplateSource(stored.subject, stored.body, signature.html))
        return compiled.fill_subject({**self.own_values(actor), **variables})

    def preview(
        self,
        actor: Actor,
        document_type: DocumentType,
        source: TemplateSource,
        sample: Mapping[str, str],
        *,
        date: datetime | None = None,
    ) -> Preview:
        """Return the message for the text on the screen and a sample document; errors do not stop it.

        Company and user are never those of a sample, where their names are known. The ones shown last are kept, while
        nothing that they depend on has changed: ``date`` then is that of the first time.
        """
        if date is not None:
            return self._build(actor, document_type, source, sample, date)
        stamp = self._context.database.stamps.take()
        self._company.get(actor)  # whoever may act no more is shown nothing that was kept either
        key = (actor, document_type, source, tuple(sorted(sample.items())))
        found = self._shown.find(stamp, key)
        if found is None:
            found = self._build(actor, document_type, source, sample, self._context.clock().astimezone())
            self._shown.keep(stamp, key, found)
        return found

    def _build(
        self,
        actor: Actor,
        document_type: DocumentType,
        source: TemplateSource,
        sample: Mapping[str, str],
        date: datetime,
    ) -> Preview:
        own = self.own_values(actor)
        values = values_for(document_type, {**sample, **own})
        compiled = self._templates.compile(document_type, source)
        rendered = compiled.fill(values)
        account = self._mail_account.get(actor).draft
        sender = next((address for address in (account.user, actor.mail) if is_address(address)), "")
        recipient = actor.mail if is_address(actor.mail) else sender
        message = build_message(
            sender=sender or _NOBODY,
            sender_name=account.sender.name or own.get("empresa") or actor.full_name,
            recipients=[recipient or _NOBODY],
            recipient_name=actor.full_name,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            images=[image_part(image.cid, image.type, image.data) for image in rendered.images],
            attachments=[_sample_attachment(values)],
            reply_to=account.sender.reply_to,
            read_receipt=account.read_receipt,
            generated=True,
            date=date,
        )
        used = {use.name for use in compiled.uses}
        invented = tuple(name for name in OWN_NAMES if name in used and name not in own)
        return Preview(rendered, message, sender_known=bool(sender), invented=invented)

    def send_test(
        self, actor: Actor, document_type: DocumentType, source: TemplateSource, sample: Mapping[str, str]
    ) -> Run:
        """Send the previewed message to the actor with their own account, as a run.

        Raises :class:`InvalidInput` that names each error of the template, the unresolved variables among them,
        where the account is incomplete or the actor has no address, and a name that would be an invented one.
        """
        preview = self._build(actor, document_type, source, sample, self._context.clock().astimezone())
        require_sendable(preview.rendered)
        if preview.invented:
            raise InvalidInput(*(missing_name(actor, name) for name in preview.invented))
        sender = self._mail_runs.sender_of(actor, self._mail_account.get(actor).draft)
        recipient = actor.mail if is_address(actor.mail) else sender
        return self._mail_runs.start_message(actor, Cell.TEMPLATE_MAIL, preview.message, recipient)


class _LastPreviews:
    """The messages shown last, for whatever run of a page draws one of them again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[Hashable, tuple[Hashable, Preview]] = {}

    def find(self, stamp: Hashable, key: Hashable) -> Preview | None:
        with self._lock:
            of, preview = self._kept.get(key, (None, None))
        return preview if of == stamp else None

    def keep(self, stamp: Hashable, key: Hashable, preview: Preview) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = stamp, preview
            while len(self._kept) > _PREVIEWS_KEPT:
                del self._kept[next(iter(self._kept))]


def require_sendable(rendered: Rendered) -> None:
    """Raise :class:`InvalidInput` with one problem for each check that forbids sending."""
    if rendered.errors:
        raise InvalidInput(*map(_problem, rendered.errors))


def missing_name(actor: Actor, variable: str) -> FieldProblem:
    """Return the problem of a message that says a name of the house which is not set, with who can set it."""
    code = OWN_NAMES[variable]
    # Only who administers can name the company.
    asks = variable == "empresa" and not actor.is_admin
    return FieldProblem.of("cgcore.workbench", variable, f"{code}_ask" if asks else code)


def _problem(check: Check) -> FieldProblem:
    return FieldProblem(check.field.value, check.code.value, check.text)


def image_part(cid: str, media_type: str, data: bytes) -> InlineImage:
    """Return an image of the text as a part of the mail, with a file name."""
    return InlineImage(cid, media_type, data, f"imagen-{cid[7:15]}.{media_type.removeprefix('image/')}")


def _sample_attachment(values: Mapping[str, str]) -> Attachment:
    name = sample_file_name(values["documento"], values["serie"], values["numero"])
    return Attachment(
        name, "application/pdf", build_sample_pdf(sentence("cgcore.templates", "sample_document", **values))
    )
