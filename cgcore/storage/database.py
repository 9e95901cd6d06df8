"""The database: engine, transactions, and the check that it stands at this program's revision."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import configure_mappers
from sqlmodel import Session

from cgcore.errors import StorageBusy, StorageError
from cgcore.storage import bounce_tables, mail_tables, oauth_tables, outbox_tables, tables
from cgcore.storage.changes import build_stamps, drop_carried_stamp
from cgcore.storage.engine import WRITE_PATIENCE_S, build_engine
from cgcore.storage.failures import find_failure, translated
from cgcore.storage.obstacles import find_obstacle
from cgcore.storage.revision import HEAD_REVISION, TOUCH, try_headroom

_log = logging.getLogger(__name__)

__all__ = ["TABLE_MODULES", "Database", "WriterQueue", "find_opening_failure", "open_database", "take_change_lock"]

TABLE_MODULES = (tables, mail_tables, oauth_tables, outbox_tables, bounce_tables)
"""Every module that declares tables: all are there before the first statement. One that was declared in a thread while
another thread's first statement connects those that there are would break that one.
"""

_KINDS = ("sqlite", "postgresql")
_TOUCH_S = 0.5
_NOTE_S = 0.5
_TOLD_EVERY_S = 60.0


class Database:
    """One engine and its transactions; SQLite in WAL mode, or PostgreSQL.

    Two ways in, each one transaction that commits at the end of the ``with`` block and rolls back on any exception:
    :meth:`session` for changes and :meth:`read` for looking. Rows stay readable after the block.
    """

    def __init__(self, url: str) -> None:
        configure_mappers()
        self.url: URL = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _build(self.url)
        self.stamps = build_stamps(self.engine, self.path)
        self._writers = WriterQueue()
        self._mine = threading.local()
        self._told_until: dict[str, float] = {}

    @contextmanager
    def session(self, *, patience_s: float = WRITE_PATIENCE_S) -> Generator[Session]:
        """Yield a session that may write. Nothing is computed in it: whatever takes time stands before the block.

        On SQLite it holds the write lock from the start: a transaction that reads first and writes later would
        fail at once, without waiting, when another one has written in between. Writers of this process take turns.
        Raises :class:`cgcore.errors.StorageBusy` after ``patience_s``, :class:`StorageError` where the database fails.
        """
        drop_carried_stamp()
        opened = Session(self.engine, expire_on_commit=False)
        with translated(), self._turn(patience_s) as left_s, opened as session, session.begin():
            session.connection(execution_options={"cg_writes": left_s})
            yield session

    def note(self, what: str, work: Callable[[Session], object]) -> bool:
        """Store what nobody waits for (when somebody was last seen, who read what); return whether it was stored.

        A full disk, a database that only reads or is taken by others keeps nobody from reading; ``what`` is told to
        the log, once a minute.
        """
        try:
            with self.session(patience_s=_NOTE_S) as session:
                work(session)
        except StorageError as failure:
            now = time.monotonic()
            if now >= self._told_until.get(what, 0.0):
                self._told_until[what] = now + _TOLD_EVERY_S
                _log.warning("not noted: %s (%s)", what, failure.code)
            return False
        return True

    @contextmanager
    def read(self) -> Generator[Session]:
        """Yield a session that only reads one state of the data, and waits for no writer. Raises as :meth:`session`."""
        with translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @property
    def path(self) -> Path | None:
        """The file of SQLite, None for any other database."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @property
    def is_writing(self) -> bool:
        """Whether this thread is inside :meth:`session`."""
        return getattr(self._mine, "writing", False)

    def stored_revision(self) -> str:
        """Return the revision the database stands at, ``""`` for a new one."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return ""
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")

    def is_reachable(self) -> bool:
        """Return whether a trivial query is answered."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def try_writing(self) -> str:
        """Change nothing, down to the disk; return the code of what is in the way, ``""`` where nothing is."""
        try:
            with self.session(patience_s=_TOUCH_S) as session:
                if not self.is_sqlite:
                    session.connection().execute(text(f"SET LOCAL lock_timeout = '{round(_TOUCH_S * 1000)}ms'"))
                session.connection().execute(text(TOUCH))
        except StorageBusy:
            # Somebody is writing: so it can be written.
            return ""
        except StorageError as failure:
            return failure.code
        except SQLAlchemyError:
            return "storage_away"
        return ""

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.stamps.close()
        self.engine.dispose()

    @contextmanager
    def _turn(self, patience_s: float) -> Generator[float]:
        if not self.is_sqlite:
            yield from self._marked(patience_s)
            return
        with self._writers.turn(patience_s) as left_s:
            yield from self._marked(left_s)

    def _marked(self, left_s: float) -> Generator[float]:
        before, self._mine.writing = self.is_writing, True
        try:
            yield left_s
        finally:
            self._mine.writing = before


def open_database(url: str, *, has_past: Callable[[], bool] = lambda: False) -> Database:
    """Open the database behind ``url`` and bring it to this program's revision.

    ``has_past`` is asked where there is none yet, or an empty one: whether something is there that only an earlier
    database can have left. Raises :class:`StorageError` when the address is none, it cannot be reached, was written by
    a newer program, is damaged, or has a past (``storage_lost``; then nothing is made).
    """
    database = Database(url)
    path = database.path
    if path is not None:
        if not (path.exists() and path.stat().st_size) and has_past():
            raise StorageError("an earlier database is missing", code="storage_lost")
        _make_folder(path.parent)
    try:
        stored = database.stored_revision()
        if not stored and has_past():
            raise StorageError("an earlier database is missing", code="storage_lost")
        if stored != HEAD_REVISION:
            _migrate(database)
    except DBAPIError as error:
        raise find_opening_failure(database, error) from None
    return database


def find_opening_failure(database: Database, error: SQLAlchemyError) -> StorageError:
    """Return why ``database`` could not be opened: what is in the way of a server, or wrong with the folder.

    The driver's text may hold the password of the URL, so it goes no further than the cause's class.
    """
    cause, code = getattr(error, "orig", None), "storage_open"
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    failure = find_failure(error) if isinstance(error, DBAPIError) else None
    if failure is not None and failure.code != "storage_away":
        code = failure.code
    elif database.path is not None:
        code = _find_place_obstacle(database.path.parent)
    elif not getattr(cause, "sqlstate", None):
        # An option that the driver does not know is no matter of the server.
        code = "storage_url" if "ProgrammingError" in kinds else find_obstacle(database.url)
    return StorageError(f"cannot open the database ({type(cause).__name__})", code=code)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        code = _find_place_obstacle(folder)
        raise StorageError(f"the folder of the database ({type(error).__name__})", code=code) from None


def _find_place_obstacle(folder: Path) -> str:
    existing = next(place for place in (folder, *folder.parents) if place.is_dir())
    code = try_headroom(existing)
    return code if code in ("storage_full", "storage_readonly") else "storage_open"


def _migrate(database: Database) -> None:
    from cgcore.storage.migrations import upgrade_to_head

    upgrade_to_head(database.engine)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        known = parsed.get_backend_name() in _KINDS and parsed.get_driver_name() in ("pysqlite", "psycopg")
    except (SQLAlchemyError, ValueError):
        known, parsed = False, None
    if parsed is None or not known or _is_in_memory(parsed):
        raise StorageError("the address of the database is none that this program knows", code="storage_url")
    return parsed


def _is_in_memory(url: URL) -> bool:
    """Whether all would be gone with the process: SQLite without a file, by each of its spellings."""
    name = url.database or ""
    return url.get_backend_name() == "sqlite" and (
        not name or ":memory:" in name or "mode=memory" in name or url.query.get("mode") == "memory"
    )


def _build(url: URL) -> Engine:
    try:
        return build_engine(url)
    except (SQLAlchemyError, ValueError, TypeError, ImportError) as error:
        raise StorageError(f"the address of the database ({type(error).__name__})", code="storage_url") from None


_LOCK_ID = 0x6367_6164  # any constant, not the one of the migrations


def take_change_lock(session: Session) -> None:
    """Make this transaction the only one that changes company, series or users until it ends.

    On SQLite a writing session is alone from its start; PostgreSQL is asked for a lock of that meaning.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})


class WriterQueue:
    """A fair lock: SQLite takes one writer at a time, and lets whoever asks at the right moment in, for ever.

    A thread that writes already and asks again would wait for itself; it is told so at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._owner: int | None = None

    @contextmanager
    def turn(self, patience_s: float) -> Generator[float]:
        """Hold the lock, and yield the seconds that are left; :class:`StorageBusy` when the turn does not come."""
        began = time.monotonic()
        self._enter(patience_s)
        try:
            yield max(0.0, patience_s - (time.monotonic() - began))
        finally:
            self._leave()

    def _enter(self, patience_s: float) -> None:
        mine = threading.Event()
        with self._lock:
            if self._owner == threading.get_ident():
                raise RuntimeError("a transaction that writes is open in this thread")
            if self._owner is None and not self._waiting:
                self._owner = threading.get_ident()
                return
            self._waiting.append(mine)
        if not mine.wait(patience_s):
            with self._lock:
                if not mine.is_set():
                    self._waiting.remove(mine)
                    raise StorageBusy("other changes are being stored")
        with self._lock:
            self._owner = threading.get_ident()

    def _leave(self) -> None:
        with self._lock:
            # A thread that is waited for is named by its event; it writes its own name once it wakes.
            self._owner = -1 if self._waiting else None
            if self._waiting:
                self._waiting.popleft().set()
