"""The lock around a change of the house holds between two transactions of PostgreSQL."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import text

from cgcore.errors import StorageBusy
from cgcore.storage.database import Database, open_database, take_change_lock
from tests.servers.postgres import PostgresServer


def take_without_patience(database: Database) -> None:
    """Take the lock in a transaction that waits a tenth of a second at most."""
    with database.session() as session:
        session.connection().execute(text("SET LOCAL lock_timeout = '100ms'"))
        take_change_lock(session)


def test_a_second_change_waits_for_the_first(postgres_server: PostgresServer) -> None:
    """While one transaction holds it another one gets nothing; when the first has ended it gets it at once."""
    database = open_database(postgres_server.create_database("t_" + secrets.token_hex(6)))
    with database.session() as first:
        take_change_lock(first)
        with pytest.raises(StorageBusy):
            take_without_patience(database)

        assert first.is_active
    take_without_patience(database)
    database.close()
