"""``backup`` and ``restore``: the whole installation as one file, but for the master key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cgcore.cli.refusals import shown_path
from cgcore.texts import sentence

__all__ = ["app"]

_PACKAGE = "cgcore.cli"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; must not be there yet.")],
) -> None:
    """Write database and vault records to one file, while the product goes on. The master key is not in it.

    Exit code 0 done, 1 refused, 2 wrong usage.
    """
    from cgcore.settings import load_settings
    from cgcore.workbench.backup import make_backup

    made = make_backup(load_settings(), file)
    print(sentence(_PACKAGE, "backup_made", file=shown_path(file), fingerprint=made.key or sentence(_PACKAGE, "none")))


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `backup` has written.")],
    replace: Annotated[bool, typer.Option("--replace", help="Also over a database that has users.")] = False,
) -> None:
    """Put a backup in the place of database and vault records. Stop the product before; set its master key.

    What a file of SQLite and a vault held before lies beside them under another name. Exit code 0 done, 1 refused.
    """
    from cgcore.settings import load_settings
    from cgcore.workbench.backup import restore_backup

    restored = restore_backup(load_settings(), file, replace=replace)
    print(sentence(_PACKAGE, "backup_restored", created=restored.created, revision=restored.revision))
