"""``vault move`` takes secrets to the keyring or to our own encrypted store, ``vault set-aside`` starts anew."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Annotated

import typer

from cgcore.texts import sentence
from cgcore.vault.selection import PlaceKind

__all__ = ["app"]

_PACKAGE = "cgcore.cli"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
group = typer.Typer()
app.add_typer(group, name="vault")


@app.callback()
def _commands() -> None:
    """Where secrets live."""


@group.callback()
def _group() -> None:
    """Move secrets between the system's keyring and our own encrypted store, or set them aside."""


@group.command("move")
def move_command(
    target: Annotated[str, typer.Argument(metavar="os_keyring|encrypted", help="Where the secrets are to live.")],
) -> None:
    """Read all, write all, compare all, then remove them from the old place. Stop the product before.

    Exit code 0 done, 1 refused (everything is where it was), 2 usage.
    """
    from cgcore.settings import load_settings
    from cgcore.vault.texts import place_text
    from cgcore.workbench import open_workbench
    from cgcore.workbench.secrets import list_secret_names
    from cgcore.workbench.start import sole_server

    if target not in (PlaceKind.OS_KEYRING, PlaceKind.ENCRYPTED):
        print(sentence(_PACKAGE, "vault_usage"), file=sys.stderr)
        raise typer.Exit(2)
    settings = load_settings()
    with sole_server(settings), closing(open_workbench(settings)) as workbench:
        moved = workbench.vault.move(PlaceKind(target), list_secret_names(workbench.database))
        place = place_text(workbench.vault.describe(), workbench.settings)
    print(sentence(_PACKAGE, "vault_moved", count=len(moved), place=place.detail))


@group.command("set-aside")
def set_aside_command() -> None:
    """Put the vault of a lost database out of the way, so that a new installation starts. Stop the product before.

    Nothing is deleted: the vault is found under another name. Exit code 0 done, 1 refused.
    """
    from cgcore.settings import load_settings
    from cgcore.workbench.start import set_aside_vault

    try:
        place = set_aside_vault(load_settings())
    except OSError:
        print(sentence(_PACKAGE, "vault_not_aside"), file=sys.stderr)
        raise typer.Exit(1) from None
    print(sentence(_PACKAGE, "vault_aside" if place else "vault_none_aside", place=place))
