"""What was read, remembered while the database has not changed.

It stands alone as the one place that decides whether something remembered may be shown: to whom, and until when.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cgcore.errors import LoginEnded
from cgcore.identity.actor import Actor

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.storage.database import Database
    from cgcore.storage.identity import Presence

__all__ = ["Recall"]

_Value = TypeVar("_Value")

# Of one state of the database; when it changes they all go.
_KEPT = 500


@dataclass(frozen=True, slots=True)
class _Found:
    presence: Presence
    value: Any


class Recall:
    """Reads of the present state of the database. Whoever acts is judged each time, by the rows and by the clock."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._stamp: Hashable = None
        self._found: dict[Hashable, _Found] = {}

    def read(
        self,
        actor: Actor,
        name: Hashable,
        look: Callable[[Session, Actor], _Value],
        *,
        admin: bool = False,
    ) -> _Value:
        """Return what ``look`` finds for ``actor``, as the rows say now who that is; ``name`` stands for ``look``.

        The value is shared between callers and must not be changed. Raises :class:`LoginEnded`, and
        :class:`NotAllowed` where ``admin`` is asked for and they are no administrator any more.
        """
        # First the stamp: what is committed from here on makes it another one, so what is read is never older.
        stamp = self._database.stamps.take()
        key = (actor, name)
        found = self._find(stamp, key)
        if found is None:
            found = self._look(actor, look, admin=admin)
            self._keep(stamp, key, found)
        # The rows are those of now; the time that they allow may have passed meanwhile.
        if not found.presence.may_act(self._clock()):
            raise LoginEnded("the log-in has ended")
        if admin:
            found.presence.actor.require_admin()
        return found.value

    def _find(self, stamp: Hashable, key: Hashable) -> _Found | None:
        with self._lock:
            return self._found.get(key) if stamp == self._stamp else None

    def _look(self, actor: Actor, look: Callable[[Session, Actor], Any], *, admin: bool) -> _Found:
        from cgcore.storage.identity import find_presence

        with self._database.read() as session:
            presence = find_presence(session, actor, self._clock())
            if presence is None:
                raise LoginEnded("the log-in has ended")
            if admin:
                presence.actor.require_admin()
            return _Found(presence, look(session, presence.actor))

    def _keep(self, stamp: Hashable, key: Hashable, found: _Found) -> None:
        with self._lock:
            if stamp != self._stamp or len(self._found) >= _KEPT:
                self._stamp, self._found = stamp, {}
            self._found[key] = found
