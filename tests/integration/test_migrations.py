"""The migrations against the tables they are to make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, Boolean, Connection, DateTime, Integer, MetaData, Numeric, Table, text
from sqlalchemy.types import TypeEngine

from cgcore.documents import DocumentType
from cgcore.storage.database import Database, open_database
from cgcore.storage.migrations import script_directory, upgrade_to_head
from cgcore.storage.revision import HEAD_REVISION
from cgcore.storage.series import find_series
from cgcore.storage.tables import metadata

pytestmark = pytest.mark.usefixtures("by_migrations")


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    """After every migration nothing is left to change: no table, column, type, key or index."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_the_program_knows_its_newest_migration() -> None:
    """What the start compares with is Alembic's own head, and there is one head only."""
    assert script_directory().get_heads() == [HEAD_REVISION]


def test_an_older_database_is_brought_up_to_date(empty_database: Database) -> None:
    """One that stands at the first revision gets what came since, and keeps what it holds."""
    upgrade_to_head(empty_database.engine, until="0001")
    trigger = "activity_no_replace" if empty_database.is_sqlite else "activity_no_truncate ON activity"
    with empty_database.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO company_series (document_type, series_code) VALUES ('quote', 'P')")

    again = open_database(empty_database.url.render_as_string(hide_password=False))

    assert again.stored_revision() == HEAD_REVISION
    with again.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}")  # it came with the second one
        kept = connection.exec_driver_sql("SELECT series_code FROM company_series").scalars().all()
    assert kept == ["P"]
    again.close()


def test_codes_of_series_are_composed_with_what_refers_to_them(empty_database: Database) -> None:
    """Counters and defaults follow; a pair that differs in nothing else stays, each with its own."""
    upgrade_to_head(empty_database.engine, until="0006")
    loose, pair = "AN\u0303", ("E\u0301", "\u00c9")
    with empty_database.engine.begin() as connection:
        for code in (loose, *pair):
            values = {"code": code, "key": code.casefold()}
            connection.execute(
                text(
                    "INSERT INTO series (code, code_key, name, active, kind, version)"
                    " VALUES (:code, :key, '', true, 'ordinaria', 3)"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO series_number"
                    " (series_code, document_type, enabled, next_number, last_used, last_used_year)"
                    " VALUES (:code, 'quote', true, 7, 0, 0)"
                ),
                values,
            )
        connection.execute(
            text("INSERT INTO company_series (document_type, series_code) VALUES ('quote', :code)"), {"code": loose}
        )

    again = open_database(empty_database.url.render_as_string(hide_password=False))

    with again.session() as session:
        found = find_series(session, loose)
        assert found is not None
        assert (found.code, found.version, found.counters[DocumentType.QUOTE].next_number) == ("A\u00d1", 3, 7)
        assert session.connection().execute(text("SELECT series_code FROM company_series")).scalars().all() == [
            found.code
        ]
        assert [series.code for code in pair if (series := find_series(session, code))] == list(pair)
    again.close()


def test_documents_that_were_handed_in_before_are_known_again(empty_database: Database) -> None:
    """Each message gets what every spelling of its document has in common."""
    upgrade_to_head(empty_database.engine, until="0024")
    with empty_database.engine.begin() as connection:
        _insert(connection, "user", id=1, username="ana")
        for name, (series, number) in enumerate([("F", "007"), ("F", "2026/7"), ("", "")]):
            told = {"id": str(name), "idempotency_key": str(name), "series": series, "number": number}
            _insert(connection, "outbound_message", user_id=1, **told)
    upgrade_to_head(empty_database.engine)
    with empty_database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT document_key FROM outbound_message ORDER BY id").scalars().all()

    assert found == ["f\n7", "f\n2026-7", ""]


def _insert(connection: Connection, name: str, **given: object) -> None:
    """Insert a row; of what the test is not about it has anything."""
    table = Table(name, MetaData(), autoload_with=connection)
    needed = [column for column in table.columns if not column.nullable and column.server_default is None]
    connection.execute(table.insert().values({column.name: _fill(column.type) for column in needed} | given))


def _fill(kind: TypeEngine[Any]) -> object:
    known = {JSON: [], Boolean: False, Numeric: 1, Integer: 1, DateTime: datetime(2026, 11, 24, tzinfo=UTC)}
    return next((value for each, value in known.items() if isinstance(kind, each)), "")
