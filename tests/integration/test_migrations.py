"""The migrations against the tables they are to make."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

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
