"""What became of a try, as rows: the try itself, each recipient, and what others note beside it.

Apart from :mod:`cgcore.storage.outbox_queue`, which moves states: nothing here decides anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, update

from cgcore.outbox.message import Claimed, Recipient, Result
from cgcore.outbox.states import RecipientState, State
from cgcore.storage.outbox_tables import OutboundAttemptRow, OutboundRecipientRow

__all__ = ["attempt_row", "keep_recipients", "try_noting"]

_log = logging.getLogger(__name__)


def keep_recipients(session: Session, claimed: Claimed, recipients: Sequence[Recipient]) -> None:
    """Store what was said of each recipient, in the order of the message."""
    row = OutboundRecipientRow
    kept = update(row).where(col(row.message_id) == claimed.id, col(row.place) == bindparam("at"))
    told = [
        {"at": place, "state": each.state.value, "code": each.code, "key": each.key, "reply": each.reply}
        for place, each in enumerate(recipients)
    ]
    if told:
        session.connection().execute(kept, told)


def try_noting(session: Session, note: Callable[[Session], object]) -> None:
    """Write what belongs to a result and must not stop it; what fails leaves nothing behind."""
    try:
        with session.begin_nested():
            note(session)
    except Exception:
        _log.exception("a sending could not be noted")


def attempt_row(result: Result, now: datetime, owner: str) -> OutboundAttemptRow:
    """Return a try as it is kept."""
    claimed, attempt = result.claimed, result.attempt
    taken = 0
    if result.outcome.state in (State.SENT, State.UNKNOWN):
        taken = max(1, sum(each.state is not RecipientState.REFUSED for each in result.recipients))
    return OutboundAttemptRow(
        message_id=claimed.id,
        began=attempt.began,
        ended=now,
        stage=attempt.stage,
        key=attempt.key,
        reply=attempt.reply,
        owner=owner,
        user_id=claimed.user_id,
        taken=taken,
    )
