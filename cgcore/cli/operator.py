"""What commands share that change an installation: who gives them, the installation, a secret from standard input."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import typer

from cgcore.identity.actor import Actor, Role
from cgcore.texts import sentence

if TYPE_CHECKING:
    from cgcore.vault.secret import Secret
    from cgcore.workbench import Workbench

__all__ = ["OPERATOR", "opened_workbench", "read_secret", "require_secret"]

# Whoever reaches the database by hand stands above its users; the activity log shows these lines without an actor's id.
OPERATOR = Actor(user_id=0, username="", role=Role.ADMIN)


@contextmanager
def opened_workbench() -> Generator[Workbench]:
    """Yield the workbench of the environment, and close it."""
    from cgcore.settings import load_settings
    from cgcore.workbench import open_workbench

    with closing(open_workbench(load_settings())) as workbench:
        yield workbench


def read_secret() -> Secret:
    """Return the first line of standard input, without its end; an argument would show in the process list."""
    from cgcore.vault.secret import Secret

    # In UTF-8 whatever the locale says; what is none is a wrong password, not a fault of ours.
    line = sys.stdin.buffer.readline().decode("utf-8", "surrogateescape")
    return Secret(line.rstrip("\r\n"))


def require_secret(from_input: bool, missing: str) -> Secret:
    """Return :func:`read_secret`; without ``from_input`` the sentence ``missing`` is said, and the exit code is 2."""
    if not from_input:
        print(sentence("cgcore.cli", missing), file=sys.stderr)
        raise typer.Exit(2)
    return read_secret()
