"""How the command line says no: the commands only raise, and here each refusal becomes a sentence and an exit code.

Alone, so that :mod:`cgcore.cli` stays the list of the commands. typer's own sentences are English; of its errors only
their kind is taken, and the name that they are about.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgcore.activity import neutral_line
from cgcore.texts import sentence

if TYPE_CHECKING:
    from cgcore.errors import CloudGestionError

__all__ = ["describe_refusal", "describe_usage", "is_usage_error", "shown_path"]

_PACKAGE = "cgcore.cli"
_MAX_NAME = 60
_MAX_PATH = 200


def is_usage_error(error: Exception) -> bool:
    """Return whether ``error`` is typer's word for arguments that are wrong."""
    # Where typer keeps that class has changed; its name has not.
    return "UsageError" in _kinds(error)


def shown_path(path: Path) -> str:
    """Return the name of a file as a line can say it."""
    return neutral_line(str(path), _MAX_PATH)


def describe_usage(error: Any, command: str) -> str:
    """Return what is wrong with the arguments of ``command``, and where the right ones are told."""
    kinds, context = _kinds(error), error.ctx
    values = {"help": f"{context.command_path if context else command} --help"}
    commands = getattr(context.command, "commands", None) if context else None
    if commands and not kinds & {"BadParameter", "NoSuchOption", "BadOptionUsage"}:
        return sentence(_PACKAGE, "usage_commands", commands=list(commands))
    if "MissingParameter" in kinds:
        return sentence(_PACKAGE, "usage_missing", name=_name_of(error.param), **values)
    if "BadParameter" in kinds:
        return sentence(_PACKAGE, "usage_value", name=_name_of(error.param), **values)
    if kinds & {"NoSuchOption", "BadOptionUsage"}:
        code = "usage_option" if "NoSuchOption" in kinds else "usage_option_value"
        return sentence(_PACKAGE, code, name=neutral_line(error.option_name, _MAX_NAME), **values)
    return sentence(_PACKAGE, "usage_extra", **values)


def describe_refusal(error: CloudGestionError) -> tuple[str, int]:
    """Return what one of our own exceptions says to whoever gave the command, and the exit code."""
    from cgcore.errors import InvalidInput, InvalidSettings, NotFound, StorageError, VaultError

    if isinstance(error, InvalidSettings):
        from cgcore.settings import describe_problems

        return "\n".join(describe_problems(error)), 2
    if isinstance(error, StorageError):
        return sentence("cgcore.storage", error.code), 1
    if isinstance(error, VaultError):
        from cgcore.vault.texts import problem_text

        return str(problem_text(error.code)), 1
    if isinstance(error, InvalidInput):
        return "\n".join(problem.message for problem in error.problems), 1
    if isinstance(error, NotFound):
        return sentence("cgcore.identity", "username_unknown"), 1
    return sentence(_PACKAGE, "refused"), 1


def _kinds(error: Exception) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _name_of(param: Any) -> str:
    if param is None:
        return "…"
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    return max(param.opts, key=len)
