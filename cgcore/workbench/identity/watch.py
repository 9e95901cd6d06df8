"""Notices log-ins that have ended in another process, for tabs that nobody touches.

Apart from :mod:`cgcore.workbench.identity.sessions`: that one ends them, this one looks who has.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from cgcore.errors import StorageError
from cgcore.storage.bell import Bell
from cgcore.storage.identity import list_ended

if TYPE_CHECKING:
    from cgcore.workbench.context import Context

__all__ = ["LogInWatch"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class LogInWatch:
    """A thread that looks once a second, and when PostgreSQL tells it, which of the log-ins in use here have ended.

    ``list_used`` names them, ``tell`` is told those that were revoked or whose user was closed; one that is idle or
    over is found by whoever uses it next.
    """

    def __init__(
        self, context: Context, list_used: Callable[[], Collection[str]], tell: Callable[[Iterable[str]], None]
    ) -> None:
        self._context, self._list_used, self._tell = context, list_used, tell
        self._bell = Bell(context.database)

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._watch, name="log-in-watch", daemon=True).start()

    def close(self) -> None:
        """End soon; waits for nothing."""
        self._bell.close()

    def look(self) -> None:
        """Look once, and tell."""
        used = self._list_used()
        if not used:
            return
        with self._context.database.read() as session:
            ended = list_ended(session, used)
        self._tell(ended)

    def _watch(self) -> None:
        while self._bell.wait(_LOOK_EVERY_S):
            try:
                self.look()
            except StorageError:
                pass  # away for a while: nobody gets in meanwhile either
            except Exception:
                # Whatever it is, the next look comes: without it tabs would stay open.
                _log.warning("the look for log-ins that have ended failed", exc_info=True)
        self._bell.drop()
