"""The encrypted vault under two processes, under ``kill -9``, and beside a disk that refuses."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cgcore.errors import VaultError
from cgcore.vault import records
from cgcore.vault.encrypted import EncryptedKeyring
from cgcore.vault.master_key import MasterKey, Sealer
from cgcore.vault.records import FolderRecords

ROOT = Path(__file__).parents[2]
KEY = MasterKey(bytes(range(32)))

WRITER = """
import sys
from pathlib import Path
from cgcore.vault.encrypted import EncryptedKeyring
from cgcore.vault.master_key import MasterKey
from cgcore.vault.records import FolderRecords
from cgcore.vault.master_key import Sealer

keyring = EncryptedKeyring(FolderRecords(Path(sys.argv[1])), Sealer(MasterKey(bytes(range(32)))))
for number in range(int(sys.argv[3])):
    keyring.set_password("s", f"{sys.argv[2]}/{number % 50}", f"{number} " + "x" * 1000)
    print(number, flush=True)
"""


def _start_writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The vault's folder, not made yet."""
    return tmp_path / "vault"


@pytest.fixture
def keyring(folder: Path) -> EncryptedKeyring:
    """The encrypted keyring over that folder."""
    return EncryptedKeyring(FolderRecords(folder), Sealer(KEY))


def test_two_processes_lose_no_write(folder: Path, keyring: EncryptedKeyring) -> None:
    """Two processes that write fifty secrets each: a hundred are there, and no temporary file."""
    writers = [_start_writer(folder, name, 50) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=60)

    assert [writer.returncode for writer in writers] == [0, 0]
    assert all(keyring.get_password("s", f"{name}/{n}") for name in ("a", "b") for n in range(50))
    assert not list(folder.glob(f"{records.TEMPORARY_PREFIX}*"))


def test_a_killed_writer_harms_no_secret(folder: Path, keyring: EncryptedKeyring) -> None:
    """After each ``kill -9`` in the middle of writing, everything acknowledged before is readable and whole."""
    for round_number in range(8):
        writer = _start_writer(folder, "k", 100_000)
        assert writer.stdout is not None
        # Further into the run each time, so that the signal meets different moments of a write.
        acknowledged = max(int(writer.stdout.readline()) for _ in range(20 + 13 * round_number))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        values = [keyring.get_password("s", f"k/{n}") for n in range(min(acknowledged + 1, 50))]

        assert all(value is not None and value.endswith(" " + "x" * 1000) for value in values)

    keyring.set_password("s", "after", "written")

    assert not list(folder.glob(f"{records.TEMPORARY_PREFIX}*"))


def test_what_a_killed_writer_left_is_swept_away(folder: Path, keyring: EncryptedKeyring) -> None:
    """A temporary file that nobody can be writing any more goes with the next write; no record does."""
    keyring.set_password("s", "u", "value")
    (folder / f"{records.TEMPORARY_PREFIX}dead").write_bytes(b"half")
    keyring.set_password("s", "v", "other")

    assert not list(folder.glob(f"{records.TEMPORARY_PREFIX}*"))
    assert keyring.get_password("s", "u") == "value"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_folder_and_records_are_private(folder: Path, keyring: EncryptedKeyring) -> None:
    """The folder has mode 0700 and every file in it 0600."""
    keyring.set_password("s", "u", "value")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_changes_nothing(
    folder: Path, keyring: EncryptedKeyring, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """When writing fails, the old value stands, the error is ours, and no temporary file remains."""
    keyring.set_password("s", "u", "old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records.os, moment, refuse)
        with pytest.raises(VaultError) as caught:
            keyring.set_password("s", "u", "new")

    assert caught.value.code == "record_write_failed"
    assert "new" not in str(caught.value)
    assert keyring.get_password("s", "u") == "old"
    assert not list(folder.glob(f"{records.TEMPORARY_PREFIX}*"))


def test_a_folder_that_cannot_be_made_is_one_error_of_ours(tmp_path: Path) -> None:
    """Where a file stands in the folder's place, writing is refused by code."""
    (tmp_path / "file").write_text("in the way")
    keyring = EncryptedKeyring(FolderRecords(tmp_path / "file" / "vault"), Sealer(KEY))

    with pytest.raises(VaultError) as caught:
        keyring.set_password("s", "u", "value")

    assert caught.value.code == "record_write_failed"


def test_a_thousand_reads_leave_no_file_open(keyring: EncryptedKeyring) -> None:
    """The number of open files after many reads is what it was."""
    keyring.set_password("s", "u", "value")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(1000):
        keyring.get_password("s", "u")

    assert len(list(Path("/proc/self/fd").iterdir())) == before
