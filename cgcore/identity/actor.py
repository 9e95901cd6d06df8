"""Who acts: the signed-in person behind a use case."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cgcore.errors import NotAllowed

__all__ = ["Actor", "Role", "Scope"]


class Role(StrEnum):
    """What a user may do."""

    USER = "user"
    ADMIN = "admin"


class Scope(StrEnum):
    """What an API key may do; a browser or command-line actor has all of them."""

    READ = "read"
    WRITE = "write"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who acts, and through what.

    ``session_hash`` is the key of the log-in session row for a browser, ``key_id`` the public id of the API key for
    an application; both are empty on the command line. ``ip`` is the source address, for the activity log only;
    ``locale`` the language that the person is spoken to in.
    """

    user_id: int
    username: str
    full_name: str = ""
    mail: str = ""
    role: Role = Role.USER
    session_hash: str = ""
    key_id: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    ip: str = ""
    locale: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether the person administers the installation."""
        return self.role is Role.ADMIN

    def require_admin(self) -> None:
        """Raise :class:`NotAllowed` unless the person is an administrator."""
        if not self.is_admin:
            raise NotAllowed("administrators only")
