"""The database behind the product, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from cgcore.errors import StorageError
from cgcore.storage.api_keys import ApiKeyReader
from cgcore.storage.database import Database, open_database
from cgcore.storage.revision import HEAD_REVISION, is_current
from cgcore.storage.tables import CompanyRow, MailAccountRow
from cgcore.workbench import Workbench, open_workbench
from tests.conftest import make_settings

pytestmark = pytest.mark.usefixtures("by_migrations")


def test_opening_migrates_to_head_and_opening_again_changes_nothing(database: Database) -> None:
    """A new database stands at head; a second opening finds it there and keeps the data."""
    with database.session() as session:
        session.add(CompanyRow(name="Electricidad Tosma, SL"))

    again = open_database(database.url.render_as_string(hide_password=False))

    assert again.stored_revision() == HEAD_REVISION
    with again.read() as session:
        assert [row.name for row in session.exec(select(CompanyRow))] == ["Electricidad Tosma, SL"]
    again.close()


def test_an_exception_in_a_session_leaves_nothing_behind(database: Database) -> None:
    """The transaction is rolled back, and the exception goes on."""

    def write_and_break() -> None:
        with database.session() as session:
            session.add(CompanyRow(name="half"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_break()

    with database.read() as session:
        assert session.exec(select(CompanyRow)).all() == []


def test_a_database_that_is_not_there_is_told_without_its_address(database: Database, tmp_path: Path) -> None:
    """Health sees it, and the check of a key fails in words of ours instead of looking like an unknown key."""
    away = Database(database.url.set(database=str(tmp_path / "missing" / "away")).render_as_string(hide_password=False))
    with pytest.raises(StorageError) as caught:
        ApiKeyReader(away).find_all(("k",))

    assert (database.is_reachable(), away.is_reachable()) == (True, False)
    assert ApiKeyReader(database).find_all(("k",)).keys == {}
    assert "away" not in str(caught.value)
    away.close()


def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    """A revision that this program does not know is an error, and stays as it is."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StorageError) as caught:
        open_database(database.url.render_as_string(hide_password=False))

    assert caught.value.code == "storage_newer"
    assert database.stored_revision() == "9999"


def test_every_connection_of_the_default_database_writes_ahead_and_checks_references(workbench: Workbench) -> None:
    """SQLite in WAL, foreign keys on: for a reader and for a writer beside it, whichever connection they get."""
    database = workbench.database
    with database.session() as writing, database.read() as reading:
        seen = [(_pragma(session, "journal_mode"), _pragma(session, "foreign_keys")) for session in (writing, reading)]

    assert database.is_sqlite
    assert seen == [("wal", 1), ("wal", 1)]


def test_a_row_of_nobody_is_refused(database: Database) -> None:
    """A foreign key is checked, not only declared."""
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(MailAccountRow(user_id=4711))

    with database.read() as session:
        assert session.exec(select(MailAccountRow)).all() == []


def _pragma(session: Session, name: str) -> Any:
    return session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()


@pytest.mark.parametrize("name", ["cloud-gestion.db", "Año 2026 #1 %41.db"])
def test_a_known_file_is_recognised_without_opening_the_database(tmp_path: Path, name: str) -> None:
    """Only a file at this program's revision is; looking makes nothing and changes nothing."""
    file = tmp_path / name
    url = f"sqlite:///{file}"
    assert not is_current(url)
    assert list(tmp_path.iterdir()) == []

    database = open_database(url)
    assert is_current(url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert not is_current(url)

    file.write_bytes(b"not a database")
    assert not is_current(url)
    assert file.read_bytes() == b"not a database"


def test_another_kind_of_database_is_left_to_its_own_driver() -> None:
    """What is no file is opened at the start, as it always was."""
    assert not is_current("postgresql+psycopg://user@localhost/cloud")
    assert not is_current("sqlite://")


def test_a_known_database_is_opened_at_its_first_use(tmp_path: Path) -> None:
    """Health is told before that, by a look at the file, and is as good as the file."""
    settings = make_settings(tmp_path)
    first = open_workbench(settings)
    assert first.is_open("database")
    first.close()

    workbench = open_workbench(settings)
    assert not workbench.is_open("database")
    assert workbench.is_database_reachable()
    workbench.close()
    (settings.data_dir / "cloud-gestion.db").write_bytes(b"broken")
    assert not workbench.is_database_reachable()
    with pytest.raises(StorageError):
        open_workbench(settings)
