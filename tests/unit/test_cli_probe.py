"""``python -m cgcore probe``: exit codes, JSON lines, the password on standard input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from cgcore.cli import main
from cgcore.mail import probe as probing
from cgcore.mail.request import ProbeEnvironment, ProbeRequest
from cgcore.runs import Step
from tests.servers.asking import PASSWORD, USER
from tests.servers.certificates import Certificates
from tests.servers.command import run_command
from tests.servers.scripted import SMTP_CASES, imap_server, smtp_server


def run(*arguments: str, password: str = PASSWORD, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return run_command("probe", *arguments, given=password + "\n", **environment)


def run_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, which decodes its arguments and ends by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CG_")}
    return subprocess.run(
        [sys.executable, "-m", "cgcore", "probe", *arguments],
        input=PASSWORD + "\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**kept, "PYTHONUTF8": "1", **environment},
    )


def ask(port: int, *more: str, leg: str = "smtp", security: str = "starttls") -> list[str]:
    """Return the usual arguments."""
    server = ["--host", "127.0.0.1", "--port", str(port), "--security", security]
    return [leg, *server, "--user", USER, "--password-stdin", *more]


def trusting(certificates: Certificates) -> dict[str, str]:
    """Return the settings that reach loopback and trust the private authority."""
    return {"CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8", "SSL_CERT_FILE": str(certificates.ca_file)}


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the JSON objects that were printed."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_proven_account_exits_0_with_the_verdict_on_the_last_line(certificates: Certificates) -> None:
    """One JSON object a step, then the verdict; the password is nowhere."""
    with smtp_server("friendly", certificates.trusted) as server:
        done = run_process(*ask(server.port, "--json"), **trusting(certificates))
    *steps, verdict = lines(done)

    assert done.returncode == 0
    assert set(verdict) == {"verdict", "stage", "ms", "title", "fix"}
    assert verdict["verdict"] == "ok"
    assert all(step["leg"] == "smtp" and None not in step.values() for step in steps)
    assert [step["stage"] for step in steps][-1] == "quit"
    assert PASSWORD not in done.stdout + done.stderr


def test_a_failure_exits_1_and_names_its_key(certificates: Certificates) -> None:
    """Title and fix are Spanish sentences without braces."""
    with smtp_server("friendly", certificates.trusted) as server:
        done = run(*ask(server.port, "--json"), password="S3cr3t-ñ", **trusting(certificates))
    verdict = lines(done)[-1]

    assert done.returncode == 1
    assert (verdict["verdict"], verdict["stage"]) == ("bad_credentials", "auth")
    assert verdict["title"]
    assert "{" not in verdict["title"] + verdict["fix"]
    assert "S3cr3t" not in done.stdout + done.stderr


def test_an_access_token_comes_by_standard_input_too(certificates: Certificates) -> None:
    """``--token-stdin`` signs in with a token, and it is nowhere; the two kinds of secret exclude each other."""
    script = replace(SMTP_CASES["friendly"], extensions=("AUTH PLAIN XOAUTH2",), tokens={USER: "ya29.S3cr3t"})
    with smtp_server(script, certificates.trusted) as server:
        given = ["--token-stdin" if word == "--password-stdin" else word for word in ask(server.port, "--json")]
        done = run(*given, password="ya29.S3cr3t", **trusting(certificates))
        both = run(*given, "--password-stdin", password="ya29.S3cr3t", **trusting(certificates))
    (auth,) = [step for step in lines(done) if step.get("stage") == "auth"]

    assert done.returncode == 0
    assert auth["details"]["mechanism"] == "XOAUTH2"
    assert "ya29.S3cr3t" not in done.stdout + done.stderr
    assert (both.returncode, both.stdout) == (2, "")


def test_a_warning_is_the_verdict_and_still_proven(certificates: Certificates) -> None:
    """Only an error exits 1."""
    with smtp_server("greylisting", certificates.trusted) as server:
        done = run(*ask(server.port, "--json"), **trusting(certificates))

    assert done.returncode == 0
    assert lines(done)[-1]["verdict"] == "greylisted"


@pytest.mark.parametrize(
    ("given", "sender", "recipient"),
    [
        ([], USER, USER),
        (["--mail-from", "facturas@example.com"], "facturas@example.com", "facturas@example.com"),
        (["--mail-from", "facturas@example.com", "--to", "c@example.org"], "facturas@example.com", "c@example.org"),
    ],
)
def test_sender_and_recipient_follow_what_is_given(given: list[str], sender: str, recipient: str) -> None:
    """Left out, the recipient is the sender, and the sender the user."""
    with smtp_server() as server:
        done = run(*ask(server.port, *given, "--json", security="none"), CG_MAIL_ALLOW_PRIVATE="127.0.0.0/8")
    asked = re.findall("(?i)(?:mail from|rcpt to):<(.*?)>", b"\n".join(server.lines).decode())

    assert done.returncode == 0
    assert asked == [sender, recipient]
    assert server.messages == []


def test_the_incoming_leg_keeps_to_its_pin_and_its_folder(certificates: Certificates) -> None:
    """A pin with colons, and the folder is tried; with the pin of another server nothing is said to this one."""
    pins = [
        bytes.fromhex(shown.sha256).hex(":").upper()
        for shown in (certificates.self_signed, certificates.other_self_signed)
    ]
    with imap_server("friendly", certificates.self_signed, implicit_tls=True) as server:
        usual = ask(server.port, "--folder", "Sent", "--json", leg="imap", security="ssl-pinned")
        refused = run(*usual, "--pin", pins[1], CG_MAIL_ALLOW_PRIVATE="127.0.0.0/8")
        heard = list(server.lines)
        done = run(*usual, "--pin", pins[0], CG_MAIL_ALLOW_PRIVATE="127.0.0.0/8")
    *steps, verdict = lines(done)

    assert (refused.returncode, lines(refused)[-1]["verdict"], heard) == (1, "cert_pin_changed", [])
    assert (done.returncode, verdict["verdict"]) == (0, "ok")
    assert set(verdict) == {"verdict", "stage", "ms", "title", "fix"}
    assert {step["leg"] for step in steps} == {"imap"}
    assert [step["details"]["folder"] for step in steps if step["stage"] == "append"] == ["Sent"]
    assert len(server.messages) == 1
    assert PASSWORD not in done.stdout + done.stderr


def test_without_json_the_lines_are_spanish(certificates: Certificates) -> None:
    """For a person: stages, the server's words, the verdict and what to do."""
    with smtp_server("friendly", certificates.trusted) as server:
        done = run(*ask(server.port, security="ssl"), **trusting(certificates))

    assert done.returncode == 1
    assert "ssl_on_starttls_port" in done.stdout
    assert "SSL" in done.stdout
    assert not done.stdout.startswith("{")
    assert "Traceback" not in done.stderr


def test_without_the_setting_loopback_is_a_forbidden_step() -> None:
    """Not an exception, not a usage error."""
    with smtp_server("friendly") as server:
        done = run(*ask(server.port, "--json", security="none"))

    assert done.returncode == 1
    assert lines(done)[-1]["verdict"] == "forbidden_target"
    assert server.connections == 0


@pytest.mark.parametrize(("given", "seconds"), [([], 15.0), (["--timeout", "42.5"], 42.5)])
@pytest.mark.parametrize("leg", ["smtp", "imap"])
def test_the_total_time_is_15_seconds_or_that_of_the_option(
    monkeypatch: pytest.MonkeyPatch, leg: str, given: list[str], seconds: float
) -> None:
    """One number for the whole probe, of either leg."""
    asked: list[float] = []
    probe = probing.probe

    def note(request: ProbeRequest, env: ProbeEnvironment) -> Iterator[Step]:
        asked.append(request.timeout)
        return probe(request, env)

    monkeypatch.setattr(probing, "probe", note)
    with pytest.raises(SystemExit):
        main(["probe", leg, "--host", "127.0.0.1", "--security", "none", "--json", *given])

    assert asked == [seconds]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pop3", "--host", "a.es", "--security", "ssl"],
        ["smtp", "--host", "a.es", "--security", "tls"],
        ["smtp", "--host", "a.es", "--security", "ssl-pinned"],
        ["smtp", "--host", "a.es", "--security", "ssl", "--pin", "ab" * 32],
        ["smtp", "--host", "a.es", "--security", "ssl", "--port", "x"],
        ["smtp", "--security", "ssl"],
        ["imap", "--host", "a.es", "--security", "ssl-pinned", "--pin", "ab:cd"],
        ["imap", "--host", "a.es", "--security", "ssl-pinned", "--pin", "zz" * 32],
        ["smtp", "--host", "a.es", "--security", "ssl", "--timeout", "0"],
        ["smtp", "--host", "a.es", "--security", "ssl", "--timeout", "nan"],
        ["smtp", "--host", "a.es", "--security", "ssl", "--user", "ana"],
        [],
    ],
)
def test_bad_usage_exits_2_and_asks_nobody(arguments: list[str]) -> None:
    """A sentence on standard error, nothing on standard output."""
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_bad_input_is_a_step_and_exits_1() -> None:
    """What a person typed wrongly comes back with the field it belongs to."""
    done = run("smtp", "--host", "https://mail.ejemplo.es/", "--port", "587", "--security", "starttls", "--json")
    step, verdict = lines(done)

    assert done.returncode == 1
    assert (step["stage"], step["field"], step["patch"]) == ("input", "host", {"host": "mail.ejemplo.es"})
    assert verdict["verdict"] == "invalid_input"


@pytest.mark.parametrize(
    ("name", "value"), [("CG_MAIL_ALLOW_PRIVATE", "cualquiera"), ("CG_SANDBOX", "quizás"), ("CG_PRODUCTION", "tal vez")]
)
def test_a_setting_that_cannot_be_read_is_named_without_its_value(name: str, value: str) -> None:
    """A setting may hold a secret: the name is enough to find it."""
    done = run("smtp", "--host", "127.0.0.1", "--port", "25", "--security", "none", "--json", **{name: value})

    assert (done.returncode, done.stdout) == (2, "")
    assert name.removeprefix("CG_") in done.stderr
    assert value not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--host", "--mail-from", "--to", "--folder", "--user"])
def test_bytes_that_are_no_text_end_in_a_step(option: str) -> None:
    """What the command line hands over as lone surrogates is bad input, and is printed all the same."""
    given = {"--host": "127.0.0.1", "--security": "none", option: os.fsdecode(b"ana\xff@ejemplo.es")}
    arguments = [word for pair in given.items() for word in pair]
    given_too = {"CG_MAIL_ALLOW_PRIVATE": "127.0.0.0/8", "LC_ALL": "C.UTF-8"}
    done = run_process("smtp", *arguments, "--password-stdin", "--json", **given_too)

    assert done.returncode == 1
    assert lines(done)[0]["stage"] == "input"
    assert lines(done)[-1]["verdict"] in ("invalid_input", "address_syntax")
    assert done.stderr == ""
