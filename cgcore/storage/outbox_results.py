"""What became of a try, as a row, and what others note beside it.

Apart from :mod:`cgcore.storage.outbox_queue`, which moves states: nothing here decides anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from cgcore.errors import StorageBusy
from cgcore.outbox.message import Result
from cgcore.outbox.states import RecipientState, State
from cgcore.storage.failures import find_failure

__all__ = ["attempt_row", "try_noting"]

_log = logging.getLogger(__name__)


def try_noting(session: Session, note: Callable[[Session], object]) -> None:
    """Write what belongs to a result and must not stop it; what fails leaves nothing behind.

    ``note`` writes by statements: a row that is only added to the session would be written after it. Raises
    :class:`StorageError` where the database itself has failed: then the result beside it is lost too, and has to be
    written once more as a whole.
    """
    try:
        with session.connection().begin_nested():
            note(session)
    except DBAPIError as error:
        failure = find_failure(error)
        if failure is not None and not isinstance(failure, StorageBusy):
            raise failure from None
        _log.exception("a sending could not be noted")
    except Exception:
        _log.exception("a sending could not be noted")


def attempt_row(result: Result, now: datetime, owner: str) -> Mapping[str, Any]:
    """Return a try as it is kept, by the columns of its row."""
    claimed, attempt = result.claimed, result.attempt
    taken = result.taken
    if not taken and result.outcome.state in (State.SENT, State.UNKNOWN):
        taken = max(1, sum(each.state is not RecipientState.REFUSED for each in result.recipients))
    return {
        "message_id": claimed.id,
        "began": attempt.began,
        "ended": now,
        "stage": attempt.stage,
        "key": attempt.key,
        "reply": attempt.reply,
        "owner": owner,
        "user_id": claimed.user_id,
        "taken": taken,
    }
