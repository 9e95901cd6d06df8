"""``user add|password|disable``: accounts from the command line, for whoever holds the data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cgcore import texts
from cgcore.cli.operator import OPERATOR, opened_workbench, require_secret
from cgcore.identity.actor import Role

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
group = typer.Typer()
app.add_typer(group, name="user")


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

    password = require_secret(password_stdin, "password_stdin")
    with opened_workbench() as workbench:
        workbench.identity.accounts.add_user(OPERATOR, NewUser(name, password, full_name, mail, role))
    print(texts.sentence("cgcore.cli", "user_added", name=name))


@group.command()
def password(name: _Name, password_stdin: _FromInput = False) -> None:
    """Set a user's password: ends their log-ins and revokes their API keys."""
    new = require_secret(password_stdin, "password_stdin")
    with opened_workbench() as workbench:
        workbench.identity.accounts.set_password(OPERATOR, name, new)
    print(texts.sentence("cgcore.cli", "user_password", name=name))


@group.command()
def disable(name: _Name) -> None:
    """Close an account: its log-ins end now."""
    with opened_workbench() as workbench:
        workbench.identity.accounts.disable_user(OPERATOR, name)
    print(texts.sentence("cgcore.cli", "user_disabled", name=name))
