"""The command line. Each group of commands is a module of its own, imported only when it is called."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr
from importlib import import_module
from io import TextIOWrapper
from typing import TextIO, cast

from cgcore.cli.refusals import describe_refusal, describe_usage, is_usage_error
from cgcore.errors import CloudGestionError
from cgcore.language import speak
from cgcore.logs import PlainStream, install_line_log
from cgcore.texts import sentence

__all__ = ["main"]

# Command → module of this package; each module has a typer application called ``app``.
_PROGRAM = "python -m cgcore"
_COMMANDS = {
    "probe": "probe",
    "explain": "explain",
    "discover": "discover",
    "render": "render",
    "user": "user",
    "export": "portable",
    "import": "portable",
    "backup": "backup",
    "restore": "backup",
    "check": "check",
    "vault": "vault",
    "oauth": "oauth",
    "demo": "demo",
    "run": "run",
    "worker": "outbox",
    "outbox": "outbox",
}
# «check» and «probe» tell it in their own form; «explain» needs none.
_WITH_SETTINGS = frozenset(_COMMANDS) - {"check", "probe", "explain"}


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments name; exit code 2 for what is no command."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given else ""
    # POSIX, «Environment Variables»: the first of these that is set names the language of messages.
    speak(next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), ""))
    for stream in (sys.stdout, sys.stderr):
        # A name may hold what the terminal cannot write: it is shown by its number, and nothing breaks.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    install_line_log()
    if name not in _COMMANDS:
        asked = name in ("-h", "--help")
        usage = sentence("cgcore.cli", "usage", commands="|".join(_COMMANDS))
        print(usage, file=sys.stdout if asked else sys.stderr)
        raise SystemExit(0 if asked else 2)
    # What a caller gave is repeated in a refusal, and a terminal obeys what moves its cursor.
    with redirect_stderr(cast("TextIO", PlainStream(sys.stderr))):
        raise SystemExit(_run(name, given))


def _run(name: str, given: list[str]) -> int:
    # The module's application holds one or more commands; it is told its name as well, so that one module may
    # serve two commands (export, import).
    module = import_module(f"cgcore.cli.{_COMMANDS[name]}")
    try:
        if name in _WITH_SETTINGS:
            # Before a command tells of its own troubles.
            from cgcore.settings import load_settings

            load_settings()
        return module.app(args=given, prog_name=_PROGRAM, standalone_mode=False) or 0
    except CloudGestionError as error:
        said, code = describe_refusal(error)
    except Exception as error:
        if not is_usage_error(error):
            raise
        said, code = describe_usage(error, f"{_PROGRAM} {name}"), 2
    print(said, file=sys.stderr)
    return code
