"""A database that is taken, silent, cut off or wrong: said in time, in words of ours, without a value of anybody's."""

from __future__ import annotations

import logging
import secrets
import socket
import sqlite3
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from cgcore.errors import StorageBusy, StorageError
from cgcore.storage.api_key_reader import ApiKeyReader
from cgcore.storage.database import Database, open_database
from cgcore.storage.tables import ThrottleRow, UserRow
from cgcore.storage.users import add_user
from cgcore.texts import load_texts
from tests.servers.postgres import PostgresServer

HASH = "$argon2id$v=19$S3cr3t"


@pytest.fixture
def on_postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh database of PostgreSQL."""
    database = open_database(postgres_server.create_migrated_database("t_" + secrets.token_hex(6)))
    yield database
    database.close()


def cut_off(database: Database, victim: Session) -> None:
    """End the server's side of another session's connection, as a restart of the server does."""
    pid = victim.connection().execute(text("SELECT pg_backend_pid()")).scalar_one()
    with database.read() as session:
        session.connection().execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


def write_user(session: Session, **values: Any) -> None:
    """Write a user whose hash must be seen nowhere."""
    session.add(UserRow(**{"username": "ana", "username_key": "ana", "password_hash": HASH, **values}))
    session.flush()


def test_a_lost_connection_shows_no_hash(on_postgres: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the exception, nor what it is chained to, nor the log holds what was about to be written."""
    caplog.set_level(logging.DEBUG)

    def write_and_lose() -> None:
        with on_postgres.session() as session:
            cut_off(on_postgres, session)
            write_user(session)

    with pytest.raises(StorageError) as caught:
        write_and_lose()

    logging.getLogger("cgcore").error("lost", exc_info=caught.value)
    seen = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert caught.value.code == "storage_away"
    assert "S3cr3t" not in seen
    with on_postgres.read() as session:
        assert session.exec(select(UserRow)).all() == []


def test_a_refused_row_is_not_quoted(database: Database) -> None:
    """PostgreSQL shows the whole row that fails a constraint; of it only the constraint's name goes on."""
    with database.session() as session:
        write_user(session)
    with pytest.raises(DBAPIError) as caught, database.session() as session:
        write_user(session)
    with pytest.raises(DBAPIError) as without_name, database.session() as session:
        session.connection().execute(
            text("INSERT INTO \"user\" (username_key, password_hash) VALUES ('luis', :hash)"), {"hash": HASH}
        )

    seen = "".join(traceback.format_exception(caught.value) + traceback.format_exception(without_name.value))
    assert "username" in str(caught.value.orig)
    assert "S3cr3t" not in seen
    with database.session() as session:
        assert not add_user(session, UserRow(username="ANA", username_key="ana"))


def test_no_engine_tells_its_parameters(database: Database) -> None:
    """Whatever a statement fails with, its values are hidden."""
    with pytest.raises(DBAPIError) as caught, database.read() as session:
        session.connection().execute(text("SELECT * FROM nowhere WHERE a = :a"), {"a": HASH})

    assert "nowhere" in str(caught.value)
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_a_frozen_server_is_given_up_and_comes_back(on_postgres: Database, postgres_server: PostgresServer) -> None:
    """Reading, writing, health and the check of a key end by themselves; when it goes on, so does everything."""
    reader = ApiKeyReader(on_postgres)
    assert reader.find("k") is None
    codes: list[str] = []
    with postgres_server.frozen():
        for use in (lambda: read(on_postgres), lambda: write(on_postgres), lambda: reader.find("k")):
            with pytest.raises(StorageError) as caught:
                use()
            codes.append(caught.value.code)
        assert not on_postgres.is_reachable()

    assert codes == ["storage_away"] * 3
    until(on_postgres.is_reachable)
    write(on_postgres)
    assert reader.find("k") is None
    assert read(on_postgres) == 1
    reader.close()


def test_a_server_that_freezes_in_a_transaction_ends_it(on_postgres: Database, postgres_server: PostgresServer) -> None:
    """The statement under way is given up by the client: no limit of the server's could."""

    def write_and_freeze() -> None:
        with on_postgres.session() as session:
            write_user(session)
            with postgres_server.frozen():
                session.exec(select(UserRow)).all()

    with pytest.raises(StorageError) as caught:
        write_and_freeze()

    assert caught.value.code == "storage_away"
    until(on_postgres.is_reachable)
    with on_postgres.read() as session:
        assert session.exec(select(UserRow)).all() == []


def test_a_statement_that_takes_too_long_is_ended_by_the_server(on_postgres: Database) -> None:
    """The long-lived connections have their limits from their first moment, locks and idle transactions too."""
    with on_postgres.read() as session:
        limits = {
            name: session.connection().execute(text(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }

    def sleep() -> None:
        with on_postgres.read() as session:
            session.connection().execute(text("SET LOCAL statement_timeout = '50ms'"))
            session.connection().execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(StorageBusy):
        sleep()

    assert "0" not in limits.values()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("mysql://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("http://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("postgresql://user:S3cr3t@127.0.0.1:puerto/cloud", "storage_url"),
        ("postgresql+asyncpg://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("postgresql://user:S3cr3t@127.0.0.1/cloud?nada=1", "storage_open"),
        ("S3cr3t", "storage_url"),
        ("", "storage_url"),
    ],
)
def test_an_address_that_is_none_is_told_without_it(change: str, code: str) -> None:
    """Scheme, port, driver, option: one sentence, and never the password in it."""
    with pytest.raises(StorageError) as caught:
        open_database(change.replace("postgresql://", "postgresql+psycopg://"))

    assert caught.value.code == code
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))
    assert code in load_texts("cgcore.storage")


def test_a_server_that_says_nothing_ends_the_start() -> None:
    """A host that takes the connection and stays silent: the start ends with the reason, in its own time."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StorageError) as caught:
        open_database(f"postgresql+psycopg://user@127.0.0.1:{silent.getsockname()[1]}/cloud")

    assert caught.value.code == "storage_open"


def test_a_missing_database_ends_the_start(on_postgres: Database) -> None:
    """So does a name that the server does not know."""
    with pytest.raises(StorageError) as caught:
        open_database(on_postgres.url.set(database="missing").render_as_string(hide_password=False))

    assert caught.value.code == "storage_open"


def test_while_another_process_writes_reading_goes_on(tmp_path: Path) -> None:
    """A change waits for its time and says then that the database is busy; afterwards it is stored."""
    database = open_database(f"sqlite:///{tmp_path / 'cloud-gestion.db'}")
    other = sqlite3.connect(tmp_path / "cloud-gestion.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusy), database.session(patience_s=0.05) as session:
        write_user(session)
    seen_meanwhile = (read(database), database.is_reachable())
    other.execute("ROLLBACK")
    other.close()
    with database.session(patience_s=0.05) as session:
        write_user(session)

    assert seen_meanwhile == (0, True)
    assert read(database) == 0
    with database.read() as session:
        assert [row.username for row in session.exec(select(UserRow))] == ["ana"]
    database.close()


def test_writers_of_one_process_take_turns(tmp_path: Path) -> None:
    """In the order in which they asked: the first to wait is the first to write, whoever asks at the right moment."""
    database = open_database(f"sqlite:///{tmp_path / 'cloud-gestion.db'}")
    order: list[int] = []
    queue = database._writers

    def take(number: int) -> None:
        with database.session():
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with database.session():
        for count, thread in enumerate(threads, 1):
            thread.start()
            until(lambda count=count: len(queue._waiting) == count)
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]
    database.close()


def test_a_writer_waits_no_longer_than_its_time_and_leaves_the_queue(tmp_path: Path) -> None:
    """The one that gave up takes nobody's turn, and a thread never waits for itself."""
    database = open_database(f"sqlite:///{tmp_path / 'cloud-gestion.db'}")
    caught: list[Exception] = []

    def give_up() -> None:
        try:
            with database.session(patience_s=0.02):
                pass
        except StorageBusy as busy:
            caught.append(busy)

    with database.session():
        impatient = threading.Thread(target=give_up)
        impatient.start()
        impatient.join()
        with pytest.raises(RuntimeError), database.session():
            pass
    with database.session(patience_s=0.02):
        assert database.is_writing

    assert [type(error) for error in caught] == [StorageBusy]
    assert not database.is_writing
    database.close()


def read(database: Database) -> int:
    """Read something."""
    with database.read() as session:
        return len(session.exec(select(ThrottleRow)).all())


def write(database: Database) -> None:
    """Write something."""
    from cgcore.clock import utc_now

    with database.session() as session:
        session.add(ThrottleRow(key="k", last_failure=utc_now(), next_allowed=utc_now()))


def until(is_so: Any) -> None:
    """Wait for something that is about to come."""
    pause = threading.Event()
    while not is_so():
        pause.wait(0.02)
