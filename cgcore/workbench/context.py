"""What every section stands on: settings, clock, database, vault and activity log."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from cgcore.clock import utc_now
from cgcore.errors import LoginEnded
from cgcore.once import once
from cgcore.settings import Settings
from cgcore.storage.revision import is_current, sqlite_path

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.identity.actor import Actor
    from cgcore.metrics import Metrics
    from cgcore.storage.activity import ActivityLog
    from cgcore.storage.database import Database
    from cgcore.storage.identity import Presence
    from cgcore.vault import Vault
    from cgcore.workbench.recall import Recall

__all__ = ["VAULT_FOLDER", "VAULT_RECORDS", "Context", "has_vault_records"]

_Value = TypeVar("_Value")

VAULT_FOLDER, VAULT_RECORDS = "vault", "*.rec"
"""Where the vault of a data folder keeps its records, and their names."""

# Imports stand inside the properties on purpose: until ``/salud`` answers, little but Streamlit is loaded.


@dataclass(frozen=True)
class Context:
    """The ground of the sections; what is heavy of it opens at its first use.

    ``clock`` returns the present moment in UTC. A section takes the context and the neighbours that it names.
    """

    settings: Settings
    clock: Callable[[], datetime] = utc_now

    @once
    def database(self) -> Database:
        """The database, migrated. Raises :class:`cgcore.errors.StorageError`."""
        from cgcore.storage.database import open_database

        settings = self.settings
        return open_database(settings.resolved_database_url(), has_past=lambda: has_vault_records(settings))

    @once
    def vault(self) -> Vault:
        """Where secrets live."""
        from cgcore.workbench.secrets import open_vault

        return open_vault(self.settings, self.database)

    @once
    def activity(self) -> ActivityLog:
        """The append-only activity log."""
        from cgcore.storage.activity import ActivityLog

        return ActivityLog(self.database, lambda: self.clock())

    @once
    def metrics(self) -> Metrics:
        """What this process has counted."""
        from cgcore.metrics import Metrics

        return Metrics()

    def is_database_reachable(self) -> bool:
        """Return whether the database answers; before its first use that is asked without loading SQLAlchemy."""
        if self.is_open("database"):
            return self.database.is_reachable()
        return is_current(self.settings.resolved_database_url())

    @contextmanager
    def read_as(self, actor: Actor, *, admin: bool = False) -> Generator[tuple[Session, Actor]]:
        """Yield a session that only reads, and ``actor`` as the rows say now.

        Who acts may have been looked up long ago: in a page that stayed open, a dialog, a download that is still to
        run. So no use case trusts that. Raises :class:`LoginEnded`, and :class:`NotAllowed` where ``admin`` is asked
        for and they are no administrator any more.
        """
        with self.database.read() as session:
            yield session, self._present(session, actor, admin=admin, lock=False)

    def recall(
        self,
        actor: Actor,
        name: Hashable,
        look: Callable[[Session, Actor], _Value],
        *,
        whose: Hashable = None,
        admin: bool = False,
    ) -> _Value:
        """Return what ``look`` finds in a session of :meth:`read_as`, or has found while nothing was changed since.

        ``name`` stands for ``look`` and what it depends on, ``whose`` for what of the actor it depends on, where that
        is not all. The value is shared: nobody changes it. What the answer depends on besides the database does not
        belong in it. Raises as :meth:`read_as`.
        """
        return self._recall.read(actor, name, look, whose=whose, admin=admin)

    def note_presence(self, stamp: Hashable, actor: Actor, presence: Presence) -> None:
        """Let :meth:`recall` know who ``actor`` is, as a statement has read it together with ``stamp``."""
        self._recall.note_presence(stamp, actor, presence)

    @contextmanager
    def write_as(
        self, actor: Actor, *, admin: bool = False, exclusive: bool = False
    ) -> Generator[tuple[Session, Actor]]:
        """Yield a session that may write, and ``actor`` as the rows say now; their account stays so until its end.

        With ``exclusive`` it is the only one that changes company, series or other people's accounts. Raises as
        :meth:`read_as`.
        """
        from cgcore.storage.database import take_change_lock

        with self.database.session() as session:
            if exclusive:
                take_change_lock(session)
            yield session, self._present(session, actor, admin=admin, lock=True)

    @once
    def _recall(self) -> Recall:
        from cgcore.workbench.recall import Recall

        return Recall(self.database, lambda: self.clock())

    def require_present(self, actor: Actor) -> None:
        """Raise :class:`LoginEnded` unless ``actor`` may act now; for what needs nothing else of the database."""
        with self.read_as(actor):
            pass

    def _present(self, session: Session, actor: Actor, *, admin: bool, lock: bool) -> Actor:
        from cgcore.storage.identity import find_present

        present = find_present(session, actor, self.clock(), lock=lock)
        if present is None:
            raise LoginEnded("the log-in has ended")
        if admin:
            present.require_admin()
        return present

    def is_open(self, part: str) -> bool:
        """Return whether ``database``, ``vault`` or ``activity`` has been used yet."""
        return part in vars(self)


def has_vault_records(settings: Settings) -> bool:
    """Return whether the vault's folder holds records: every start makes one, and after its database.

    With PostgreSQL the records are in the database itself, and are restored and lost with it.
    """
    if sqlite_path(settings.resolved_database_url()) is None:
        return False
    return any((settings.data_dir / VAULT_FOLDER).glob(VAULT_RECORDS))
