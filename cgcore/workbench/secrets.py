"""The names of everything that the vault may hold, from the rows that refer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgcore.sandbox.state import AUTHORITY_SECRET, sandbox_secret
from cgcore.storage.identity import list_users
from cgcore.workbench.mail_account import secret_name

if TYPE_CHECKING:
    from cgcore.workbench.core import Workbench

__all__ = ["list_secret_names"]


def list_secret_names(workbench: Workbench) -> list[str]:
    """Return the name of each secret that there may be; a keyring cannot be asked what it holds."""
    with workbench.database.read() as session:
        users = [row.id for row in list_users(session) if row.id is not None]
    return [AUTHORITY_SECRET, *(name(user) for user in users for name in (secret_name, sandbox_secret))]
