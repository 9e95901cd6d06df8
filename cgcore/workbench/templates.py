"""Subject, body and signature of each user: read, save, restore, copy, versions, rendering."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from cgcore.activity import Action
from cgcore.documents import DocumentType, types_with_template
from cgcore.errors import FieldProblem, InvalidInput, NotFound, StaleVersion
from cgcore.identity.actor import Actor
from cgcore.identity.tokens import username_key
from cgcore.storage import templates as store
from cgcore.storage.identity import find_user_by_key
from cgcore.templates.canonical import canonical_html
from cgcore.templates.compile import CompiledTemplate, Rendered, TemplateSource, compile_template
from cgcore.templates.render import RenderRequest
from cgcore.templates.stored import (
    StoredSignature,
    StoredTemplate,
    TemplateVersion,
    default_signature,
    default_source,
    detach,
)
from cgcore.templates.variables import clean_value
from cgcore.texts import text
from cgcore.workbench.overview import OverviewLine, SectionName, SectionState

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.storage.tables import MailTemplateRow, SignatureRow
    from cgcore.workbench.context import Context

__all__ = ["TemplatesSection", "clean_subject", "clean_text", "read_signature", "read_template"]

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
        raise InvalidInput(FieldProblem.of("cgcore.templates", "subject", "problems.subject_too_long"))
    return subject


def clean_text(field: str, html: str) -> str:
    """Return the canonical form of editor HTML. Raises :class:`InvalidInput` for one that is too long."""
    if len(html) > _MAX_HTML:
        raise InvalidInput(FieldProblem.of("cgcore.templates", field, "problems.too_long"))
    return canonical_html(html)


_COMPILED_KEPT = 64


class TemplatesSection:
    """Use cases of templates. Everybody has their own; a type without one of its own has the built-in one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._compile = lru_cache(maxsize=_COMPILED_KEPT)(compile_template)

    def get(self, actor: Actor, document_type: DocumentType) -> StoredTemplate:
        """Return the actor's template of a type, cleaned again on the way out; version 0 is the built-in one."""
        with self._context.read_as(actor) as (session, actor):
            return _get(session, actor.user_id, document_type)

    def get_all(self, actor: Actor) -> dict[DocumentType, StoredTemplate]:
        """Return the actor's template of every type, in the order of the tabs."""
        return dict(self._context.recall(actor, "templates", _get_all))

    def get_signature(self, actor: Actor) -> StoredSignature:
        """Return the actor's signature; version 0 is the built-in one."""
        return self._context.recall(actor, "signature", lambda session, who: _get_signature(session, who.user_id))

    def save(
        self, actor: Actor, document_type: DocumentType, subject: str, body: str, *, version: int, amends: bool = False
    ) -> StoredTemplate:
        """Store a template read at ``version``, cleaned.

        ``amends``: the last characters of the save before, arrived late; they make no second version and no second
        line in the activity log. Raises :class:`StaleVersion` with what stands there now, :class:`InvalidInput` for a
        text that is too long. Checks stop no save, only a sending.
        """
        return self._save(actor, document_type, subject, body, version, Action.TEMPLATE_SAVED, amends=amends)

    def restore(self, actor: Actor, document_type: DocumentType, *, version: int) -> StoredTemplate:
        """Store the built-in template of a type as the next version; the one before stays in the history."""
        source = default_source(document_type)
        return self._save(actor, document_type, source.subject, source.body, version, Action.TEMPLATE_RESTORED)

    def copy(self, actor: Actor, source: DocumentType, target: DocumentType, *, version: int) -> StoredTemplate:
        """Store the stored subject and body of ``source`` for ``target``, which was read at ``version``."""
        template = self.get(actor, source)
        return self._save(actor, target, template.subject, template.body, version, Action.TEMPLATES_COPIED)

    def save_signature(self, actor: Actor, html: str, *, version: int, amends: bool = False) -> StoredSignature:
        """Store the signature read at ``version``; as :meth:`save`."""
        text, now = detach(clean_text("signature", html)), self._context.clock()
        with self._context.write_as(actor) as (session, actor):
            row = store.find_signature(session, actor.user_id)
            is_stale = (row.version if row else 0) != version
            if not is_stale:
                row = store.save_signature(session, actor.user_id, html=text, now=now, amends=amends)
                if not amends:
                    self._context.activity.record(actor, Action.SIGNATURE_SAVED, session=session)
        # Cleaning takes its time: others may write meanwhile.
        stored = read_signature(row)
        if is_stale:
            raise StaleVersion(stored.version, {"html": stored.html})
        return stored

    def list_versions(self, actor: Actor, document_type: DocumentType | None) -> list[TemplateVersion]:
        """Return the saved states of a template (None: of the signature), the newest first."""
        with self._context.read_as(actor) as (session, actor):
            return store.list_versions(session, actor.user_id, document_type)

    def compile(self, document_type: DocumentType, source: TemplateSource) -> CompiledTemplate:
        """Return the compiled template; those used last are kept."""
        return self._compile(document_type, source)

    def source(self, actor: Actor, document_type: DocumentType) -> TemplateSource:
        """Return the actor's stored subject, body and signature for a type."""
        return self._context.recall(
            actor,
            ("template", document_type),
            lambda session, who: _source(session, who.user_id, document_type),
            whose=actor.user_id,
        )

    def render(self, actor: Actor, document_type: DocumentType, request: RenderRequest) -> Rendered:
        """Render a request; a part that it leaves out is the actor's stored one."""
        source = request.source(self.source(actor, document_type))
        return self._compile(document_type, source).fill(request.variables)

    def render_for_user(self, username: str, document_type: DocumentType, request: RenderRequest) -> Rendered:
        """Render for the command line with the templates of ``username``. Raises :class:`NotFound`."""
        with self._context.database.read() as session:
            user = find_user_by_key(session, username_key(username))
            if user is None or user.id is None:
                raise NotFound("no such user")
            source = request.source(_source(session, user.id, document_type))
        return self._compile(document_type, source).fill(request.variables)

    def overview(self, actor: Actor) -> OverviewLine:
        """Return the line of «Resumen»: types with errors, else what is the user's own; when that was last changed."""
        templates, signature = self.get_all(actor).values(), self.get_signature(actor)
        broken = [
            template
            for template in templates
            if any(check.blocks for check in self._compile_stored(template, signature).sample_checks)
        ]
        own = [stored for stored in (*templates, signature) if not stored.is_default]
        at = max((stored.updated for stored in own if stored.updated), default=None)
        if broken:
            values = {"count": len(broken), "first": text("cgcore", f"documents.{broken[0].document_type}.tab")}
            return OverviewLine(SectionName.TEMPLATES, SectionState.ERROR, "templates_errors", values, at=at)
        count = len(own) - (signature in own)
        code = "templates_own" if count else "templates_signature" if own else "templates_default"
        return OverviewLine(SectionName.TEMPLATES, SectionState.OK, code, {"count": count}, at=at)

    def _compile_stored(self, template: StoredTemplate, signature: StoredSignature) -> CompiledTemplate:
        source = TemplateSource(template.subject, template.body, signature.html)
        return self._compile(template.document_type, source)

    def _save(
        self,
        actor: Actor,
        document_type: DocumentType,
        subject: str,
        body: str,
        version: int,
        action: Action,
        *,
        amends: bool = False,
    ) -> StoredTemplate:
        subject, text, now = clean_subject(subject), detach(clean_text("body", body)), self._context.clock()
        with self._context.write_as(actor) as (session, actor):
            row = store.find_template(session, actor.user_id, document_type)
            is_stale = (row.version if row else 0) != version
            if not is_stale:
                row = store.save_template(
                    session, actor.user_id, document_type, subject=subject, body=text, now=now, amends=amends
                )
                if not amends:
                    self._context.activity.record(actor, action, document_type.value, session=session)
        stored = read_template(document_type, row)
        if is_stale:
            raise StaleVersion(stored.version, {"subject": stored.subject, "body": stored.body})
        return stored


def _get(session: Session, user_id: int, document_type: DocumentType) -> StoredTemplate:
    return read_template(document_type, store.find_template(session, user_id, document_type))


def _get_all(session: Session, actor: Actor) -> dict[DocumentType, StoredTemplate]:
    rows = store.list_templates(session, actor.user_id)
    return {entry.code: read_template(entry.code, rows.get(entry.code.value)) for entry in types_with_template()}


def _get_signature(session: Session, user_id: int) -> StoredSignature:
    return read_signature(store.find_signature(session, user_id))


def _source(session: Session, user_id: int, document_type: DocumentType) -> TemplateSource:
    template = _get(session, user_id, document_type)
    return TemplateSource(template.subject, template.body, _get_signature(session, user_id).html)
