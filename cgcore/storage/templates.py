"""Templates, signatures and their versions in the database. Every function works in the caller's transaction.

The live row holds the text as the editor writes it, images included. Each save also adds a version, in which images
are kept by their hash: a logo is stored once however often a template is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from cgcore.documents import DocumentType
from cgcore.storage.tables import MailTemplateRow, SignatureRow, TemplateImageRow, TemplateVersionRow
from cgcore.templates.stored import DetachedText, StoredImage, TemplateVersion, attach_images

__all__ = [
    "find_signature",
    "find_template",
    "list_templates",
    "list_versions",
    "save_signature",
    "save_template",
]

_VERSIONS_KEPT = 30
_SIGNATURE = ""  # what stands for a document type in the versions of a signature


def find_template(session: Session, user_id: int, document_type: DocumentType) -> MailTemplateRow | None:
    """Return a user's own template of a type."""
    return session.get(MailTemplateRow, (user_id, document_type.value))


def list_templates(session: Session, user_id: int) -> dict[str, MailTemplateRow]:
    """Return a user's own templates by type."""
    rows = session.exec(select(MailTemplateRow).where(MailTemplateRow.user_id == user_id)).all()
    return {row.document_type: row for row in rows}


def find_signature(session: Session, user_id: int) -> SignatureRow | None:
    """Return a user's own signature."""
    return session.get(SignatureRow, user_id)


def save_template(
    session: Session,
    user_id: int,
    document_type: DocumentType,
    *,
    subject: str,
    body: DetachedText,
    now: datetime,
    amends: bool = False,
) -> MailTemplateRow:
    """Store a template under the next version; ``amends`` replaces the newest version instead of adding one."""
    row = find_template(session, user_id, document_type)
    if row is None:
        version = _newest(session, user_id, document_type.value)
        row = MailTemplateRow(user_id=user_id, document_type=document_type.value, version=version)
    row.subject, row.body, row.updated = subject, body.html, now
    row.version += 1
    session.add(row)
    _add_version(session, user_id, document_type.value, subject, body, row.version, now, amends=amends)
    return row


def save_signature(
    session: Session, user_id: int, *, html: DetachedText, now: datetime, amends: bool = False
) -> SignatureRow:
    """Store a signature under the next version; ``amends`` as in :func:`save_template`."""
    row = find_signature(session, user_id)
    if row is None:
        row = SignatureRow(user_id=user_id, version=_newest(session, user_id, _SIGNATURE))
    row.html, row.updated = html.html, now
    row.version += 1
    session.add(row)
    _add_version(session, user_id, _SIGNATURE, "", html, row.version, now, amends=amends)
    return row


def list_versions(session: Session, user_id: int, document_type: DocumentType | None) -> list[TemplateVersion]:
    """Return the saved states of a template (of the signature for None), the newest first, images embedded."""
    code = document_type.value if document_type else _SIGNATURE
    rows = session.exec(_versions(user_id, code)).all()
    return [TemplateVersion(row.subject, _attached(session, row.body), row.version, row.saved) for row in rows]


def _versions(user_id: int, code: str) -> SelectOfScalar[TemplateVersionRow]:
    statement = select(TemplateVersionRow).where(
        TemplateVersionRow.user_id == user_id, TemplateVersionRow.document_type == code
    )
    return statement.order_by(col(TemplateVersionRow.version).desc())


def _newest(session: Session, user_id: int, code: str) -> int:
    # Numbers go on after a row was deleted: a version that somebody still holds must not come back with another text.
    newest = select(func.max(col(TemplateVersionRow.version))).where(
        TemplateVersionRow.user_id == user_id, TemplateVersionRow.document_type == code
    )
    return session.exec(newest).one() or 0


def _add_version(
    session: Session,
    user_id: int,
    code: str,
    subject: str,
    body: DetachedText,
    version: int,
    now: datetime,
    *,
    amends: bool,
) -> None:
    for digest, image in body.images.items():
        _put_image(session, digest, image)
    row = session.exec(_versions(user_id, code).limit(1)).first() if amends else None
    row = row or TemplateVersionRow(user_id=user_id, document_type=code)
    row.subject, row.body, row.version, row.saved = subject, body.detached, version, now
    session.add(row)
    session.flush()
    _drop_old(session, user_id, code)


def _drop_old(session: Session, user_id: int, code: str) -> None:
    rows: Sequence[TemplateVersionRow] = session.exec(_versions(user_id, code).offset(_VERSIONS_KEPT)).all()
    ids = [row.id for row in rows]
    if ids:
        session.connection().execute(delete(TemplateVersionRow).where(col(TemplateVersionRow.id).in_(ids)))


def _put_image(session: Session, digest: str, image: StoredImage) -> None:
    if session.get(TemplateImageRow, digest) is not None:
        return
    row = TemplateImageRow(sha256=digest, type=image.type, width=image.width, height=image.height, data=image.data)
    session.add(row)
    session.flush()


def _attached(session: Session, body: str) -> str:
    def find(digest: str) -> StoredImage | None:
        row = session.get(TemplateImageRow, digest)
        return StoredImage(row.type, row.data) if row else None

    return attach_images(body, find)
