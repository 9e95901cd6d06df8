"""``user add|password|disable``: accounts from the command line, for whoever holds the data folder."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cgcore import texts
from cgcore.identity.actor import Actor, Role

if TYPE_CHECKING:
    from cgcore.vault.secret import Secret
    from cgcore.workbench import Workbench

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
group = typer.Typer()
app.add_typer(group, name="user")

# Whoever reaches the database by hand stands above its users; the activity log shows these lines without an actor's id.
_OPERATOR = Actor(user_id=0, username="", role=Role.ADMIN)

_Name = Annotated[str, typer.Argument(help="User name.", metavar="NAME")]
_FromInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.callback()
def _commands() -> None:
    """Accounts."""


@group.callback()
def _group() -> None:
    """Add a user, set a password, close an account. Exit code 0 done, 1 refused, 2 usage."""


@group.command()
def add(
    name: _Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")],
    full_name: Annotated[str, typer.Option(help="Full name.")] = "",
    mail: Annotated[str, typer.Option(help="Mail address.")] = "",
    password_stdin: _FromInput = False,
) -> None:
    """Create a user."""
    from cgcore.workbench.identity import NewUser

    password = _read_password(password_stdin)
    with _opened() as workbench:
        workbench.identity.accounts.add_user(_OPERATOR, NewUser(name, password, full_name, mail, role))
    print(texts.sentence("cgcore.cli", "user_added", name=name))


@group.command()
def password(name: _Name, password_stdin: _FromInput = False) -> None:
    """Set a user's password: ends their log-ins and revokes their API keys."""
    new = _read_password(password_stdin)
    with _opened() as workbench:
        workbench.identity.accounts.set_password(_OPERATOR, name, new)
    print(texts.sentence("cgcore.cli", "user_password", name=name))


@group.command()
def disable(name: _Name) -> None:
    """Close an account: its log-ins end now."""
    with _opened() as workbench:
        workbench.identity.accounts.disable_user(_OPERATOR, name)
    print(texts.sentence("cgcore.cli", "user_disabled", name=name))


def _read_password(from_input: bool) -> Secret:
    """Return the password of standard input, without the line end; an argument would show in the process list."""
    from cgcore.vault.secret import Secret

    if not from_input:
        print(texts.sentence("cgcore.cli", "password_stdin"), file=sys.stderr)
        raise typer.Exit(2)
    # In UTF-8 whatever the locale says; what is none is a wrong password, not a fault of ours.
    line = sys.stdin.buffer.readline().decode("utf-8", "surrogateescape")
    return Secret(line.rstrip("\r\n"))


@contextmanager
def _opened() -> Generator[Workbench]:
    """Yield the workbench of the environment."""
    from cgcore.settings import load_settings
    from cgcore.workbench import open_workbench

    with closing(open_workbench(load_settings())) as workbench:
        yield workbench
