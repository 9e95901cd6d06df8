"""``export`` and ``import``: the configuration as one file, without secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

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
    from cgcore.errors import CloudGestionError
    from cgcore.workbench import get_workbench

    try:
        section, actor, only_templates = get_workbench().portable, _operator(), only == "templates"
        if user:
            text = section.export_user(actor, user, only_templates=only_templates)
        else:
            text = section.export_all(actor, only_templates=only_templates)
    except CloudGestionError as error:
        _refuse(error)
    sys.stdout.buffer.write(text.encode())


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)],
    user: _User = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and make none.")] = False,
) -> None:
    """Bring a configuration file in: all of it, or nothing. Exit code 0 done, 1 refused, 2 wrong usage."""
    from cgcore.errors import CloudGestionError
    from cgcore.workbench import get_workbench

    try:
        section, data = get_workbench().portable, file.read_bytes()
        plan = section.plan(_operator(), data, user) if dry_run else section.apply(_operator(), data, user)
    except CloudGestionError as error:
        _refuse(error)
    _print_plan(plan)


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


def _refuse(error: Exception) -> NoReturn:
    from cgcore.errors import InvalidInput, NotFound, StorageError
    from cgcore.identity.texts import sentence

    if isinstance(error, StorageError):
        raise error

    if isinstance(error, InvalidInput):
        for problem in error.problems:
            print(problem.message, file=sys.stderr)
    elif isinstance(error, NotFound):
        print(sentence("username_unknown"), file=sys.stderr)
    else:
        print(error, file=sys.stderr)
    raise SystemExit(1)
