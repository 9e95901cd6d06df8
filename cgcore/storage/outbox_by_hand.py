"""What people note of documents that went another way, and that a message is another one's document again.

Apart from :mod:`cgcore.storage.outbox`: nothing here waits for a worker.
"""

from __future__ import annotations

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, update

from cgcore.outbox.message import NewMessage
from cgcore.outbox.states import State
from cgcore.storage.outbox import add_recipients, database_now, move_all
from cgcore.storage.outbox_numbers import note_number, note_number_of
from cgcore.storage.outbox_tables import KEPT_OF_MESSAGE, OutboundMessageRow

__all__ = ["add_noted", "mark_sent", "note_origin"]

_Row = OutboundMessageRow


def mark_sent(session: Session, user_id: int, name: str) -> bool:
    """Note that a message which is held or was refused has reached its people another way; it leaves no more."""
    # What some have has left by mail, whatever becomes of the others.
    mine = (col(_Row.id) == name, col(_Row.user_id) == user_id, col(_Row.accepted).is_(None))
    values = {"accepted": database_now(session), "reason": None, "fence": _Row.fence + 1}
    marked = any(move_all(session, state, State.SENT, mine, **values) == 1 for state in (State.HELD, State.FAILED))
    if marked:
        note_number_of(session, name)
    return marked


def add_noted(session: Session, message: NewMessage, user_id: int) -> bool:
    """Store a document that went another way: sent, without bytes; False: there is one of that key already."""
    now = database_now(session)
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = _Row(
        id=message.name,
        user_id=user_id,
        idempotency_key=message.key,
        state=State.SENT.value,
        created=now,
        changed=now,
        due=now,
        accepted=now,
        **{name: getattr(message, name) for name in KEPT_OF_MESSAGE},
    ).model_dump(exclude={"reason"})
    made = insert(_Row).values(**row).on_conflict_do_nothing().returning(col(_Row.id))
    if session.scalar(made) is None:
        return False
    add_recipients(session, message)
    note_number(session, message.series, message.document_type, message.number, now.year)
    return True


def note_origin(session: Session, name: str, origin: str) -> None:
    """Note that a message is the document of another one, sent again."""
    session.exec(update(_Row).where(col(_Row.id) == name).values(resent_of=origin))
