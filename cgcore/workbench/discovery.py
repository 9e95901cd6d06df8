"""Discovery of a person's mail servers; stands alone because it opens connections and stores nothing."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from cgcore.errors import Throttled
from cgcore.identity.actor import Actor

if TYPE_CHECKING:
    from cgcore.mail.discovery.result import Discovery
    from cgcore.mail.preset import MailPreset
    from cgcore.mail.request import ProbeEnvironment
    from cgcore.settings import Settings
    from cgcore.workbench.context import Context

__all__ = ["DISCOVERIES_PER_MINUTE", "DiscoverySection", "read_presets"]

DISCOVERIES_PER_MINUTE = 5
_MINUTE = 60.0


class DiscoverySection:
    """Use cases of «Configurar mi correo» that need no password."""

    def __init__(self, context: Context, *, environment: Callable[[], ProbeEnvironment]) -> None:
        self._context, self._environment = context, environment
        self._lock = threading.Lock()
        self._begun: dict[int, deque[float]] = {}

    def discover(self, actor: Actor, address: str) -> Discovery:
        """Return the servers of an address, proven live; it takes up to eight seconds. Raises like :meth:`prepare`."""
        return self.prepare(actor, address)()

    def prepare(self, actor: Actor, address: str) -> Callable[[], Discovery]:
        """Return what finds the servers of an address when it is called, in whichever thread.

        Raises :class:`Throttled` for more than :data:`DISCOVERIES_PER_MINUTE` of one person: whoever names a domain
        names the hosts that are connected to.
        """
        from cgcore.mail.discovery.discover import discover
        from cgcore.storage.mail_presets import list_presets

        with self._context.read_as(actor) as (session, actor):
            user, presets = actor.user_id, list_presets(session)
        self._count(user)
        return lambda: discover(address, self._environment(), presets=presets)

    def _count(self, user: int) -> None:
        now = self._context.clock().timestamp()
        with self._lock:
            begun = self._begun.setdefault(user, deque())
            while begun and begun[0] <= now - _MINUTE:
                begun.popleft()
            if len(begun) >= DISCOVERIES_PER_MINUTE:
                raise Throttled(begun[0] + _MINUTE - now)
            begun.append(now)


def read_presets(settings: Settings) -> Sequence[MailPreset] | None:
    """Return the company's mail servers in the database of ``settings``, for who discovers without a workbench.

    Looks, and makes nothing: None where there is no database, one of another revision, or none that answers.
    """
    from cgcore.storage.revision import HEAD_REVISION, sqlite_path

    file = sqlite_path(settings.resolved_database_url())
    if file is not None and not (file.is_file() and file.stat().st_size):
        return None
    from sqlalchemy.exc import SQLAlchemyError

    from cgcore.errors import StorageError
    from cgcore.storage.database import Database
    from cgcore.storage.mail_presets import list_presets

    with suppress(StorageError, SQLAlchemyError, OSError), closing(Database(settings.resolved_database_url())) as there:
        if there.stored_revision() == HEAD_REVISION:
            with there.read() as session:
                return list_presets(session)
    return None
