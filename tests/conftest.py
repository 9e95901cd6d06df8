"""Fixtures that many tests share."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect, Engine
from sqlmodel import create_engine

from cgcore.identity import passwords
from cgcore.logs import RepeatLimit
from cgcore.settings import Settings, load_settings
from cgcore.storage import database as storage
from cgcore.storage import engine as storage_engine
from cgcore.storage.database import Database, open_database
from cgcore.workbench import Workbench

pytest_plugins = [
    # In the order of their imports: a plugin that another one has imported cannot be rewritten for assertions.
    "tests.servers.product",
    "tests.servers.browser",
    "tests.servers.fixtures",
    "tests.servers.postgres",
]


_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108 (pytest makes a folder of its own there)


def pytest_configure() -> None:
    """Let temporary folders lie in memory where there is room: an ordinary disk takes milliseconds for each commit."""
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``CG_*`` variable of the machine reaches a test, and no test reaches the machine's keyring."""
    for name in list(os.environ):
        if name.startswith("CG_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@pytest.fixture(autouse=True)
def _every_record_is_seen() -> None:
    """A server that has run in this process counts what repeats, before the handlers of the tests too."""
    for handler in logging.getLogger().handlers:
        for limit in [each for each in handler.filters if isinstance(each, RepeatLimit)]:
            handler.removeFilter(limit)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings over temporary folders, SQLite."""
    return make_settings(tmp_path)


def make_settings(folder: Path, **overrides: Any) -> Settings:
    """Return settings that touch nothing outside ``folder``."""
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "config_dir": folder / "config",
        "mail_allow_private": "127.0.0.0/8,::1/128",
    }
    return load_settings(**{**values, **overrides})


@pytest.fixture(scope="session", autouse=True)
def _components_looked_for_once() -> Iterator[None]:
    """Each ``AppTest`` reads the metadata of every installed package for components; they stay the same."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


_PASSWORD_COST = {"_PASSES": passwords._PASSES, "_MEMORY_KIB": passwords._MEMORY_KIB}


@pytest.fixture(scope="session", autouse=True)
def _passwords_cost_little() -> Iterator[None]:
    """Each log-in hashes several times, and what that costs is the subject of no test but one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_PASSES", 1)
        patch.setattr(passwords, "_MEMORY_KIB", 8)  # the least that argon2 takes
        yield


@pytest.fixture
def full_password_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as the product does."""
    for name, cost in _PASSWORD_COST.items():
        monkeypatch.setattr(passwords, name, cost)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of SQLite as the migrations make it; they run once, the rest are copies."""
    file = tmp_path_factory.mktemp("model") / "cloud-gestion.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_migrate", _MIGRATE)
        open_database(f"sqlite:///{file}").close()
    return file


_MIGRATE = storage._migrate


@pytest.fixture(scope="session", autouse=True)
def _new_databases_are_copies(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever opens a new database of SQLite in this process is given a copy of :func:`migrated_file`."""

    def fill(database: Database) -> None:
        if database.path is None or database.stored_revision():
            _MIGRATE(database)
            return
        with closing(database.engine.raw_connection()) as raw:
            target: Any = raw.driver_connection
            with closing(sqlite3.connect(request.getfixturevalue("migrated_file"))) as model:
                model.backup(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_migrate", fill)
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_are_compiled_once() -> Iterator[None]:
    """Each engine compiles every statement anew, a seventh of what most tests cost; here they share what is compiled.

    The key of what is kept holds the dialect, and those of one kind are alike here.
    """
    kept: dict[type[Dialect], Any] = {}

    def create(*arguments: Any, **options: Any) -> Engine:
        engine = create_engine(*arguments, **options)
        private: Any = engine
        private._compiled_cache = kept.setdefault(type(engine.dialect), private._compiled_cache)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage_engine, "create_engine", create)
        for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
            patch.setattr(dialect, "__eq__", lambda one, other: type(one) is type(other))
            patch.setattr(dialect, "__hash__", lambda one: hash(type(one)))
        yield


@pytest.fixture
def by_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new database is made by the migrations, as the product does."""
    monkeypatch.setattr(storage, "_migrate", _MIGRATE)


def place_database(model: Path, file: Path) -> str:
    """Copy ``model`` to ``file`` and return the URL."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(model, file)
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh, migrated database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_migrated_database("t_" + secrets.token_hex(6))
    else:
        url = place_database(request.getfixturevalue("migrated_file"), tmp_path / "data" / "cloud-gestion.db")
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table; the test runs once on SQLite and once on PostgreSQL."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database("t_" + secrets.token_hex(6))
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def workbench(settings: Settings, migrated_file: Path) -> Iterator[Workbench]:
    """A workbench over SQLite in a temporary folder."""
    workbench = Workbench(
        settings, open_database(place_database(migrated_file, settings.data_dir / "cloud-gestion.db"))
    )
    yield workbench
    workbench.close()


@pytest.fixture
def workbench_on_each(settings: Settings, database: Database) -> Iterator[Workbench]:
    """A workbench over each kind of database."""
    workbench = Workbench(settings, database)
    yield workbench
    workbench.close()
