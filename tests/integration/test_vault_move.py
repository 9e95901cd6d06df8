"""``python -m cgcore vault move``: what it takes along, what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cgcore.identity.actor import Role
from cgcore.vault import PlaceKind, Secret
from cgcore.vault.memory import MemoryKeyring
from cgcore.workbench import Workbench
from cgcore.workbench.secrets import list_secret_names
from tests.servers.house import add_user

ROOT = Path(__file__).parents[2]


def _move(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    own = {"CG_DATA_DIR": str(folder / "data"), "CG_CONFIG_DIR": str(folder / "config")}
    command = [sys.executable, "-m", "cgcore", "vault", "move", target]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True)


def test_every_secret_that_a_user_may_have_is_taken_along(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail passwords, the test mailbox's and its authority's key: all are named, moved, and readable afterwards."""
    actor = add_user(workbench, "marta", Role.USER)
    workbench.vault.set(f"mail/{actor.user_id}", Secret("S3cr3t-ñ"))
    workbench.sandbox.use_for(actor)
    backend = MemoryKeyring({})
    monkeypatch.setattr("cgcore.vault.os_keyring.find_backend", lambda: backend)
    moved = workbench.vault.move(PlaceKind.OS_KEYRING, list_secret_names(workbench.database))
    records = workbench.settings.data_dir / "vault"

    assert set(moved) == {f"mail/{actor.user_id}", f"sandbox/{actor.user_id}", "sandbox-authority/1"}
    assert workbench.vault.get(f"mail/{actor.user_id}") == Secret("S3cr3t-ñ")
    named = sorted(path.stem for path in records.glob("*.rec") if len(path.stem) < 64)
    assert named == ["data-key", "key-check", "place"]
    assert len(list(records.glob("*.rec"))) == 3 + len(moved)
    assert [name.split("/")[0] for _, name in backend.entries] == ["data-key"]


def test_a_move_to_a_keyring_that_is_not_there_is_refused(workbench: Workbench, tmp_path: Path) -> None:
    """Exit code 1 and one sentence; the secret is where it was."""
    workbench.vault.set("mail/1", Secret("S3cr3t-ñ"))
    done = _move(tmp_path, "os_keyring")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert workbench.vault.get("mail/1") == Secret("S3cr3t-ñ")


@pytest.mark.parametrize(("target", "code"), [("nowhere", 2), ("encrypted", 0)])
def test_the_exit_code_tells_usage_from_success(tmp_path: Path, target: str, code: int) -> None:
    """An unknown target is bad usage; a move to where they are already is done."""
    assert _move(tmp_path, target).returncode == code
