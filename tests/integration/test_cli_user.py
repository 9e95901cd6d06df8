"""``python -m cgcore user``: accounts from the command line, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cgcore.errors import NotAllowed
from cgcore.identity.actor import Role
from cgcore.settings import load_settings
from cgcore.texts import sentence
from cgcore.vault.secret import Secret
from cgcore.workbench import Workbench, open_workbench
from tests.servers.product import ROOT, product_environment


def _run(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cgcore", "user", *arguments],
        cwd=ROOT,
        env=product_environment(folder),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _open(folder: Path) -> Workbench:
    return open_workbench(load_settings(data_dir=folder / "data", config_dir=folder / "config"))


def test_a_user_is_added_re_keyed_and_closed(tmp_path: Path) -> None:
    """Each command acts on the data folder; the password is on standard input and in no output."""
    add = ("add", "Eva", "--role", "user", "--full-name", "Eva Gil", "--mail", "eva@empresa.es", "--password-stdin")
    runs = [_run(tmp_path, *add, given="S3cr3t-ñ larga\n")]
    runs.append(_run(tmp_path, "add", "jefa", "--role", "admin", "--password-stdin", given="otra S3cr3t-ñ\n"))
    workbench = _open(tmp_path)
    first = workbench.identity.sessions.log_in("eva", Secret("S3cr3t-ñ larga")).actor
    runs.append(_run(tmp_path, "password", "eva", "--password-stdin", given="S3cr3t-ñ nueva\n"))

    assert (first.full_name, first.mail, first.role) == ("Eva Gil", "eva@empresa.es", Role.USER)
    assert workbench.identity.sessions.find_actor(first.session_hash) is None
    second = workbench.identity.sessions.log_in("eva", Secret("S3cr3t-ñ nueva")).actor
    runs.append(_run(tmp_path, "disable", "eva"))
    assert workbench.identity.sessions.find_actor(second.session_hash) is None
    with pytest.raises(NotAllowed):
        workbench.identity.sessions.log_in("eva", Secret("S3cr3t-ñ nueva"))
    workbench.close()
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert not any("S3cr3t" in run.stdout + run.stderr for run in runs)


def test_what_is_refused_says_why_in_one_line(tmp_path: Path) -> None:
    """Exit code 1 for a refusal, 2 for wrong usage; no traceback, no password."""
    good = ("--role", "admin", "--password-stdin")
    _run(tmp_path, "add", "ana", *good, given="caballo correcto\n")

    taken = _run(tmp_path, "add", "ANA", *good, given="caballo correcto\n")
    poor = _run(tmp_path, "add", "eva", *good, given="S3cr3t\n")
    unknown = _run(tmp_path, "password", "eva", "--password-stdin", given="caballo correcto\n")
    last = _run(tmp_path, "disable", "ana")
    usage = [_run(tmp_path, "add", "eva", "--role", "boss"), _run(tmp_path, "add", "eva", "--role", "user")]

    refused = [taken, poor, unknown, last]
    assert [run.stderr.strip() for run in usage] == [
        sentence("cgcore.cli", "usage_value", name="--role", help="python -m cgcore user add --help"),
        sentence("cgcore.cli", "password_stdin"),
    ]
    assert [run.returncode for run in refused] == [1, 1, 1, 1]
    assert all(len(run.stderr.splitlines()) == 1 for run in refused)
    assert [run.returncode for run in usage] == [2, 2]
    assert not any("Traceback" in run.stderr or "S3cr3t" in run.stderr for run in [*refused, *usage])
