"""What the driver says when the database fails, in words of ours: never a value, a password or an address."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cgcore.errors import StorageBusy, StorageError
from cgcore.storage.revision import SQLITE_CODES

__all__ = ["find_failure", "strip_values", "translated"]

# PostgreSQL's conditions (Appendix A of its manual) by the beginning of their code. A constraint, a trigger or a
# statement of ours that is wrong is no failure of the database, and stays what it is.
_BUSY = ("55P03", "57014", "40001", "40P01", "53300")
_CODES = {"08": "storage_away", "57P": "storage_away", "53100": "storage_full", "25006": "storage_readonly"}


@contextmanager
def translated() -> Generator[None]:
    """Raise :class:`StorageBusy` or :class:`StorageError` where the database is the cause; let the rest pass."""
    try:
        yield
    except PoolTimeout:
        raise StorageBusy("no connection became free") from None
    except PendingRollbackError as error:
        # Somebody has passed over an error that ended the transaction, or its connection: nothing of it is stored.
        raise StorageError(f"a transaction had ended ({type(error).__name__})", code="storage_away") from None
    except DBAPIError as error:
        failure = find_failure(error)
        if failure is None:
            raise
        raise failure from None


def find_failure(error: DBAPIError) -> StorageError | None:
    """Return the failure of the database that ``error`` stands for, None where the statement is the cause."""
    cause: Any = error.orig
    name = type(cause).__name__
    if sqlite_name := getattr(cause, "sqlite_errorname", ""):
        return _find_sqlite_failure(str(sqlite_name), name)
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(_BUSY):
        return StorageBusy(f"the database is busy ({name})")
    for beginning, code in _CODES.items():
        if state.startswith(beginning):
            return StorageError(f"the database failed ({name})", code=code)
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    if error.connection_invalidated or (not state and kinds & {"OperationalError", "InterfaceError"}):
        return StorageError(f"the database does not answer ({name})", code="storage_away")
    return None


def strip_values(context: ExceptionContext) -> None:
    """Take out of an error of PostgreSQL what quotes values: its detail shows whole rows, hashes included."""
    cause: Any = context.original_exception
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return
    told = cause.diag
    # A wrong value is quoted in the first line of class 22.
    first = type(cause).__name__ if state.startswith("22") else told.message_primary
    place = ".".join(filter(None, (told.table_name, told.constraint_name or told.column_name)))
    text = " ".join(filter(None, (state, first, place)))
    cause.args = (text,)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (text,)


def _find_sqlite_failure(sqlite_name: str, name: str) -> StorageError | None:
    if sqlite_name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StorageBusy(f"another process writes ({name})")
    for beginning, code in SQLITE_CODES.items():
        if sqlite_name.startswith(beginning):
            return StorageError(f"the database failed ({sqlite_name})", code=code)
    return None
