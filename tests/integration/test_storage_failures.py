"""A database that is taken, silent, cut off or wrong: said in time, in words of ours, without a value of anybody's."""

from __future__ import annotations

import json
import logging
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from cgcore.errors import StorageBusy, StorageError
from cgcore.identity.actor import Role
from cgcore.storage.api_keys import ApiKeyReader
from cgcore.storage.database import Database, open_database
from cgcore.storage.identity import add_user
from cgcore.storage.obstacles import find_obstacle
from cgcore.storage.tables import ThrottleRow, UserRow
from cgcore.texts import lookup
from cgcore.web.api.handlers import problem_of
from cgcore.workbench import Workbench
from tests.servers.house import Furnished, furnish
from tests.servers.pages import open_page, sign_in, words
from tests.servers.postgres import PostgresServer
from tests.servers.product import ADMIN, PASSWORD, ROOT, product_environment, run_product

pytestmark = pytest.mark.usefixtures("by_migrations")

HASH = "$argon2id$v=19$S3cr3t"


@pytest.fixture
def on_postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    """A fresh database of PostgreSQL."""
    database = open_database(postgres_server.create_migrated_database("t_" + secrets.token_hex(6)))
    yield database
    database.close()


@pytest.fixture
def furnished(tmp_path: Path) -> Furnished:
    """An installation with two people, for a product of its own."""
    return furnish(tmp_path / "house")


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
    assert reader.find_all(("k",)).keys == {}
    codes: list[str] = []
    with postgres_server.frozen():
        for use in (lambda: read(on_postgres), lambda: write(on_postgres), lambda: reader.find_all(("k",))):
            with pytest.raises(StorageError) as caught:
                use()
            codes.append(caught.value.code)
        assert not on_postgres.is_reachable()

    assert codes == ["storage_away"] * 3
    until(on_postgres.is_reachable)
    write(on_postgres)
    assert reader.find_all(("k",)).keys == {}
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


def test_who_finds_every_connection_taken_is_told_so(on_postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is served as soon as one comes back; nobody waits for ever."""
    pool: Any = on_postgres.engine.pool
    patience = pool._timeout
    monkeypatch.setattr(pool, "_timeout", 0.05)
    with ExitStack() as taken:
        for _ in range(pool.size() + pool._max_overflow):
            taken.enter_context(on_postgres.engine.connect())
        with pytest.raises(StorageBusy):
            read(on_postgres)

    assert 0 < patience <= 10
    assert read(on_postgres) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("mysql://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("http://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("postgresql://user:S3cr3t@127.0.0.1:puerto/cloud", "storage_url"),
        ("postgresql+asyncpg://user:S3cr3t@127.0.0.1/cloud", "storage_url"),
        ("postgresql://user:S3cr3t@127.0.0.1/cloud?nada=1", "storage_url"),
        ("S3cr3t", "storage_url"),
        ("", "storage_url"),
        ("sqlite://", "storage_url"),
        ("sqlite:///", "storage_url"),
        ("sqlite:///:memory:", "storage_url"),
        ("sqlite:///file::memory:?uri=true&cache=shared", "storage_url"),
        ("sqlite:///file:S3cr3t?mode=memory&uri=true", "storage_url"),
    ],
)
def test_an_address_that_is_none_is_told_without_it(change: str, code: str) -> None:
    """Scheme, port, driver, option, or one in memory alone: one sentence, and never the password in it."""
    with pytest.raises(StorageError) as caught:
        open_database(change.replace("postgresql://", "postgresql+psycopg://"))

    assert caught.value.code == code
    assert "S3cr3t" not in "".join(traceback.format_exception(caught.value))
    assert code in lookup("cgcore.storage", "")


def test_a_server_that_says_nothing_ends_the_start() -> None:
    """A host that takes the connection and stays silent: the start ends with the reason, in its own time."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StorageError) as caught:
        open_database(f"postgresql+psycopg://user@127.0.0.1:{silent.getsockname()[1]}/cloud")

    assert caught.value.code == "storage_silent"


def test_a_wrong_password_is_told_without_it(postgres_server: PostgresServer) -> None:
    """At start, and under a product whose password is changed: a code and no password; the right one works."""
    url = postgres_server.guard(postgres_server.create_migrated_database("t_" + secrets.token_hex(6)), "S3cr3t-right")
    url = url.replace("postgresql://", "postgresql+psycopg://")
    running, wrong = open_database(url), url.replace("S3cr3t-right", "S3cr3t-wrong")
    with pytest.raises(StorageError) as caught:
        open_database(wrong)
    with running.session() as session:
        session.connection().exec_driver_sql(f"ALTER ROLE \"{running.url.database}\" PASSWORD 'S3cr3t-new'")
    running.engine.dispose()
    with pytest.raises(StorageError) as later:
        read(running)
    running.close()
    again = open_database(url.replace("S3cr3t-right", "S3cr3t-new"))

    assert (caught.value.code, later.value.code) == ("storage_login", "storage_away")
    for error in (caught.value, later.value):
        assert "S3cr3t" not in "".join(traceback.format_exception(error))
    assert read(again) == 0
    again.close()


def test_a_missing_database_ends_the_start(on_postgres: Database) -> None:
    """So does a name that the server does not know."""
    with pytest.raises(StorageError) as caught:
        open_database(on_postgres.url.set(database="missing").render_as_string(hide_password=False))

    assert caught.value.code == "storage_login"


@pytest.mark.parametrize(
    ("answer", "sslmode", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "", "storage_no_postgres"),
        (b"220 mail.tosma.es ESMTP\r\n", "require", "storage_no_postgres"),
        (b"", "", "storage_no_postgres"),
        (b"E\0\0\0\x1aSFATAL\0C28P01\0Mno\0\0", "", "storage_login"),
        (b"R\0\0\0\x08\0\0\0\x03", "", "storage_login"),
        (b"E\0\0\0\x1aSFATAL\0C53300\0Mno\0\0", "", "storage_busy"),
        (b"E\0\0\0\x1aSFATAL\0C57P03\0Mno\0\0", "", "storage_away"),
        (b"S", "verify-full", "storage_login"),
        (b"N", "require", "storage_no_tls"),
    ],
)
def test_what_is_in_the_way_of_postgresql_is_told(answer: bytes, sslmode: str, code: str) -> None:
    """Another program on that port, a wrong log-in, too many connections, a server that starts, or one without TLS."""
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            seen.append(connection.recv(4096))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: serve(server.accept()[0]))
        thread.start()
        port, query = server.getsockname()[1], f"?sslmode={sslmode}" if sslmode else ""
        found = find_obstacle(make_url(f"postgresql+psycopg://eva:S3cr3t@127.0.0.1:{port}/cloud{query}"))
        thread.join(20)

    assert found == code
    assert found in lookup("cgcore.storage", "")
    assert b"S3cr3t" not in seen[0]
    assert (b"eva" in seen[0]) == (not sslmode)


def test_a_port_where_nobody_listens_and_a_name_of_nobody_are_told() -> None:
    """And what cannot be looked at, a socket in the file system or a choice of servers, is told as ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    addresses = ["127.0.0.1", "no-hay.invalid", "", "/var/run/postgresql", "a.invalid,b.invalid"]
    found = [find_obstacle(URL.create("postgresql+psycopg", "eva", host=host, port=port)) for host in addresses]

    assert found == ["storage_refused", "storage_no_host", "storage_open", "storage_open", "storage_open"]


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


def test_a_page_tells_of_a_database_that_is_away_and_comes_back(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence and a way to try again instead of an error of ours; the next run is the page."""
    ana = sign_in(workbench, "ana", Role.ADMIN)
    page = open_page(monkeypatch, workbench, ana, "series_defaults.py")
    healthy, read = words(page), workbench.database.read

    def fail() -> NoReturn:
        raise StorageError("S3cr3t", code="storage_away")

    monkeypatch.setattr(workbench.database, "read", fail)
    away = page.run()
    told, exceptions = words(away), list(away.exception)
    monkeypatch.setattr(workbench.database, "read", read)
    back = away.button("page_storage_again").click().run()

    assert lookup("cgcore.storage", "")["storage_away"] in told
    assert (exceptions, "S3cr3t" in told) == ([], False)
    assert words(back) == healthy


@pytest.mark.parametrize(
    ("failure", "code"), [(StorageBusy("x"), "store_busy"), (StorageError("x"), "store_unavailable")]
)
def test_the_api_says_when_to_ask_again(failure: StorageError, code: str) -> None:
    """503 with ``Retry-After`` (RFC 9110, 10.2.3), and a code for each."""
    answer = problem_of(failure).to_response()

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert f'"code": "{code}"' in bytes(answer.body).decode()


def test_a_log_in_that_cannot_be_stored_is_told_so_and_health_answers(furnished: Furnished) -> None:
    """While another process writes: 503 with the name still typed, health as before; afterwards one is let in."""
    environment = product_environment(furnished.folder)
    with (
        run_product(furnished.folder, environment=environment) as product,
        httpx.Client(base_url=product.url) as client,
    ):
        form = {"username": "ana", "password": furnished.password, "next": "/"}
        other = sqlite3.connect(furnished.folder / "data" / "cloud-gestion.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        busy = client.post("/entrar", data=form, timeout=60)
        health = client.get("/salud", timeout=60)
        other.execute("ROLLBACK")
        other.close()
        inside = client.post("/entrar", data=form, timeout=60)

    assert (busy.status_code, int(busy.headers["retry-after"]) > 0) == (503, True)
    assert lookup("cgcore.storage", "")["storage_busy"] in busy.text
    assert 'value="ana"' in busy.text
    assert health.status_code == 200
    assert (inside.status_code, inside.headers["location"]) == (303, "/")


def test_the_product_outlives_a_frozen_server(tmp_path: Path, postgres_server: PostgresServer) -> None:
    """Log-in page, API and health answer 503 and say why while it is stopped, and as before when it goes on."""
    url = postgres_server.create_migrated_database("t_" + secrets.token_hex(6))
    environment = product_environment(tmp_path, CG_DATABASE_URL=url)
    form = {"username": ADMIN, "password": PASSWORD, "next": "/"}
    with (
        run_product(tmp_path, environment=environment) as product,
        httpx.Client(base_url=product.url, timeout=40) as client,
    ):
        client.post("/entrar", data=form)
        with postgres_server.frozen():
            away = [
                client.get("/salud"),
                client.get("/entrar"),
                client.get("/"),
                client.post("/entrar", data=form),
                client.get("/api/v1/me", headers={"X-API-Key": "cg_abcdefghijkl_" + "a" * 49}),
            ]
        until(lambda: client.get("/salud").status_code == 200)
        back = [client.get("/").status_code, client.post("/entrar", data=form).status_code]

    assert [answer.status_code for answer in away][:4] == [503] * 4
    assert all(lookup("cgcore.storage", "")["storage_away"] in answer.text for answer in away[1:4])
    assert away[4].status_code in (401, 503)
    assert back == [200, 303]


@pytest.mark.parametrize(
    "command",
    [
        ["check", "--json"],
        ["export"],
        ["user", "disable", "ana"],
        ["render", "quote", "--user", "ana"],
        ["vault", "move", "encrypted"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("url", ["postgresql://u:S3cr3t@127.0.0.1:1/cloud", "mysql://u:S3cr3t@127.0.0.1/cloud"])
def test_every_command_ends_with_a_sentence(tmp_path: Path, command: list[str], url: str) -> None:
    """Exit code 1, one sentence, no traceback and no password."""
    environment = product_environment(tmp_path, CG_DATABASE_URL=url)
    done = subprocess.run(
        [sys.executable, "-m", "cgcore", *command],
        env=environment,
        input="{}",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    said = done.stdout + done.stderr
    code = "storage_url" if url.startswith("mysql") else "storage_refused"

    assert done.returncode == 1
    assert "Traceback" not in said
    assert "S3cr3t" not in said
    assert command[0] == "check" or done.stderr.strip() == lookup("cgcore.storage", "")[code]
    assert command[0] != "check" or json.loads(done.stdout)[0]["detail"] == lookup("cgcore.storage", "")[code]
