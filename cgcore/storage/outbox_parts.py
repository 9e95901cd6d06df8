"""A message that goes in several transactions: who was in which, and what a proof about the last one means.

A server takes so many recipients at once (RFC 5321 §4.5.3.1.8); the others get the same bytes in another transaction.
Who is in one is durable before its dot, so that of an unsure one it is known whom it concerns. Apart from
:mod:`cgcore.storage.outbox_queue`: person, sent folder and bounce ask this too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import exists, func
from sqlmodel import Session, col, select, update

from cgcore.outbox.message import Claimed
from cgcore.outbox.states import SKIPPABLE, UNSURE, RecipientState, State
from cgcore.storage.outbox_edges import database_now, move, move_all
from cgcore.storage.outbox_numbers import note_number_of
from cgcore.storage.outbox_tables import OutboundMessageRow, OutboundRecipientRow

__all__ = ["end_unknown", "is_begun", "last_part", "note_part", "note_unsure", "skip_rest"]

_Row, _Named = OutboundMessageRow, OutboundRecipientRow
_WORKED_ON = (State.CLAIMED.value, State.IN_FLIGHT.value)


def note_part(session: Session, claimed: Claimed, addresses: Collection[str]) -> bool:
    """Note who is in the transaction whose dot is to leave; False: the claim is no longer ours."""
    mine = exists().where(col(_Row.id) == claimed.id, col(_Row.fence) == claimed.fence, col(_Row.state).in_(_WORKED_ON))
    part = 1 + max(each.part for each in claimed.recipients)
    asked = update(_Named).where(col(_Named.message_id) == claimed.id, col(_Named.address).in_(addresses), mine)
    return session.exec(asked.values(part=part)).rowcount == len(addresses)


def last_part(session: Session, name: str) -> int:
    """Return the number of the last transaction of a message, 0 where one was enough."""
    return session.exec(select(func.max(_Named.part)).where(_Named.message_id == name)).one() or 0


def is_begun(session: Session, name: str) -> bool:
    """Return whether some have a message for sure, by an earlier transaction."""
    have = col(_Named.state).in_((RecipientState.ACCEPTED.value, RecipientState.BOUNCED.value))
    return session.exec(select(_Named.place).where(_Named.message_id == name, have).limit(1)).first() is not None


def end_unknown(session: Session, name: str, fence: int, **values: Any) -> bool:
    """Note that the unsure transaction of a message has reached its server; return whether it was still unsure.

    Those who were in it have the message. Where others are pending they get it now, else it is sent.
    """
    part = last_part(session, name)
    of_message = (col(_Named.message_id) == name, col(_Named.state) == RecipientState.PENDING.value)
    left = part and session.exec(select(_Named.place).where(*of_message, _Named.part != part).limit(1)).first()
    now = database_now(session)
    values = {"accepted": now, "reason": None, **values}
    if isinstance(left, int) and part:
        moved = move(session, name, State.UNKNOWN, State.QUEUED, fence, due=now, **values)
    else:
        moved = move(session, name, State.UNKNOWN, State.SENT, fence, **values)
    if moved and part:
        had = update(_Named).where(*of_message, col(_Named.part) == part)
        session.exec(had.values(state=RecipientState.ACCEPTED.value))
    if moved:
        note_number_of(session, name)
    return moved


def note_unsure(session: Session, name: str) -> None:
    """Note of those who were in the last transaction of a message that they may have it, for when it is given up."""
    pending = (col(_Named.state) == RecipientState.PENDING.value, col(_Named.part) == last_part(session, name))
    unsure = update(_Named).where(col(_Named.message_id) == name, *pending)
    session.exec(unsure.values(key=UNSURE))


def skip_rest(session: Session, which: Sequence[Any]) -> int:
    """End the messages of ``which`` that some have and that wait for the others; return how many those were.

    Who has none gets none; of whom it is unsure nothing is said. What a worker has taken meanwhile is not ended.
    """
    begun = (*which, col(_Row.accepted).is_not(None))
    names = session.exec(select(_Row.id).where(*begun, col(_Row.state).in_(SKIPPABLE)).with_for_update()).all()
    ended = [name for name in names if _skip(session, name)]
    pending = (col(_Named.state) == RecipientState.PENDING.value, col(_Named.key) != UNSURE)
    waiting = update(_Named).where(col(_Named.message_id).in_(ended), *pending)
    session.exec(waiting.values(state=RecipientState.SKIPPED.value))
    return len(ended)


def _skip(session: Session, name: str) -> bool:
    values = {"reason": None, "fence": _Row.fence + 1}
    return any(move_all(session, state, State.SENT, (col(_Row.id) == name,), **values) for state in SKIPPABLE)
