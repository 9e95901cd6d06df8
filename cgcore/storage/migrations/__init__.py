"""Alembic migrations, applied at start; imported only when the stored revision differs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from cgcore.errors import StorageError
from cgcore.storage import bounce_tables, mail_tables, oauth_tables, outbox_tables
from cgcore.storage.engine import set_patience
from cgcore.storage.tables import metadata

__all__ = ["script_directory", "upgrade_to_head"]

_TABLES = (bounce_tables, mail_tables, oauth_tables, outbox_tables)  # with them every table is known

_LOCK_ID = 0x6367_6373  # any constant: two starting processes must agree on it
# A change of tables takes longer than any page may wait, and may wait for another process that starts.
_STATEMENT_S = 600
_LOCK_S = 60


def script_directory() -> ScriptDirectory:
    """Return Alembic's view of the migration files beside this module."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return ScriptDirectory.from_config(config)


def upgrade_to_head(engine: Engine, *, until: str = "head") -> None:
    """Run every migration that the database lacks, in one transaction; two processes may start at once.

    ``until`` names the last one to run.

    Raises :class:`StorageError` when the database stands at a revision this program does not know.
    """
    script = script_directory()
    known = {revision.revision for revision in script.walk_revisions()}
    with engine.connect() as connection, _with_time(connection):
        _take_lock(connection, sqlite=engine.dialect.name == "sqlite")
        stored = database_revision(connection)
        if stored and stored not in known:
            raise StorageError("the database was written by a newer version", code="storage_newer")
        _run(connection, script, until)
        connection.commit()


def database_revision(connection: Connection) -> str:
    """Return the revision stored behind ``connection``, ``""`` for a new database."""
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision() or ""


@contextmanager
def _with_time(connection: Connection) -> Generator[None]:
    driver = connection.connection.driver_connection
    before = set_patience(driver, _STATEMENT_S + _LOCK_S)
    try:
        if connection.dialect.name == "postgresql":
            for name, seconds in (("statement_timeout", _STATEMENT_S), ("lock_timeout", _LOCK_S)):
                connection.execute(text(f"SET LOCAL {name} = '{seconds}s'"))
        yield
    finally:
        set_patience(driver, before)


def _take_lock(connection: Connection, *, sqlite: bool) -> None:
    if sqlite:
        # _begin has opened a deferred transaction; end it, and hold the write lock from here on.
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})


def _run(connection: Connection, script: ScriptDirectory, until: str) -> None:
    def steps(revision: object, _context: object) -> list[object]:
        return script._upgrade_revs(until, revision)  # type: ignore[arg-type]

    with EnvironmentContext(Config(), script, fn=steps, as_sql=False) as environment:  # type: ignore[arg-type]
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        environment.run_migrations()
