"""The throttled check of a password, shared by log-ins, grants and changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cgcore.errors import Throttled
from cgcore.identity.passwords import PasswordHasher
from cgcore.identity.throttle import account_key, source_key
from cgcore.storage.identity import find_user_by_key, lock_user, save_password_hash
from cgcore.storage.throttle import forgive, reserve
from cgcore.vault.secret import Secret

if TYPE_CHECKING:
    from sqlmodel import Session

    from cgcore.storage.tables import UserRow
    from cgcore.workbench.context import Context

__all__ = ["Passwords", "Verified"]


@dataclass(frozen=True, slots=True)
class Verified:
    """A password that was checked: whose it was then, and against which hash."""

    user_id: int
    hashes: frozenset[str]
    password: Secret


class Passwords:
    """Checks and hashes passwords; ``hasher`` is handed in by tests that count hashes."""

    def __init__(self, context: Context, hasher: PasswordHasher | None = None) -> None:
        self._context = context
        self._hasher = hasher or PasswordHasher()

    def make_hash(self, password: Secret) -> str:
        """Return the argon2id hash of ``password``."""
        return self._hasher.make_hash(password)

    def check(self, username_key: str, password: Secret, ip: str) -> Verified | None:
        """Return whose password it is, an active user's, else None after the same work.

        Raises :class:`Throttled` while the account or the source has to wait; nothing is checked then. Whoever lets
        somebody in asks :meth:`confirm` in the transaction that does it.
        """
        account, source = account_key(username_key), source_key(ip)
        now = self._context.clock()
        with self._context.database.session() as session:
            outcome = reserve(session, [account, *([source] if source else [])], now)
            user = find_user_by_key(session, username_key)
        if isinstance(outcome, datetime):
            raise Throttled((outcome - now).total_seconds())
        check = self._hasher.check(user.password_hash if user else "", password)
        if user is None or not check.ok or not user.active:
            return None
        renewed = self._hasher.make_hash(password) if check.outdated else ""
        with self._context.database.session() as session:
            forgive(session, outcome, account=account.name)
            if renewed and not save_password_hash(session, user.id or 0, renewed, replaces=user.password_hash):
                renewed = ""
        return Verified(user.id or 0, frozenset(filter(None, (user.password_hash, renewed))), password)

    def confirm(self, session: Session, verified: Verified) -> UserRow | None:
        """Return the user, locked, if it is still their password and they are active; None if either has changed.

        A hash takes a while, and between the check and what it opens somebody may have set another password.
        """
        user = lock_user(session, verified.user_id)
        if user is None or not user.active:
            return None
        # Another log-in may have made the same password's hash anew meanwhile.
        same = user.password_hash in verified.hashes or self._hasher.check(user.password_hash, verified.password).ok
        return user if same else None
