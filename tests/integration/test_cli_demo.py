"""``demo``: the seeded company, how to enter, and nobody else's data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cgcore.identity.actor import Actor, Role
from cgcore.settings import load_settings
from cgcore.vault.secret import Secret
from cgcore.workbench import open_workbench
from tests.servers.product import product_environment

ROOT = Actor(0, "", role=Role.ADMIN)


def prepare(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgcore", "demo", "--prepare-only"]
    environment = {**product_environment(folder, CG_ADMIN_USER="", CG_ADMIN_PASSWORD=""), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_each_start_seeds_what_is_missing_and_prints_a_new_password(tmp_path: Path) -> None:
    """The company, its series and an account on the test mailbox; a database of one's own is not looked at."""
    first = prepare(tmp_path)
    again = prepare(tmp_path, CG_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    told = [dict(line.split(": ", 1) for line in run.stdout.splitlines()) for run in (first, again)]
    workbench = open_workbench(load_settings(data_dir=tmp_path / "data", config_dir=tmp_path / "config"))
    entered = workbench.identity.sessions.log_in("ana", Secret(told[1]["Contraseña"])).actor
    account = workbench.mail_account.get(entered)
    company, series = workbench.company.get(entered), workbench.series.count(entered)
    workbench.close()

    assert (first.returncode, again.returncode) == (0, 0)
    assert [facts["Usuario"] for facts in told] == ["ana", "ana"]
    assert told[0]["Contraseña"] != told[1]["Contraseña"]
    assert company.name == "Electricidad Tosma, SL"
    assert series > 5
    assert account.password_set


def test_an_installation_of_ones_own_is_not_touched(tmp_path: Path) -> None:
    """Its user «ana» keeps her password: the demonstration says so and ends."""
    workbench = open_workbench(load_settings(data_dir=tmp_path / "data", config_dir=tmp_path / "config"))
    workbench.close()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "data").iterdir())

    refused = prepare(tmp_path)

    assert refused.returncode == 2
    assert "no se tocan" in refused.stderr
    assert refused.stdout == ""
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "data").iterdir()) == before
