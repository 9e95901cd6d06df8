"""What the use cases of identity share: the workbench, the throttled check of a password, and who is told of an end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from cgcore.errors import Throttled
from cgcore.identity.passwords import PasswordHasher
from cgcore.identity.throttle import account_key, source_key
from cgcore.storage.identity import Attempt, find_user_by_key, forgive, reserve, save_password_hash
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    from cgcore.storage.tables import UserRow
    from cgcore.workbench.core import Workbench

__all__ = ["IdentityPart", "SessionListener"]

SessionListener = Callable[[Iterable[str]], None]


class IdentityPart:
    """The ground of each group of use cases; ``hasher`` is handed in by tests that count hashes."""

    def __init__(self, workbench: Workbench, *, hasher: PasswordHasher | None = None) -> None:
        self._workbench = workbench
        self._database = workbench.database
        self._hasher = hasher or PasswordHasher()
        self._listeners: list[SessionListener] = []

    def on_sessions_end(self, listener: SessionListener) -> None:
        """Have ``listener`` told the hashes of log-ins that end before their time, from whatever thread ends them."""
        self._listeners.append(listener)

    def _now(self) -> datetime:
        return self._workbench.clock()

    def tell_ended(self, session_hashes: Iterable[str]) -> None:
        """Tell whoever listens that these log-ins have ended, once the transaction that ended them stands."""
        ended = list(session_hashes)
        for listener in self._listeners if ended else ():
            listener(ended)

    def _try_password(self, username_key: str, password: Secret, ip: str) -> UserRow | None:
        """Return the active user whose password it is, else None after the same work.

        Raises :class:`Throttled` while the account or the source has to wait; nothing is checked then.
        """
        account, source = account_key(username_key), source_key(ip)
        now = self._now()
        with self._database.session() as session:
            outcome = reserve(session, [account, *([source] if source else [])], now)
            user = find_user_by_key(session, username_key)
        if isinstance(outcome, datetime):
            raise Throttled((outcome - now).total_seconds())
        check = self._hasher.check(user.password_hash if user else "", password)
        if user is None or not check.ok or not user.active:
            return None
        self._accept(user, outcome, account.name, self._hasher.make_hash(password) if check.outdated else "")
        return user

    def _accept(self, user: UserRow, attempts: list[Attempt], account: str, new_hash: str) -> None:
        with self._database.session() as session:
            forgive(session, attempts, account=account)
            if new_hash:
                save_password_hash(session, user.id or 0, new_hash, replaces=user.password_hash)
