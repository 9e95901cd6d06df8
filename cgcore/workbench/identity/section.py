"""The section itself: log-ins, accounts and codes over one throttled check of passwords.

Apart from its package, whose names are types: who hands in what to whom.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from cgcore.once import once
from cgcore.workbench.identity.accounts import Accounts, EndConnection
from cgcore.workbench.identity.codes import Codes
from cgcore.workbench.identity.passwords import Passwords
from cgcore.workbench.identity.sessions import Sessions

if TYPE_CHECKING:
    from cgcore.identity.passwords import PasswordHasher
    from cgcore.workbench.context import Context
    from cgcore.workbench.identity.watch import LogInWatch

__all__ = ["IdentitySection"]


class IdentitySection:
    """Who may enter. ``hasher`` is handed in by tests that count hashes, ``end_connection`` by who has mailboxes."""

    def __init__(
        self, context: Context, *, hasher: PasswordHasher | None = None, end_connection: EndConnection | None = None
    ) -> None:
        self._context, self._end_connection = context, end_connection
        self._passwords = Passwords(context, hasher)
        self._watches: list[LogInWatch] = []

    def watch(self, list_used: Callable[[], Collection[str]]) -> None:
        """Have those who listen for ended log-ins told too of such that end in another process."""
        from cgcore.workbench.identity.watch import LogInWatch

        watch = LogInWatch(self._context, list_used, self.sessions.tell_ended)
        self._watches.append(watch)
        watch.start()

    def close(self) -> None:
        """End what watches."""
        for watch in self._watches:
            watch.close()

    @once
    def sessions(self) -> Sessions:
        """Log-ins of browsers."""
        return Sessions(self._context, passwords=self._passwords)

    @once
    def codes(self) -> Codes:
        """One-time codes and grants."""
        return Codes(self._context, passwords=self._passwords)

    @once
    def accounts(self) -> Accounts:
        """Users and their passwords."""
        return Accounts(
            self._context,
            passwords=self._passwords,
            sessions=self.sessions,
            codes=self.codes,
            end_connection=self._end_connection,
        )
