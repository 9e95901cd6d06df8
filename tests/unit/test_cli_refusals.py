"""What the command line says of arguments that are wrong, and of refusals: our sentences, and never the parser's."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from cgcore import cli
from cgcore.cli.refusals import describe_refusal
from cgcore.errors import CloudGestionError, NotAllowed, StorageBusy, VaultError
from cgcore.texts import lookup
from cgcore.workbench import get_workbench

HELP = "python -m cgcore {} --help"


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        ([], "usage", ["probe|explain"]),
        (["nada"], "usage", ["probe|explain"]),
        (["user"], "usage_commands", ["add, password y disable"]),
        (["user", "nada"], "usage_commands", ["add, password y disable"]),
        (["vault"], "usage_commands", ["move, set-aside y key"]),
        (["user", "add"], "usage_missing", ["NAME", HELP.format("user add")]),
        (["user", "add", "eva"], "usage_missing", ["--role", HELP.format("user add")]),
        (["user", "add", "eva", "--role", "boss"], "usage_value", ["--role", HELP.format("user add")]),
        (["user", "add", "eva", "--role"], "usage_option_value", ["--role", HELP.format("user")]),
        (["user", "add", "--n\x1b[2J\nada"], "usage_option", ["--n [2J ada", HELP.format("user add")]),
        (["user", "disable", "a", "b"], "usage_extra", [HELP.format("user disable")]),
        (["probe"], "usage_missing", ["smtp|imap", HELP.format("probe")]),
        (["probe", "smtp", "--timeout", "x"], "usage_value", ["--timeout", HELP.format("probe")]),
        (["run", "--port", "99999"], "usage_value", ["--port", HELP.format("run")]),
        (["demo", "--port", "x"], "usage_value", ["--port", HELP.format("demo")]),
        (["export", "--only", "x"], "usage_value", ["--only", HELP.format("export")]),
        (["import"], "usage_missing", ["FILE", HELP.format("import")]),
        (["import", "/no/hay"], "import_unreadable", ["/no/hay"]),
        (["check", "x"], "usage_extra", [HELP.format("check")]),
    ],
)
def test_wrong_arguments_are_told_in_our_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, names: list[str]
) -> None:
    """One line, exit code 2, what it is about and where the right ones stand; nothing on standard output."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    told = capsys.readouterr()

    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.startswith(str(lookup("cgcore.cli", "")[code]).partition("{")[0])
    assert all(name in told.err for name in names)
    assert len(told.err.splitlines()) == 1


# What each command has to be given: its words, arguments and options, so that one after the other can be replaced.
GIVEN = {
    "user add": ["eva", "--role", "user", "--full-name", "Eva", "--mail", "eva@tosma.es", "--password-stdin"],
    "user password": ["eva", "--password-stdin"],
    "user disable": ["eva"],
    "export": ["--user", "eva", "--only", "templates"],
    "import": ["/no/hay", "--user", "eva"],
    "render": ["quote", "--user", "eva"],
    "explain": ["550 no", "--protocol", "smtp", "--stage", "auth", "--provider", "gmail"],
    "probe": [
        "smtp", "--host", "127.0.0.1", "--security", "none", "--port", "1", "--timeout", "1", "--user", "eva",
        "--password-stdin", "--mail-from", "a@tosma.es", "--to", "b@tosma.es", "--provider", "gmail", "--pin", "00",
        "--folder", "INBOX",
    ],
    "discover": ["eva@tosma.invalid"],
    "worker": [],
    "outbox list": ["eva", "--state", "failed"],
    "outbox show": ["0"],
    "outbox cancel": ["0"],
    "outbox resend": ["0"],
    "outbox skip-rest": ["0"],
    "outbox resume": ["eva"],
    "oauth set": [
        "custom", "--client-id", "id", "--secret-stdin", "--issuer", "https://login.tosma.invalid", "--name", "Tosma",
        "--domains", "tosma.es", "--tenant", "", "--scope", "mail", "--secret-ends", "2027-01-01",
    ],
    "oauth show": [],
    "oauth check": ["custom"],
    "oauth remove": ["custom"],
    "backup": ["/no/hay/copia"],
    "restore": ["/no/hay/copia", "--replace"],
    "vault key make": ["/no/hay/clave"],
    "vault key show": [],
    "vault key rotate": ["/no/hay/clave"],
    "vault move": ["encrypted"],
    "vault set-aside": [],
    "check": [],
    "run": ["--port", "0", "--address", "127.0.0.1"],
    "demo": ["--port", "0"],
}  # fmt: skip
HOSTILE = ["a" * 100_000, "a\x1b[2J\r\nb", "a\x00b", "a\udcffb", "👩‍👩‍👧\u00a0\u202e", "", "-1", "../../etc/passwd"]


def _commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that there is, with its words, as typer knows it."""
    for module in sorted(set(cli._COMMANDS.values())):
        waiting = [("", typer.main.get_command(import_module(f"cgcore.cli.{module}").app))]
        while waiting:
            words, command = waiting.pop()
            inside = getattr(command, "commands", None)
            waiting += [(f"{words} {name}".strip(), each) for name, each in (inside or {}).items()]
            if inside is None:
                yield words or module, command


def _with_each(command: str, text: str) -> Iterator[list[str]]:
    """Yield the arguments of a command with ``text`` in the place of each value, one after the other."""
    given = GIVEN[command]
    for index, word in enumerate(given):
        if not word.startswith("--"):
            yield [*command.split(), *given[:index], text, *given[index + 1 :]]


def test_every_option_that_takes_a_value_is_tried() -> None:
    """A new one is missing here until it has a value of its own above."""
    for words, command in _commands():
        options = {max(each.opts, key=len) for each in command.params if each.param_type_name == "option"}
        flags = {max(each.opts, key=len) for each in command.params if getattr(each, "is_flag", False)}
        assert options - flags - {"--help"} <= set(GIVEN[words]), words


@pytest.mark.parametrize("command", GIVEN)
def test_no_value_on_the_command_line_breaks_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    """A hundred thousand letters, escapes, NUL, bytes that are no UTF-8: an exit code of ours, no exception."""
    monkeypatch.setenv("CG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CG_CONFIG_DIR", str(tmp_path / "config"))
    # A name of a file that a command writes is one of the values.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", lambda *_: sys.exit(0))
    get_workbench.cache_clear()
    for text in HOSTILE:
        for arguments in _with_each(command, text):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"una frase bastante larga\n")))
            with pytest.raises(SystemExit) as ended:
                cli.main(arguments)
            told = capsys.readouterr()
            assert ended.value.code in (0, 1, 2), arguments
            assert "\x1b" not in told.out + told.err, arguments
    get_workbench.cache_clear()


@pytest.mark.parametrize(
    "error", [NotAllowed("English"), VaultError("English"), StorageBusy("English"), CloudGestionError()]
)
def test_a_refusal_is_never_told_in_the_words_of_its_exception(error: CloudGestionError) -> None:
    """Whichever it is: a sentence, and an exit code that is not success."""
    said, code = describe_refusal(error)

    assert code == 1
    assert said
    assert "English" not in said


def test_a_fault_of_ours_is_no_wrong_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on as what it is, and is not blamed on whoever typed the command."""
    monkeypatch.setattr("cgcore.cli.user.app", lambda **_: [][0])

    with pytest.raises(IndexError):
        cli.main(["user"])
