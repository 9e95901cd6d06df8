"""The company in the database. Every function works in the caller's transaction."""

from __future__ import annotations

import hashlib

from sqlmodel import Session

from cgcore.company.company import Company, CompanyDraft, Logo
from cgcore.storage.tables import CompanyRow, TemplateImageRow

__all__ = ["load_company", "save_company"]

_ONLY = 1


def load_company(session: Session) -> Company:
    """Return the company; an empty one with version 0 when nothing is stored."""
    row = session.get(CompanyRow, _ONLY)
    if row is None:
        return Company()
    image = session.get(TemplateImageRow, row.logo_sha256) if row.logo_sha256 else None
    logo = Logo(image.type, image.width, image.height, image.data) if image else None
    return Company(row.name, row.tax_id, row.address, logo, row.version)


def save_company(session: Session, draft: CompanyDraft, logo: Logo | None, *, keep_logo: bool) -> None:
    """Store the fields of ``draft`` under the next version, and ``logo`` (None: no logo) unless it is kept."""
    row = session.get(CompanyRow, _ONLY) or CompanyRow(id=_ONLY, version=0)
    row.name, row.tax_id, row.address = draft.name, draft.tax_id, draft.address
    row.version += 1
    if not keep_logo:
        row.logo_sha256 = _put_image(session, logo) if logo else None
    session.add(row)
    session.flush()


def _put_image(session: Session, logo: Logo) -> str:
    sha256 = hashlib.sha256(logo.data).hexdigest()
    if session.get(TemplateImageRow, sha256) is None:
        row = TemplateImageRow(sha256=sha256, type=logo.type, width=logo.width, height=logo.height, data=logo.data)
        session.add(row)
        session.flush()
    return sha256
