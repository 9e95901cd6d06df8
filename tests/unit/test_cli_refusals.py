"""What the command line says of arguments that are wrong, and of refusals: our sentences, and never the parser's."""

from __future__ import annotations

import pytest

from cgcore import cli
from cgcore.cli.refusals import describe_refusal
from cgcore.errors import CloudGestionError, NotAllowed, StorageBusy, VaultError
from cgcore.texts import lookup

HELP = "python -m cgcore {} --help"


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        ([], "usage", ["probe|explain"]),
        (["nada"], "usage", ["probe|explain"]),
        (["user"], "usage_commands", ["add, password, disable"]),
        (["user", "nada"], "usage_commands", ["add, password, disable"]),
        (["vault"], "usage_commands", ["move, set-aside"]),
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
