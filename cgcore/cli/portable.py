"""``export`` and ``import``: the configuration as one file, without secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cgcore.cli.refusals import shown_path
from cgcore.texts import sentence

if TYPE_CHECKING:
    from cgcore.identity.actor import Actor
    from cgcore.portable.changes import ImportPlan

__all__ = ["app"]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_User = Annotated[str, typer.Option("--user", metavar="NAME", help="Only this user's part.")]


@app.command("export")
def export_command(
    user: _User = "",
    only: Annotated[Literal["templates", ""], typer.Option("--only", help="Leave everything else out.")] = "",
) -> None:
    """Write the configuration to standard output. Exit code 0 done, 1 refused, 2 wrong usage."""
    from cgcore.workbench import get_workbench

    section, actor, only_templates = get_workbench().portable, _operator(), only == "templates"
    if user:
        text = section.export_user(actor, user, only_templates=only_templates)
    else:
        text = section.export_all(actor, only_templates=only_templates)
    sys.stdout.buffer.write(text.encode())


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    user: _User = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and make none.")] = False,
) -> None:
    """Bring a configuration file in: all of it, or nothing. Exit code 0 done, 1 refused, 2 wrong usage."""
    from cgcore.workbench import get_workbench

    try:
        data = file.read_bytes()
    except (OSError, ValueError):  # not there, not ours to read, or no name of a file at all
        print(sentence("cgcore.cli", "import_unreadable", file=shown_path(file)), file=sys.stderr)
        raise typer.Exit(2) from None
    section = get_workbench().portable
    _print_plan(section.plan(_operator(), data, user) if dry_run else section.apply(_operator(), data, user))


def _operator() -> Actor:
    # Whoever may run this program against the database may do all of it.
    from cgcore.identity.actor import Actor, Role

    return Actor(user_id=0, username="", role=Role.ADMIN)


def _print_plan(plan: ImportPlan) -> None:
    from cgcore.portable.reading import portable_text

    if not plan.changes:
        print(portable_text("nothing_changes"))
    for change in plan.changes:
        print(f"{change.object}: {change.field}: {change.before or '∅'} → {change.after or '∅'}")
    for note in plan.notes:
        print(note)
