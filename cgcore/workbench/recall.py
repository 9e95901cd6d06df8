"""What was read, remembered while the database has not changed.

It stands alone as the one place that decides whether something remembered may be shown: to whom, and until when.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
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


_MISSING = object()


class Recall:
    """Reads of the present state of the database. Whoever acts is judged each time, by the rows and by the clock."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._stamp: Hashable = None
        self._present: dict[Actor, Presence] = {}
        self._values: dict[Hashable, Any] = {}

    def read(
        self,
        actor: Actor,
        name: Hashable,
        look: Callable[[Session, Actor], _Value],
        *,
        whose: Hashable = None,
        admin: bool = False,
    ) -> _Value:
        """Return what ``look`` finds for ``actor``, as the rows say now who that is; ``name`` stands for ``look``.

        ``whose`` says what of the actor the value depends on, where that is less than all: others share it then. The
        value is shared between callers and must not be changed. Raises :class:`LoginEnded`, and :class:`NotAllowed`
        where ``admin`` is asked for and they are no administrator any more.
        """
        # First the stamp: what is committed from here on makes it another one, so what is read is never older.
        stamp = self._database.stamps.take()
        key = (actor if whose is None else whose, name)
        presence, value = self._find(stamp, actor, key)
        if presence is None or value is _MISSING:
            presence, value = self._look(actor, presence, value, look, admin=admin)
            self._keep(stamp, actor, presence, {key: value})
        # The rows are those of now; the time that they allow may have passed meanwhile.
        if not presence.may_act(self._clock()):
            raise LoginEnded("the log-in has ended")
        if admin:
            presence.actor.require_admin()
        return value

    def note_presence(self, stamp: Hashable, actor: Actor, presence: Presence) -> None:
        """Remember who acts, as a statement has read it together with ``stamp``."""
        self._keep(stamp, actor, presence, {})

    def _find(self, stamp: Hashable, actor: Actor, key: Hashable) -> tuple[Presence | None, Any]:
        with self._lock:
            if stamp != self._stamp:
                return None, _MISSING
            return self._present.get(actor), self._values.get(key, _MISSING)

    def _look(
        self,
        actor: Actor,
        presence: Presence | None,
        value: Any,
        look: Callable[[Session, Actor], Any],
        *,
        admin: bool,
    ) -> tuple[Presence, Any]:
        """Return both; what is known already is not read again."""
        from cgcore.storage.identity import find_presence

        with self._database.read() as session:
            present = presence or find_presence(session, actor, self._clock())
            if present is None:
                raise LoginEnded("the log-in has ended")
            if admin:
                present.actor.require_admin()
            return present, (look(session, present.actor) if value is _MISSING else value)

    def _keep(self, stamp: Hashable, actor: Actor, presence: Presence, values: Mapping[Hashable, Any]) -> None:
        with self._lock:
            if stamp != self._stamp or max(len(self._present), len(self._values)) >= _KEPT:
                self._stamp, self._present, self._values = stamp, {}, {}
            self._present[actor] = presence
            self._values.update(values)
