"""What the tests drive and a machine may lack: which browser is taken, and how a missing part is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.browser import find_browser
from tests.servers.leftout import leave_out

ROOT = Path(__file__).parents[2]
# Debian's own Chromium first, then what other systems call theirs, then what is built on it.
BROWSERS = [
    "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "msedge",
]  # fmt: skip

_SUITE = """
import pytest
from tests.servers.leftout import leave_out

@pytest.fixture(scope="session")
def mail_server():
    leave_out("dovecot-imapd")

def test_with_it(mail_server): pass

def test_without_it(): pass
"""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("false", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_a_missing_part_is_skipped_by_hand_and_a_failure_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    """Nobody has to install a mail server to run the rest; with ``CI=true`` nothing is left out in silence."""
    monkeypatch.setenv("CI", ci)

    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match="postgresql is not installed") as raised:
        leave_out("postgresql")

    assert raised.type is outcome


@pytest.mark.parametrize(
    ("ci", "status", "line"),
    [
        ("", 0, r"^SKIPPED \[1\].*: left out: dovecot-imapd is not installed$"),
        ("true", 1, r"^ERROR .*test_with_it - .*dovecot-imapd is not installed$"),
    ],
)
def test_the_rest_runs_and_the_end_names_what_was_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, status: int, line: str
) -> None:
    """With the way of reporting that ``make test`` uses; whether the run is a success depends on CI alone."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed, and they take seconds to load
    command = re.search(r"(?m)^\t\$\(BIN\)/pytest .* (-q .*)tests$", (ROOT / "Makefile").read_text("utf-8"))
    assert command is not None
    suite = tmp_path / "test_suite.py"
    suite.write_text(_SUITE)
    options = ["--noconftest", "-c", str(tmp_path / "none.ini"), "-p", "no:cacheprovider", *command[1].split()]
    (tmp_path / "none.ini").touch()
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(suite)], cwd=ROOT, capture_output=True, text=True
    )
    summary = ran.stdout.partition("short test summary info")[2]

    assert ran.returncode == status, ran.stdout
    assert re.search(line, summary, re.MULTILINE), ran.stdout
    assert "1 passed" in ran.stdout


def test_the_browser_that_is_named_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``CHROMIUM`` is taken as it stands, whatever else is installed."""
    _install(tmp_path, "chromium")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "own-browser"))

    assert find_browser() == str(tmp_path / "own-browser")


@pytest.mark.parametrize("place", range(len(BROWSERS) + 1))
def test_the_first_installed_browser_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: int) -> None:
    """In the order of the list, and none where there is none; an empty ``CHROMIUM`` names nothing."""
    for name in BROWSERS[place:]:
        _install(tmp_path, name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHROMIUM", "")

    assert find_browser() == next((str(tmp_path / name) for name in BROWSERS[place:]), None)


def test_no_browser_is_installed_where_one_of_these_stands() -> None:
    """The script before the tests looks for the same names, so a system browser of another kind is used."""
    script = (ROOT / "tests" / "setup_packages.sh").read_text("utf-8")
    looked_for = re.search(r"command -v (.+?) \|", script)

    assert looked_for is not None
    assert looked_for[1].split() == BROWSERS


def _install(folder: Path, name: str) -> None:
    (folder / name).touch(mode=0o755)
