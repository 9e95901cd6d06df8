"""``run``: start the server from any working directory, of a checkout or of an installed package.

Apart from the other commands: ``demo`` starts the server by it too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import cgcore

__all__ = ["app", "find_entry", "start_server"]

_ENTRY = "streamlit_app.py"

app = typer.Typer(add_completion=False)


@app.callback()
def _group() -> None:
    """Start the server."""


@app.command("run")
def run_command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; this machine only, unless told.")] = "",
) -> None:
    """Start the server, and stay."""
    start_server(port, address)


def find_entry() -> Path:
    """Return what Streamlit runs: inside the installed package, or beside it in a checkout."""
    package = Path(cgcore.__file__).resolve().parent
    inside = package / "app" / _ENTRY
    return inside if inside.is_file() else package.parent / _ENTRY


def start_server(port: int, address: str = "") -> NoReturn:
    """Become the server: the same process, so that whoever started it stops it."""
    command = [sys.executable, "-m", "streamlit", "run", str(find_entry()), "--server.port", str(port)]
    if address:
        command += ["--server.address", address]
    os.execv(sys.executable, command)  # noqa: S606  the same interpreter, no shell
