"""People with log-ins and API keys, made through the workbench, for the tests of keys and API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cgcore.api_keys.record import IssuedKey
from cgcore.identity.actor import Actor, Role, Scope
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench
from cgcore.workbench.identity import NewUser
from cgcore.workbench.keys import ISSUE_ACTION

__all__ = ["ADMIN_PASSWORD", "Person", "add_person", "issue_key"]

ADMIN_PASSWORD = "una frase bastante larga"


@dataclass(frozen=True)
class Person:
    """A user who is logged in, and their password."""

    actor: Actor
    password: str

    def grant(self, workbench: Workbench, action: str) -> str:
        """Ask the password again and return the grant."""
        return workbench.identity.codes.issue_grant(self.actor, action, Secret(self.password))


def add_person(workbench: Workbench, username: str, *, role: Role = Role.USER) -> Person:
    """Create a user (the first one by the first-use code, as administrator) and log them in."""
    if workbench.identity.accounts.first_use_needed():
        code = workbench.identity.accounts.issue_first_use_code()
        result = workbench.identity.accounts.first_use(code, username, Secret(ADMIN_PASSWORD))
        return Person(result.actor, ADMIN_PASSWORD)
    password = f"la clave larga de {username[::-1]}"
    root = Actor(0, "root", role=Role.ADMIN)
    workbench.identity.accounts.add_user(root, NewUser(username, Secret(password), f"{username} Pérez", "", role))
    return Person(workbench.identity.sessions.log_in(username, Secret(password)).actor, password)


def issue_key(
    workbench: Workbench, person: Person, device: str = "App móvil", scopes: Iterable[Scope] = Scope
) -> IssuedKey:
    """Issue a key as the page does: password, grant, key."""
    grant = person.grant(workbench, ISSUE_ACTION)
    return workbench.keys.issue(person.actor, grant, device, frozenset(scopes))
