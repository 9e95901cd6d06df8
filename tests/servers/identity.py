"""What tests of identity share: a clock that is set by hand, and a hasher that counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cgcore.identity.actor import Actor, Role
from cgcore.identity.passwords import PasswordHasher
from cgcore.storage.tables import LoginSessionRow
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser

__all__ = ["ADMIN", "PASSWORD", "CountingHasher", "HandClock", "Rendezvous", "add_user", "carry_log_in", "set_clock"]

PASSWORD = Secret("caballo correcto pila")
ADMIN = Actor(user_id=0, username="consola", role=Role.ADMIN)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move on by the arguments of ``timedelta``."""
        self.now += timedelta(**by)


def set_clock(workbench: Workbench, clock: Callable[[], datetime]) -> None:
    """Put another clock into a workbench whose context is frozen for everybody else."""
    vars(workbench.context)["clock"] = clock


def carry_log_in(workbench: Workbench, actor: Actor) -> None:
    """Let a log-in begin now, by the clock that the workbench has been given meanwhile."""
    now = workbench.clock()
    with workbench.database.session() as session:
        row = session.get_one(LoginSessionRow, actor.session_hash)
        row.created, row.last_seen, row.expires = now, now, now + timedelta(hours=12)
        session.add(row)


class CountingHasher(PasswordHasher):
    """A hasher that counts the hashes it computes while checking."""

    checks = 0

    def _verify(self, stored: str, text: str) -> None:
        self.checks += 1
        super()._verify(stored, text)


class Rendezvous:
    """Makes two threads meet behind a call, or go on alone when the other is kept out: races become certain."""

    def __init__(self, call: Callable[..., Any], *, patience_s: float = 0.5) -> None:
        self._call = call
        self._barrier = threading.Barrier(2)
        self._patience_s = patience_s

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Make the call, wait for the other one, and return the result."""
        result = self._call(*arguments, **named)
        try:
            self._barrier.wait(self._patience_s)
        except threading.BrokenBarrierError:
            self._barrier.reset()
        return result


def add_user(workbench: Workbench, username: str = "ana", role: Role = Role.USER) -> int:
    """Create a user whose password is ``PASSWORD``."""
    return workbench.identity.accounts.add_user(ADMIN, NewUser(username, PASSWORD, full_name="Ana Gil", role=role))
