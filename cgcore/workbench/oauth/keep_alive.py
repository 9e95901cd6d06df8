"""Renews connections that nobody uses: an unused refresh token ends after months, at Microsoft after 90 days.

Stands alone: the one part that acts by itself, in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cgcore.clock import has_happened
from cgcore.errors import CloudGestionError
from cgcore.mail.request import TokenRefused
from cgcore.storage import oauth as store
from cgcore.workbench.oauth.grants import GrantState

if TYPE_CHECKING:
    from cgcore.workbench.context import Context
    from cgcore.workbench.oauth.tokens import AccessTokens

__all__ = ["KeepAlive"]

_log = logging.getLogger(__name__)

_IDLE_FOR = timedelta(days=7)
_FIRST_S, _EVERY_S = 120.0, 3600.0
_FIRST_REST, _LONGEST = timedelta(hours=1), timedelta(days=1)
_CLOSE_S = 6.0


@dataclass(frozen=True, slots=True)
class _Rest:
    """Until when a connection that was refused is left alone, for how long that is, and who was asked with what."""

    until: datetime
    length: timedelta
    asked: tuple[datetime, int, int]


class KeepAlive:
    """One thread; ``start`` begins it, once. What fails for good is noted by the renewal itself."""

    def __init__(self, context: Context, tokens: AccessTokens) -> None:
        self._context, self._tokens = context, tokens
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._rests: dict[int, _Rest] = {}

    def start(self) -> None:
        """Begin to look every hour."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="oauth-keep-alive", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop, and wait a moment for a renewal that is under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def work_once(self) -> None:
        """Renew each connection that has not been renewed for a week, and may still be.

        One that waits for an administrator is tried too: nobody else notices there that a permission was given. After
        each refusal it is left alone for longer, a day at most; a registration that was saved is tried at once.
        """
        now = self._context.clock()
        idle = self._find_idle(now)
        self._rests = {user_id: rest for user_id, rest in self._rests.items() if user_id in idle}
        for user_id, asked in idle.items():
            if self._stopping.is_set():
                return
            rest = self._rests.get(user_id)
            if rest is not None and rest.asked == asked and now < rest.until <= now + _LONGEST:
                continue
            try:
                self._tokens.renew(user_id)
            except TokenRefused as refused:
                _log.warning("a connection could not be kept alive (%s)", refused.key)
                length = min(rest.length * 2, _LONGEST) if rest is not None and rest.asked == asked else _FIRST_REST
                self._rests[user_id] = _Rest(now + length, length, asked)

    def _find_idle(self, now: datetime) -> dict[int, tuple[datetime, int, int]]:
        """Return whose connection is to be renewed: since when it stands, its fence, the version of its client."""
        with self._context.database.read() as session:
            versions = {client.provider.value: client.version for client in store.list_clients(session)}
            return {
                row.user_id: (row.obtained, row.fence, versions.get(row.provider, 0))
                for row in store.list_grants(session)
                if row.state != GrantState.NEEDS_LOGIN
                and not (has_happened(row.refreshed, now) and now - row.refreshed < _IDLE_FOR)
            }

    def _run(self) -> None:
        wait = _FIRST_S
        while not self._stopping.wait(wait):
            wait = _EVERY_S
            try:
                self.work_once()
            except CloudGestionError as error:
                _log.warning("connections could not be kept alive (%s)", error.code)
            except Exception:
                _log.exception("connections could not be kept alive")
