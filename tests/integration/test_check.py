"""``python -m cgcore check``: what it says of a fresh, a running, a broken installation; it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgcore.cli import check as check_module
from cgcore.identity.actor import Role
from cgcore.storage.revision import HEAD_REVISION
from cgcore.texts import lookup
from cgcore.vault.secret import Secret
from cgcore.workbench import open_workbench
from tests.conftest import make_settings
from tests.servers.house import add_user
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
NAMES = ["database", "vault", "data_dir", "master_key", "sandbox", "outbox", "settings"]

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(tmp_path: Path) -> Run:
    """Run the command over a temporary folder; return the exit code and the results by name."""

    def check(**settings: str) -> tuple[int, dict[str, Any]]:
        own = {"CG_DATA_DIR": str(tmp_path / "data"), "CG_CONFIG_DIR": str(tmp_path / "config")}
        done = subprocess.run(
            [sys.executable, "-m", "cgcore", "check", "--json"],
            cwd=ROOT,
            env={**os.environ, **own, **settings},
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return done.returncode, {result["name"]: result for result in json.loads(done.stdout)}

    return check


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A folder in which the product has run and kept a secret."""
    workbench = open_workbench(make_settings(tmp_path))
    add_user(workbench, "ana", Role.ADMIN)
    workbench.vault.set("mail/1", Secret("S3cr3t-ñ"))
    workbench.close()
    return tmp_path


def test_before_the_first_start_all_is_well_and_nothing_is_made(check: Run, tmp_path: Path) -> None:
    """It says where things will be, and leaves the disk as it found it."""
    code, results = check()

    assert code == 0
    assert list(results) == NAMES
    assert all(result["ok"] for result in results.values())
    assert str(tmp_path / "data" / "vault") in results["vault"]["detail"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("used")
def test_of_a_used_installation_it_names_revision_and_places(check: Run, tmp_path: Path) -> None:
    """All six parts are well, by name, without a brace and without a secret."""
    code, results = check()
    words = json.dumps(results, ensure_ascii=False)

    assert code == 0
    assert HEAD_REVISION in results["database"]["detail"]
    assert str(tmp_path / "config" / "master.key") in results["master_key"]["detail"]
    assert all(set(result) == {"name", "ok", "detail"} for result in results.values())
    assert all("{" not in result["detail"] for result in results.values())
    assert "S3cr3t" not in words
    assert (tmp_path / "config" / "master.key").read_text().strip() not in words


def _lose_key(folder: Path) -> None:
    (folder / "config" / "master.key").unlink()


def _open_key(folder: Path) -> None:
    (folder / "config" / "master.key").chmod(0o644)


def _open_folder(folder: Path) -> None:
    (folder / "data").chmod(0o777)


def _break_database(folder: Path) -> None:
    (folder / "data" / "cloud-gestion.db").write_bytes(b"not a database, but long enough to look like one " * 20)


BROKEN = {
    "lost key": (_lose_key, {"vault", "master_key"}),
    "open key": (_open_key, {"vault", "master_key"}),
    "open folder": (_open_folder, {"data_dir"}),
    "broken database": (_break_database, {"database", "outbox"}),
}


@pytest.mark.parametrize(("harm", "names"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named_and_the_rest_still_checked(
    check: Run, used: Path, harm: Callable[[Path], None], names: set[str]
) -> None:
    """Exit code 1, and exactly the parts that are harmed are not well."""
    harm(used)
    code, results = check()

    assert code == 1
    assert list(results) == NAMES
    assert {name for name, result in results.items() if not result["ok"]} == names


def test_a_place_where_no_key_can_be_made_is_told_before_the_start(check: Run, tmp_path: Path) -> None:
    """A file stands where its folder is to be; nothing is made."""
    (tmp_path / "file").write_text("")
    code, results = check(CG_CONFIG_DIR=str(tmp_path / "file" / "config"))

    assert code == 1
    assert [name for name, result in results.items() if not result["ok"]] == ["master_key"]
    assert str(tmp_path / "file" / "config") in results["master_key"]["detail"]


def test_another_key_is_told(check: Run, used: Path) -> None:
    """A vault that the key does not open is not well, and stays as it is."""
    code, results = check(CG_MASTER_KEY="A" * 43 + "=")

    assert code == 1
    assert results["vault"]["ok"] is False
    assert "no abre" in results["vault"]["detail"]
    assert len(list((used / "data" / "vault").glob("*.rec"))) == 3


def test_settings_that_cannot_be_read_are_named(check: Run) -> None:
    """The variable is named, its value is not shown, and there is no traceback."""
    code, results = check(CG_TRUSTED_PROXIES="S3cr3t", CG_SANDBOX="maybe")

    assert code == 1
    assert list(results) == ["settings"]
    assert "SANDBOX" in results["settings"]["detail"]
    assert "S3cr3t" not in results["settings"]["detail"]


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_authorities_that_cannot_be_read_are_told(check: Run, tmp_path: Path, content: bytes | None) -> None:
    """Else every server would seem to have a bad certificate."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    code, results = check(SSL_CERT_FILE=str(path))

    assert code == 1
    assert not results["settings"]["ok"]
    assert str(path) in results["settings"]["detail"]


def test_a_database_server_out_of_reach_is_told_without_its_password(check: Run) -> None:
    """Nobody listens: so it says, with the action, without URL or class; the rest is looked at all the same."""
    code, results = check(CG_DATABASE_URL="postgresql://cg:S3cr3t@127.0.0.1:1/cg")

    assert code == 1
    assert results["database"]["detail"] == lookup("cgcore.storage", "")["storage_refused"]
    assert [name for name, result in results.items() if not result["ok"]] == ["database", "vault", "outbox"]
    assert list(results) == NAMES
    assert "S3cr3t" not in json.dumps(results)


def test_a_frozen_server_is_told_by_check_and_answers_when_it_goes_on(
    check: Run, postgres_server: PostgresServer
) -> None:
    """Its connections stay and its answers do not: the command ends by itself."""
    url = postgres_server.create_database("check_frozen")
    with postgres_server.frozen():
        frozen, results = check(CG_DATABASE_URL=url)
    again, _ = check(CG_DATABASE_URL=url, PYTHON_KEYRING_BACKEND="")

    assert (frozen, again) == (1, 0)
    assert results["database"]["detail"] == lookup("cgcore.storage", "")["storage_silent"]


def test_with_postgresql_the_shared_table_is_named(check: Run, postgres_server: PostgresServer) -> None:
    """On an empty database all is well, and secrets will live in its table."""
    code, results = check(CG_DATABASE_URL=postgres_server.create_database("check_empty"), PYTHON_KEYRING_BACKEND="")

    assert code == 0
    assert "vault_record" in results["vault"]["detail"]


def test_in_production_a_missing_key_file_is_not_well(check: Run, tmp_path: Path) -> None:
    """The file that the setting names must be there."""
    code, results = check(CG_PRODUCTION="1", CG_MASTER_KEY_FILE=str(tmp_path / "key"))

    assert code == 1
    assert results["master_key"]["ok"] is False
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(
    ("version", "has_bug"),
    [
        ((3, 6, 23), False),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_an_sqlite_that_may_damage_its_file_is_named(
    monkeypatch: pytest.MonkeyPatch, used: Path, version: tuple[int, int, int], has_bug: bool
) -> None:
    """The version and what corrects it; it stops nothing, this program writes one at a time."""
    monkeypatch.setattr(check_module.sqlite3, "sqlite_version_info", version)
    monkeypatch.setattr(check_module.sqlite3, "sqlite_version", ".".join(map(str, version)))
    monkeypatch.setenv("CG_DATA_DIR", str(used / "data"))
    database = check_module.run_checks()[0]

    assert database.ok
    assert (".".join(map(str, version)) in database.detail and "3.51.3" in database.detail) is has_bug
