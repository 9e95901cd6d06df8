"""``demo``: a seeded company, one user, the test mailbox switched on; prints the user and password of this run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_path

from cgcore.cli.run import start_server
from cgcore.texts import sentence

__all__ = ["app"]

_MARK = "demonstration"

app = typer.Typer(add_completion=False)


@app.callback()
def _group() -> None:
    """Try the product without setting anything up."""


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    prepare_only: Annotated[bool, typer.Option(help="Seed and print, but do not start.")] = False,
) -> None:
    """Seed the demonstration data, print how to enter, and start the product."""
    folder = Path(os.environ.get("CG_DATA_DIR") or user_data_path("cloud-gestion-demo"))
    _take(folder)
    os.environ |= {"CG_DATA_DIR": str(folder), "CG_SANDBOX": "on"}
    os.environ.setdefault("CG_CONFIG_DIR", str(folder.parent / f"{folder.name}-config"))
    # A database of one's own is nothing to try things in.
    os.environ.pop("CG_DATABASE_URL", None)
    password = secrets.token_urlsafe(9)
    username = _seed(password)
    print(f"URL: http://localhost:{port}")
    print(f"Usuario: {username}")
    print(f"Contraseña: {password}", flush=True)
    if prepare_only:
        return
    start_server(port)


def _take(folder: Path) -> None:
    """Take an empty folder, or one taken earlier: the user of the demonstration gets a new password at each start."""
    mark = folder / _MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        typer.echo(sentence("cgcore.cli", "demo_folder_in_use", folder=folder), err=True)
        raise typer.Exit(2)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch()


def _seed(password: str) -> str:
    from cgcore.settings import load_settings
    from cgcore.vault.secret import Secret
    from cgcore.workbench import open_workbench
    from cgcore.workbench.demo import seed_demo

    workbench = open_workbench(load_settings())
    try:
        return seed_demo(workbench, Secret(password))
    finally:
        workbench.close()
