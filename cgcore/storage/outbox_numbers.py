"""The number of a document that somebody has: its series proposes no lower one any more.

However it got there: by a mail, by the proof of one that was unsure, or another way, as a person says. Apart from its
users, who are each about one of these.
"""

from __future__ import annotations

import re

from sqlmodel import Session, select

from cgcore.documents import DocumentType
from cgcore.storage.outbox_edges import database_now
from cgcore.storage.outbox_tables import OutboundMessageRow
from cgcore.storage.series import raise_last_used

__all__ = ["note_number", "note_number_of"]

_SHORT_NUMBER = re.compile(r"[0-9]{1,9}")


def note_number(session: Session, series: str, document_type: str, number: str, year: int) -> None:
    """Note that a document bears ``number``, where that is one that a series can count."""
    if _SHORT_NUMBER.fullmatch(number):
        raise_last_used(session, series, DocumentType(document_type), int(number), year)


def note_number_of(session: Session, name: str) -> None:
    """Note the number of the document of a message."""
    row = OutboundMessageRow
    wanted = select(row.series, row.document_type, row.number).where(row.id == name)
    for series, document_type, number in session.exec(wanted):
        note_number(session, series, document_type, number, database_now(session).year)
