"""The company's mail servers in the database. Every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from cgcore.mail.account import Security, ServerDraft
from cgcore.mail.preset import MailPreset
from cgcore.storage.mail_tables import MailPresetRow

__all__ = ["delete_preset", "list_presets", "put_preset", "replace_presets"]


def list_presets(session: Session) -> list[MailPreset]:
    """Return every preset, by domain."""
    rows: Sequence[MailPresetRow] = session.exec(select(MailPresetRow).order_by(col(MailPresetRow.domain))).all()
    return [
        MailPreset(
            row.domain,
            ServerDraft(row.smtp_host, row.smtp_port, Security(row.smtp_security)),
            ServerDraft(row.imap_host, row.imap_port, Security(row.imap_security)),
            row.username_form,
        )
        for row in rows
    ]


def put_preset(session: Session, preset: MailPreset, moment: datetime) -> None:
    """Store ``preset`` in place of what its domain has."""
    row = session.get(MailPresetRow, preset.domain) or MailPresetRow(domain=preset.domain)
    row.smtp_host, row.smtp_port, row.smtp_security = _columns(preset.smtp)
    row.imap_host, row.imap_port, row.imap_security = _columns(preset.imap)
    row.username_form, row.updated = preset.username_form, moment
    session.add(row)
    session.flush()


def replace_presets(session: Session, presets: Iterable[MailPreset], moment: datetime) -> None:
    """Keep ``presets`` and no others."""
    session.connection().execute(delete(MailPresetRow))
    for preset in presets:
        put_preset(session, preset, moment)


def delete_preset(session: Session, domain: str) -> bool:
    """Remove the preset of a domain; return whether there was one."""
    row = session.get(MailPresetRow, domain)
    if row is not None:
        session.delete(row)
        session.flush()
    return row is not None


def _columns(server: ServerDraft) -> tuple[str, int, str]:
    return server.host, int(server.port), server.security.value
