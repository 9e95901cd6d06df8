"""``vault move`` takes secrets to the keyring or to our own encrypted store, ``vault set-aside`` starts anew.

``vault key`` makes, shows and rotates the master key.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cgcore.cli.refusals import shown_path
from cgcore.texts import sentence
from cgcore.vault.selection import PlaceKind

__all__ = ["app"]

_PACKAGE = "cgcore.cli"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
group = typer.Typer()
app.add_typer(group, name="vault")
key_group = typer.Typer()
group.add_typer(key_group, name="key")


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


@key_group.callback()
def _key_group() -> None:
    """Make a master key, show which one is in use, or give the vault another one."""


@key_group.command("make")
def make_key_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it (mode 0600); - for standard output.")],
) -> None:
    """Make a new master key: 32 random bytes in base64. Exit code 0 done, 1 refused."""
    from cgcore.settings import load_settings
    from cgcore.vault.rotation import find_fingerprint, make_key, write_key

    if file == "-":
        print(make_key())
        return
    path = Path(file)
    try:
        write_key(path, make_key())
    except (OSError, ValueError) as error:
        code = "key_exists" if isinstance(error, FileExistsError) else "key_unwritable"
        print(sentence(_PACKAGE, code), file=sys.stderr)
        raise typer.Exit(1) from None
    fingerprint = find_fingerprint(load_settings(master_key="", master_key_file=path))
    print(sentence(_PACKAGE, "key_made", path=shown_path(path), fingerprint=fingerprint))


@key_group.command("show")
def show_key_command() -> None:
    """Show the fingerprint of the master key in use, which says nothing about the key. Exit code 1 without one."""
    from cgcore.settings import load_settings
    from cgcore.vault.master_key import find_key_path
    from cgcore.vault.rotation import find_fingerprint

    settings = load_settings()
    place = str(find_key_path(settings) or "CG_MASTER_KEY")
    print(sentence(_PACKAGE, "key_shown", fingerprint=find_fingerprint(settings), place=place))


@key_group.command("rotate")
def rotate_key_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new key, as `vault key make` writes it.")],
) -> None:
    """Seal everything with another master key. Stop the product before; after a crash the same command goes on.

    Log-ins and API keys stay. Exit code 0 done, 1 refused.
    """
    from cgcore.settings import load_settings
    from cgcore.workbench.key_rotation import rotate_master_key

    done = rotate_master_key(load_settings(), file)
    values = {"path": shown_path(file), "fingerprint": done.fingerprint, "sealed": done.sealed}
    print(sentence(_PACKAGE, "key_rotated", **values))
    if done.left:
        print(sentence(_PACKAGE, "key_left", count=done.left))
