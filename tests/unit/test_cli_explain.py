"""``python -m cgcore explain``: once as a process, and the rest here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.servers.command import run_command


def explain(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return run_command("explain", *arguments, given=given)


def explain_by_process(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgcore", "explain", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)


def test_a_reply_is_explained_as_json() -> None:
    """One line of JSON with key, title and fix."""
    done = explain_by_process(
        "--protocol", "smtp", "--stage", "auth", "--json", "535 5.7.8 Error: authentication failed"
    )

    assert done.returncode == 0
    assert list(json.loads(done.stdout)) == ["key", "title", "fix"]
    assert json.loads(done.stdout)["key"] == "bad_credentials"
    assert done.stderr == ""


def test_a_reply_is_explained_in_words() -> None:
    """Key, title and fix, one a line, and no brace in them."""
    done = explain("--protocol", "imap", "--stage", "select", "NO [NONEXISTENT] Mailbox doesn't exist: Enviados")

    assert done.stdout.splitlines()[:2] == ["folder_missing", "No existe la carpeta «Enviados»"]
    assert "{" not in done.stdout


def test_json_lines_are_answered_in_order() -> None:
    """One answer a line; blank lines are none; what is absent may be left out."""
    lines = [
        {"protocol": "smtp", "stage": "rcpt_to", "text": "554 5.7.1 Relay access denied", "provider": ""},
        {"protocol": "smtp", "stage": "auth", "text": "535 5.7.8 authentication failed", "provider": "yahoo"},
        {"text": "socket.gaierror: [Errno -2] Name or service not known"},
    ]
    done = explain(given="\n\n".join(json.dumps(line) for line in lines) + "\n")

    keys = [json.loads(line)["key"] for line in done.stdout.splitlines()]

    assert done.returncode == 0
    assert keys == ["relay_denied", "app_password_required", "host_not_found"]


@pytest.mark.parametrize(
    ("arguments", "given", "word"),
    [
        (("--protocol", "pop3", "x"), "", "protocolo"),
        (("--stage", "nowhere", "x"), "", "etapa"),
        (("--provider", "nobody", "x"), "", "proveedor"),
        (("--unknown",), "", "unknown"),
        ((), "no json\n", "Línea 1"),
        ((), "[]\n", "Línea 1"),
        ((), '{"text": "x"}\n{"stage": "auth"}\n', "Línea 2"),
        ((), '{"text": 5}\n', "text"),
    ],
)
def test_what_cannot_be_read_is_refused(arguments: tuple[str, ...], given: str, word: str) -> None:
    """Exit code 2 and a sentence that names the fault, no traceback."""
    done = explain(*arguments, given=given)

    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_half_a_character_in_a_reply_is_explained_too() -> None:
    """JSON may hold lone surrogates, which no output can."""
    done = explain_by_process("--json", given='{"protocol": "smtp", "text": "999 \\ud83d what"}\n')

    assert done.returncode == 0
    assert json.loads(done.stdout)["key"] == "unclassified"
    assert done.stderr == ""
