"""The wheel: installed without the checkout, it checks and serves from any working directory."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers.daemon import Daemon, free_ports
from tests.servers.product import ROOT, product_environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what ``pip install .`` puts beside the libraries."""
    folder = tmp_path_factory.mktemp("wheel")
    common = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder / "dist"), str(ROOT)]
    subprocess.run([*common, *build], check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    place = ["install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([*common, *place], check=True, capture_output=True)
    return folder / "site"


def _environment(installed: Path, folder: Path) -> dict[str, str]:
    return {**product_environment(folder), "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}


def test_one_import_package_and_a_command_are_installed(installed: Path) -> None:
    """Every sentence and picture is with it; nothing of the tests is."""
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    names = {path.relative_to(ROOT).as_posix() for part in ("cgcore", "pages") for path in (ROOT / part).rglob("*.*")}
    wanted = {name for name in names if not name.endswith(".pyc")}
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*.*")}

    assert tops == {"cgcore", "bin"}
    assert wanted - found - {name.removeprefix("cgcore/app/") for name in found} == set()
    assert (installed / "bin" / "cloud-gestion").exists()
    assert (installed / "cgcore/app/.streamlit/config.toml").read_text() == (
        ROOT / ".streamlit/config.toml"
    ).read_text()


def test_the_command_checks_from_another_folder(installed: Path, tmp_path: Path) -> None:
    """As cron calls it: by its path, in a folder that has nothing of ours."""
    command = [sys.executable, str(installed / "bin" / "cloud-gestion"), "check"]
    done = subprocess.run(command, cwd=tmp_path, env=_environment(installed, tmp_path), capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Base de datos" in done.stdout


def test_the_command_serves_from_another_folder(installed: Path, tmp_path: Path) -> None:
    """As a service manager starts it: healthy, with our own settings of Streamlit, and nothing is left where it was."""
    (port,) = free_ports(1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    log = tmp_path / "server.log"
    command = [sys.executable, str(installed / "bin" / "cloud-gestion"), "run", "--port", str(port)]
    environment = {"env": _environment(installed, tmp_path)}
    wrapped = [
        "env",
        "-C",
        str(elsewhere),
        *(f"{name}={value}" for name, value in environment["env"].items()),
        *command,
    ]
    server = Daemon(wrapped, log)
    try:
        server.wait_for([port])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/salud", timeout=60) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/entrar", timeout=60) as answer:
            assert "Entrar" in answer.read().decode()
    finally:
        server.stop()

    said = log.read_text()
    assert "Traceback" not in said
    assert "External URL" not in said
    assert list(elsewhere.iterdir()) == []
    assert os.path.realpath(installed) != os.path.realpath(ROOT)
