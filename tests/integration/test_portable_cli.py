"""``export`` and ``import`` on the command line: exit codes, round trip, dry run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cgcore.company.company import CompanyDraft
from cgcore.identity.actor import Role
from cgcore.settings import Settings
from cgcore.workbench import Workbench
from tests.servers.house import add_user

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("furnished")


def call(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line over the same installation."""
    environment = {
        **os.environ,
        "PYTHONUTF8": "1",
        "CG_DATA_DIR": str(settings.data_dir),
        "CG_CONFIG_DIR": str(settings.config_dir),
    }
    command = [sys.executable, "-m", "cgcore", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def furnished(workbench: Workbench) -> Workbench:
    """An administrator, a user and a company."""
    admin = add_user(workbench, "ana", Role.ADMIN)
    add_user(workbench, "luis")
    workbench.company.save(admin, CompanyDraft("Tosma «ñ»"), 0)
    return workbench


def test_a_round_trip_on_the_command_line(settings: Settings, tmp_path: Path) -> None:
    """Export, edit, look, import, export: the file is the configuration; the dry run changes nothing."""
    first = call(settings, "export")
    value = json.loads(first.stdout)
    value["company"]["name"] = "Otra"
    file = tmp_path / "config.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    looked = call(settings, "import", str(file), "--dry-run")
    between = call(settings, "export")
    done = call(settings, "import", str(file))
    last = call(settings, "export")

    assert [run.returncode for run in (first, looked, between, done, last)] == [0, 0, 0, 0, 0]
    assert "empresa: name: Tosma «ñ» → Otra" in looked.stdout
    assert looked.stdout == done.stdout
    assert between.stdout == first.stdout
    assert json.loads(last.stdout) == value


def test_one_user_and_templates_only(settings: Settings) -> None:
    """``--user`` and ``--only templates`` narrow the file."""
    value = json.loads(call(settings, "export", "--user", "luis", "--only", "templates").stdout)

    assert value["users"] == [{"name": "luis", "templates": {}, "signature": None}]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("export", "--user", "nadie"), 1),
        (("import", "{newer}"), 1),
        (("import", "{newer}", "--user", "nadie"), 1),
        (("import", "{missing}"), 2),
        (("import",), 2),
        (("export", "--only", "secrets"), 2),
    ],
)
def test_refused_is_1_and_wrong_usage_is_2(
    settings: Settings, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    """A sentence on standard error, nothing on standard output, no traceback, no change."""
    newer = tmp_path / "newer.json"
    newer.write_text('{"format": "cloud-gestion", "version": 99}', encoding="utf-8")
    places = {"newer": str(newer), "missing": str(tmp_path / "no.json")}
    run = call(settings, *(argument.format(**places) for argument in arguments))

    assert run.returncode == code
    assert run.stdout == ""
    assert run.stderr
    assert "Traceback" not in run.stderr
