"""``user add|password|disable``: accounts from the command line, for whoever holds the data folder."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cgcore import texts
from cgcore.identity.actor import Actor, Role

if TYPE_CHECKING:
    from cgcore.vault.secret import Secret
    from cgcore.workbench import Workbench

__all__ = ["app"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
group = typer.Typer(no_args_is_help=True)
app.add_typer(group, name="user")

# Whoever reaches the database by hand stands above its users; the trail shows these lines without an actor's id.
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
        print("error: give --password-stdin and the password on standard input", file=sys.stderr)
        raise typer.Exit(2)
    # In UTF-8 whatever the locale says; what is none is a wrong password, not a fault of ours.
    line = sys.stdin.buffer.readline().decode("utf-8", "surrogateescape")
    return Secret(line.rstrip("\r\n"))


@contextmanager
def _opened() -> Generator[Workbench]:
    """Yield the workbench of the environment; a refusal is printed and ends the program with 1."""
    from cgcore.errors import CloudGestionError, InvalidInput, NotFound, StorageError
    from cgcore.identity.texts import sentence
    from cgcore.settings import load_settings
    from cgcore.workbench import open_workbench

    try:
        workbench = open_workbench(load_settings())
        try:
            yield workbench
        finally:
            workbench.close()
    except StorageError:
        raise
    except InvalidInput as refused:
        lines = [problem.message for problem in refused.problems]
    except NotFound as refused:
        lines = [sentence(refused.code)]
    except CloudGestionError as refused:
        lines = [f"error: {refused}"]
    else:
        return
    print("\n".join(lines), file=sys.stderr)
    raise typer.Exit(1)
