"""The command line. Each group of commands is a module of its own, imported only when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper

from cgcore.errors import InvalidSettings, StorageError
from cgcore.language import speak
from cgcore.logs import install_line_log
from cgcore.texts import sentence

__all__ = ["main"]

# Command → module of this package; each module has a typer application called ``app``.
_COMMANDS = {
    "probe": "probe",
    "explain": "explain",
    "render": "render",
    "user": "user",
    "export": "portable",
    "import": "portable",
    "check": "check",
    "vault": "vault",
    "demo": "demo",
    "run": "run",
}
# «check» and «probe» tell it in their own form; «explain» needs none.
_WITH_SETTINGS = frozenset(_COMMANDS) - {"check", "probe", "explain"}
_USAGE = "usage: python -m cgcore " + "|".join(_COMMANDS) + " …   (each takes --help)"


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the arguments name; exit code 2 for what is no command."""
    given = sys.argv[1:] if arguments is None else arguments
    name = given[0] if given else ""
    if name in ("-h", "--help"):
        print(_USAGE)
        return
    if name not in _COMMANDS:
        print(_USAGE, file=sys.stderr)
        raise SystemExit(2)
    module = import_module(f"cgcore.cli.{_COMMANDS[name]}")
    # The module's application holds one or more commands; it is told its name as well, so that one module may
    # serve two commands (export, import).
    for stream in (sys.stdout, sys.stderr):
        # A name may hold what the terminal cannot write: it is shown by its number, and nothing breaks.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    install_line_log()
    # POSIX, «Environment Variables»: the first of these that is set names the language of messages.
    speak(next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), ""))
    try:
        if name in _WITH_SETTINGS:
            # Before a command tells of its own troubles.
            from cgcore.settings import load_settings

            load_settings()
        module.app(args=given, prog_name="python -m cgcore")
    except InvalidSettings as refused:
        from cgcore.settings import describe_problems

        print("\n".join(describe_problems(refused)), file=sys.stderr)
        raise SystemExit(2) from None
    except StorageError as failure:
        print(sentence("cgcore.storage", failure.code), file=sys.stderr)
        raise SystemExit(1) from None
