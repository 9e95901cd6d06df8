"""The vault's encrypted records in the database, where replicas share them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from cgcore.errors import StorageError
from cgcore.storage.database import Database
from cgcore.storage.tables import VaultRecordRow

__all__ = ["VaultRecords"]

_TABLE = "vault_record"
_ASIDE = "aside-"


class VaultRecords:
    """A record store (see ``cgcore.vault.records``) over the table ``vault_record``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = sqlite.insert if database.is_sqlite else postgresql.insert

    @property
    def location(self) -> str:
        """The table."""
        return _TABLE

    def read(self, name: str) -> bytes | None:
        """Return the record, None when there is none. Raises :class:`OSError` when the database does not answer."""
        with _translated(), self._database.read() as session:
            return session.exec(select(VaultRecordRow.record).where(VaultRecordRow.name == name)).first()

    def write(self, name: str, record: bytes) -> None:
        """Write or replace the record, in one statement."""
        statement = self._insert(VaultRecordRow).values(name=name, record=record)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"record": record})
        with _translated(), self._database.session() as session:
            session.connection().execute(statement)

    def add(self, name: str, record: bytes) -> bytes:
        """Write the record unless there is one; return the one that stands."""
        statement = self._insert(VaultRecordRow).values(name=name, record=record).on_conflict_do_nothing()
        with _translated(), self._database.session() as session:
            session.connection().execute(statement)
        standing = self.read(name)
        return record if standing is None else standing

    def delete(self, name: str) -> bool:
        """Remove the record; return whether there was one."""
        with _translated(), self._database.session() as session:
            return (
                session.connection().execute(delete(VaultRecordRow).where(col(VaultRecordRow.name) == name)).rowcount
                > 0
            )

    def names(self) -> list[str]:
        """Return the names of all records."""
        with _translated(), self._database.read() as session:
            names = session.exec(select(VaultRecordRow.name).order_by(VaultRecordRow.name)).all()
        return [name for name in names if not name.startswith(_ASIDE)]

    def set_aside(self, stamp: str) -> str:
        """Give every record a name under which nobody looks for it; return how it begins, ``""`` without records."""
        names = self.names()
        with _translated(), self._database.session() as session:
            for name in names:
                row = col(VaultRecordRow.name)
                session.exec(update(VaultRecordRow).where(row == name).values(name=f"{_ASIDE}{stamp}-{name}"))
        return f"{_TABLE} ({_ASIDE}{stamp})" if names else ""


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (DBAPIError, StorageError) as error:
        # Without the cause: the driver's text may quote the statement's values.
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise OSError(f"the table of records: {type(cause).__name__}") from None
