"""How each person sends, in the database; all in the caller's transaction.

Apart from its use case: queries stand in this package only.
"""

from __future__ import annotations

from sqlmodel import Session

from cgcore.outbox.preferences import OutboxPreferences
from cgcore.outbox.states import Kind
from cgcore.storage.outbox_tables import OutboxPreferenceRow

__all__ = ["find_preferences", "put_preferences"]


def find_preferences(session: Session, user_id: int) -> OutboxPreferences:
    """Return what a user has chosen, or what holds until then."""
    row = session.get(OutboxPreferenceRow, user_id)
    if row is None:
        return OutboxPreferences()
    return OutboxPreferences(row.undo_s, row.adviser, {kind: Kind(how) for kind, how in row.copies.items()})


def put_preferences(session: Session, user_id: int, preferences: OutboxPreferences) -> None:
    """Keep a user's choice."""
    row = session.get(OutboxPreferenceRow, user_id) or OutboxPreferenceRow(user_id=user_id)
    row.undo_s, row.adviser = preferences.undo_s, preferences.adviser
    row.copies = {kind: how.value for kind, how in preferences.copies.items()}
    session.add(row)
